"""Reserving: a permit for each contact that may be made, and for each a claim that the next candidate meets.

Pure: whoever calls holds the customer's claims still meanwhile, so that two who ask at once cannot have the same slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from membrane.caps import PERMIT_MS, Claim
from membrane.decide import Decided
from membrane.decisions import Candidate, CandidateVerdict, DecisionRequest
from membrane.scope import slot_of
from membrane.times import format_time, parse_time
from membrane.vocabulary import InteractionClass, Verdict, channel_index, class_of, domain_index

Deciding = Callable[[DecisionRequest, Sequence[Claim]], Decided]
"""Decides a request, given the claims that count."""


class Granted(Struct, frozen=True):
    """A permit: leave to make one contact until just before the end of its claim."""

    candidate: Candidate
    claim: Claim


def reserve(
    request: DecisionRequest,
    claims: Sequence[Claim],
    deciding: Deciding,
    new_permit: Callable[[Candidate], str],
    t: int,
) -> tuple[Decided, list[Granted]]:
    """The decision on a request at `t`, and the permits it grants, whose ids stand in the verdicts.

    Outbound candidates that are allowed get one, in the order of arbitration; each counts for those behind it, which
    are judged again, those too that had lost to one that no longer fits. A permit lives for 15 minutes, or as long as
    the verdict does; one that is to go out later gets none.
    """
    first = decided = deciding(request, claims)
    verdicts = {one.candidate: one for one in first.answer.verdicts}
    waiting, granted, ends = list(request.candidates), list[Granted](), [first.answer.valid_until]
    while (chosen := _next(waiting, verdicts, decided.order, t)) is not None:
        verdict = verdicts[chosen.id]
        granted.append(Granted(chosen, _claim(chosen, verdict, new_permit(chosen), t)))
        verdict.permit, verdict.permit_until = granted[-1].claim.permit, format_time(granted[-1].claim.until)
        waiting = [one for one in waiting if one is not chosen and verdicts[one.id].lost_to != chosen.id]
        if all(verdicts[one.id].lost_to is None for one in waiting) and not _next(waiting, verdicts, decided.order, t):
            break
        decided = deciding(replace(request, candidates=waiting), [*claims, *(one.claim for one in granted)])
        verdicts |= {one.candidate: one for one in decided.answer.verdicts}
        ends.append(decided.answer.valid_until)
    answer = first.answer
    answer.verdicts = [verdicts[one.id] for one in request.candidates]
    answer.choice = [one.id for one in request.candidates if _is_chosen(one, verdicts[one.id])]
    answer.valid_until = min((end for end in ends if end is not None), key=parse_time, default=None)
    return first, granted


def _next(
    waiting: Sequence[Candidate], verdicts: dict[str, CandidateVerdict], order: Sequence[str], t: int
) -> Candidate | None:
    """The first in the order of arbitration that is allowed and may have a permit."""
    able = {one.id: one for one in waiting if verdicts[one.id].verdict == Verdict.ALLOW and _may_have_one(one, t)}
    return next((able[name] for name in order if name in able), None)


def _claim(candidate: Candidate, verdict: CandidateVerdict, permit: str, t: int) -> Claim:
    ends = t + PERMIT_MS if verdict.until is None else min(t + PERMIT_MS, max(parse_time(verdict.until), t + 1))
    return Claim(permit, t, domain_index(candidate.domain), channel_index(candidate.channel), candidate.kind, ends)


def _may_have_one(candidate: Candidate, t: int) -> bool:
    known = slot_of(candidate.domain, candidate.kind, candidate.channel, candidate.direction) is not None
    later = candidate.send_at is not None and parse_time(candidate.send_at) >= t + PERMIT_MS
    return known and candidate.direction == "outbound" and not later


def _is_chosen(candidate: Candidate, verdict: CandidateVerdict) -> bool:
    persuades = class_of(candidate.domain, candidate.kind) == InteractionClass.PERSUASION
    return persuades and verdict.verdict == Verdict.ALLOW
