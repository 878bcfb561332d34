"""An obligation as everybody is shown it: reads of the API, the timeline, the outbox."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import structs

from membrane.entities import SEPARATOR
from membrane.ids import episode_id
from membrane.record import OBLIGATION_STATES, Obligation, Record
from membrane.times import format_optional, format_time


class ObligationView(msgspec.Struct):
    """Something the company owes. `about` says what it is about in words: of a problem its category and product, and
    `problem_since` when it began; else the entity's own name. `escalate_to`: whose it becomes when it is breached;
    `approval`: `human` where a person must agree before it is done."""

    obligation: str
    principle: str
    kind: str
    owner: str
    customer: str
    episode: str | None
    opened_at: str
    due: str
    state: Literal["open", "met", "breached", "waived"]
    about: str | None
    problem_since: str | None
    closed_at: str | None
    escalate_to: str | None = None
    approval: str | None = None


class ToldObligation(ObligationView):
    """The same as it is told when it changes, with who closed it, and why, where a person did and said so."""

    closed_by: str | None = None
    reason: str | None = None


def obligation_view(record: Record, owed: Obligation) -> ObligationView:
    """One obligation of a record."""
    about, since = _about(owed)
    return ObligationView(
        obligation=owed.obligation,
        principle=owed.principle,
        kind=owed.kind,
        owner=owed.owner,
        customer=record.customer,
        episode=episode_id(record.tenant, record.customer, owed.episode_at) if owed.episode_at else None,
        opened_at=format_time(owed.opened_at),
        due=format_time(owed.due),
        state=OBLIGATION_STATES[owed.state],
        about=about,
        problem_since=since,
        closed_at=format_optional(owed.closed_at or None),
        escalate_to=owed.escalate_to or None,
        approval=owed.approval or None,
    )


def told_obligation(record: Record, owed: Obligation, by: str | None, reason: str | None) -> ToldObligation:
    """One obligation of a record, as somebody has closed it for a reason (None where nobody said so)."""
    return ToldObligation(**structs.asdict(obligation_view(record, owed)), closed_by=by, reason=reason)


def _about(owed: Obligation) -> tuple[str | None, str | None]:
    if owed.scope != "problem":
        return owed.about or None, None
    category, product, since = owed.about.split(SEPARATOR)
    return " · ".join(filter(None, (category, product))), format_time(int(since))
