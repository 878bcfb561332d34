"""Effects: what happened to a customer, in the words of the contract, with ids that a replay makes again."""

from __future__ import annotations

from typing import Final

import msgspec

from membrane.engine import Happening
from membrane.ids import stable_id
from membrane.obligation_view import told_obligation
from membrane.ports import Effect
from membrane.record import OBLIGATION_STATES, Obligation, Record
from membrane.times import format_time
from membrane.tracker import StageChange
from membrane.vocabulary import STAGES

ObligationRow = tuple[str, str, str, str, str, int, bytes]
_encode: Final = msgspec.json.Encoder().encode


def to_effect(partition: int, offset: int, place: int, record: Record, happening: Happening) -> Effect:
    """The effect of one happening, the `place`-th that the log record at `offset` caused for this customer."""
    what = happening.what
    if isinstance(what, StageChange):
        identity = f"{partition}-{offset}-{stable_id(record.tenant, record.customer)}-{place}"
        body = stage_body(record, what)
    else:
        identity = f"{what.obligation}-{OBLIGATION_STATES[what.state]}"
        body = msgspec.to_builtins(told_obligation(record, what, happening.by, happening.reason))
    if happening.backfill:
        body["backfill"] = True
    return Effect(identity, offset, happening.kind, record.tenant, record.customer, happening.at, _encode(body))


def stage_body(record: Record, change: StageChange) -> dict[str, object]:
    """A stage change as the timeline and the stream of stages show it."""
    return {
        "customer": record.customer,
        "from": STAGES[change.before],
        "to": STAGES[change.after],
        "at": format_time(change.at),
        "cause": {"source": change.cause.source, "id": change.cause.id, "type": change.cause.type},
    }


def to_row(record: Record, owed: Obligation, happening: Happening) -> ObligationRow:
    """An obligation's latest state, for the store's own table of them."""
    body = _encode(told_obligation(record, owed, happening.by, happening.reason))
    state = OBLIGATION_STATES[owed.state]
    return owed.obligation, record.tenant, record.customer, state, owed.owner, owed.due, body
