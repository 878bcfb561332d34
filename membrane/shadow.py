"""Principles on trial (`status: shadow`): what they would have said of a decision. The answer has nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from msgspec import Struct

from membrane.contest import Contest
from membrane.deadline import OutOfTime
from membrane.decisions import CandidateVerdict
from membrane.precedence import strongest
from membrane.principles import PrincipleSet
from membrane.vocabulary import Verdict

NOT_OWED, OWED = "not_owed", "owed"


class Shadow(Struct):
    """A principle in shadow that held: for a candidate of `department` the verdict given and the one that it would have
    been; for what would be owed by `department`, `candidate` is empty."""

    principle: str
    department: str
    candidate: str
    verdict: str
    would_be: str

    @property
    def changes(self) -> bool:
        """Whether it would have made a difference."""
        return self.verdict != self.would_be


def shadows(contest: Contest, principles: PrincipleSet, verdicts: Iterable[CandidateVerdict]) -> list[Shadow]:
    """What the principles in shadow say beside the verdicts given, as far as the deadline lets."""
    found: list[Shadow] = []
    if principles.on_trial:
        with suppress(OutOfTime):
            found.extend(_of_candidates(contest, verdicts))
            found.extend(_of_debts(contest, principles))
    return found


def _of_candidates(contest: Contest, verdicts: Iterable[CandidateVerdict]) -> Iterator[Shadow]:
    for place, given in enumerate(verdicts):
        asked = contest.asked[place]
        if place in contest.defaulted:
            continue
        for rule in contest.judge.on_trial(asked, contest.sight(place, contest.base.t)):
            would_be = strongest([Verdict(given.verdict), rule.verdict])
            yield Shadow(rule.id, asked.candidate.domain, given.candidate, given.verdict, would_be)


def _of_debts(contest: Contest, principles: PrincipleSet) -> Iterator[Shadow]:
    facts = contest.base.view.facts()
    for rule in principles.on_trial:
        contest.deadline.check()
        if rule.promise is None or not contest.base.counts(rule) or not rule.matches(facts):
            continue
        was_owed = any(one.principle == rule.id for one in contest.base.owed)
        yield Shadow(rule.id, rule.promise.owner, "", OWED if was_owed else NOT_OWED, OWED)
