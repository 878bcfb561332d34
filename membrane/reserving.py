"""Reserving: a permit for each contact that may be made, and for each a claim that the next candidate meets.

Pure: whoever calls holds the customer's claims still meanwhile, so that two who ask at once cannot have the same slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from membrane.arbitration import Contender, score
from membrane.caps import PERMIT_MS, Claim
from membrane.decisions import Answer, Candidate, CandidateVerdict, DecisionRequest
from membrane.scope import slot_of
from membrane.times import format_time, parse_time
from membrane.vocabulary import Verdict, channel_index, domain_index

Deciding = Callable[[DecisionRequest, Sequence[Claim]], Answer]
"""Answers a request, given the claims that count."""


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
) -> tuple[Answer, list[Granted]]:
    """The answer to a request at `t`, and the permits it grants, whose ids stand in the verdicts.

    Outbound candidates that are allowed get one, in the order of arbitration; each counts for those behind it, which
    are judged again. One that is to go out later than a permit lives gets none.
    """
    answer = deciding(request, claims)
    allowed = [
        (one, verdict)
        for one, verdict in zip(request.candidates, answer.verdicts, strict=True)
        if verdict.verdict == Verdict.ALLOW and _may_have_one(one, t)
    ]
    granted: list[Granted] = []
    for one, verdict in sorted(allowed, key=lambda pair: _rank(pair[0])):
        if granted and not _still_allowed(answer, request, one, verdict, deciding, [*claims, *_claims(granted)]):
            continue
        claim = Claim(new_permit(one), t, domain_index(one.domain), channel_index(one.channel), one.kind, t + PERMIT_MS)
        granted.append(Granted(one, claim))
        verdict.permit, verdict.permit_until = claim.permit, format_time(claim.until)
    return answer, granted


def _still_allowed(
    answer: Answer,
    request: DecisionRequest,
    one: Candidate,
    verdict: CandidateVerdict,
    deciding: Deciding,
    claims: Sequence[Claim],
) -> bool:
    """Whether a candidate is allowed beside the claims just made; where not, the answer says so."""
    again = deciding(replace(request, candidates=[one], choose="none"), claims)
    (now,) = again.verdicts
    if now.verdict == Verdict.ALLOW:
        return True
    answer.verdicts[answer.verdicts.index(verdict)] = now
    answer.choice = [chosen for chosen in answer.choice if chosen != one.id]
    ends = [end for end in (answer.valid_until, again.valid_until) if end is not None]
    answer.valid_until = min(ends, key=parse_time, default=None)
    return False


def _may_have_one(candidate: Candidate, t: int) -> bool:
    known = slot_of(candidate.domain, candidate.kind, candidate.channel, candidate.direction) is not None
    later = candidate.send_at is not None and parse_time(candidate.send_at) >= t + PERMIT_MS
    return known and candidate.direction == "outbound" and not later


def _rank(candidate: Candidate) -> tuple[bool, float, str]:
    return Contender(candidate.id, score(candidate.propensity, candidate.value)).rank


def _claims(granted: Sequence[Granted]) -> list[Claim]:
    return [one.claim for one in granted]
