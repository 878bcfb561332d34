"""What an answer says of the customer beside the verdicts: stage, episode, risks, what is owed, the state judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from membrane.decisions import EpisodePart, Owed, Risks, StagePart, StatePart
from membrane.ids import episode_id
from membrane.record import BREACHED, OBLIGATION_STATES, OPEN, Record
from membrane.times import format_optional, format_time
from membrane.tracker import confidence
from membrane.vocabulary import DEGRADED, STAGES

_MILLION: Final = 1_000_000
_TEN_THOUSAND: Final = 10_000


def stage_part(record: Record | None) -> StagePart | None:
    """The stage; by rules alone it is certain."""
    if record is None:
        return None
    tracker = record.tracker
    return StagePart(
        name=STAGES[tracker.stage],
        since=format_time(tracker.since),
        previous=STAGES[tracker.previous] if tracker.previous >= 0 else None,
        confidence=confidence(tracker),
        drivers=[(name, share / _TEN_THOUSAND) for name, share in tracker.drivers],
        rules_only=not tracker.probabilities,
    )


def episode_part(record: Record | None) -> EpisodePart | None:
    """The running episode, if any."""
    if record is None or not record.tracker.episode_at:
        return None
    began = record.tracker.episode_at
    return EpisodePart(episode_id(record.tenant, record.customer, began), format_time(began))


def risks(record: Record | None, *, relapse: bool) -> Risks:
    """The risks of losing the customer and of a relapse."""
    known = record is not None and record.tracker.churn >= 0
    return Risks(record.tracker.churn / _MILLION if record is not None and known else None, relapse)


def owed(record: Record | None) -> list[Owed]:
    """The obligations that are open or breached, by due time."""
    due = [one for one in record.obligations if one.state in {OPEN, BREACHED}] if record else []
    return [
        Owed(
            one.obligation,
            one.kind,
            one.owner,
            format_time(one.due),
            OBLIGATION_STATES[one.state],
            one.approval or None,
        )
        for one in sorted(due, key=lambda one: (one.due, one.obligation))
    ]


def state_part(record: Record | None, as_of: int | None, causes: Iterable[str]) -> StatePart:
    """The record judged, `as_of` its clock when it was stored, and what is amiss in the contract's words."""
    words = dict.fromkeys("stale" if cause == "very_stale" else cause for cause in causes)
    flags = [word for word in words if word in DEGRADED]
    if record is None:
        return StatePart(None, None, None, flags)
    return StatePart(format_optional(as_of), record.version, None, flags)
