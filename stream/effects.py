"""Effects: what happened to a customer, in the words of the contract, with ids that a replay makes again."""

from __future__ import annotations

from typing import Final

import msgspec

from membrane.engine import Happening
from membrane.entities import SEPARATOR
from membrane.ids import episode_id, stable_id
from membrane.ports import Effect
from membrane.record import OBLIGATION_STATES, Obligation, Record
from membrane.times import format_optional, format_time
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
        identity, body = f"{what.obligation}-{OBLIGATION_STATES[what.state]}", obligation_body(record, what)
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


def obligation_body(record: Record, owed: Obligation) -> dict[str, object]:
    """An obligation as the contract shows it."""
    return {
        "obligation": owed.obligation,
        "principle": owed.principle,
        "kind": owed.kind,
        "owner": owed.owner,
        "customer": record.customer,
        "episode": episode_id(record.tenant, record.customer, owed.episode_at) if owed.episode_at else None,
        "opened_at": format_time(owed.opened_at),
        "due": format_time(owed.due),
        "state": OBLIGATION_STATES[owed.state],
        **_about(owed),
        "closed_at": format_optional(owed.closed_at or None),
    }


def _about(owed: Obligation) -> dict[str, object]:
    """What it is about, in words: a problem's category and product, and when it began; else the entity's own name."""
    if owed.scope != "problem":
        return {"about": owed.about or None}
    category, product, since = owed.about.split(SEPARATOR)
    return {"about": " · ".join(filter(None, (category, product))), "problem_since": format_time(int(since))}


def to_row(record: Record, owed: Obligation) -> ObligationRow:
    """An obligation's latest state, for the store's own table of them."""
    body = _encode(obligation_body(record, owed))
    state = OBLIGATION_STATES[owed.state]
    return owed.obligation, record.tenant, record.customer, state, owed.owner, owed.due, body
