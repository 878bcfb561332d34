"""The part of an answer that speaks of the candidates: verdicts, reasons, what would change them, the choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from membrane import decisions as d
from membrane.contest import Contest, Group, Standing
from membrane.deadline import OutOfTime
from membrane.dictionary import BY_NAME, FactSource
from membrane.expressions import CASES
from membrane.judging import Finding
from membrane.pauses import Pause
from membrane.principles import Principle, PrincipleSet
from membrane.sight import Asked
from membrane.times import format_duration, format_optional, format_time
from membrane.unless import unless
from membrane.until import first_changes
from membrane.vocabulary import InteractionClass, Verdict
from membrane.wording import TEXTS


@dataclass(frozen=True, slots=True)
class Manner:
    """How to answer: in which language, and how much to explain."""

    language: str
    explain: str


def candidate_verdicts(contest: Contest, manner: Manner) -> list[d.CandidateVerdict]:
    """The verdicts in the order of the request."""
    found: dict[int, d.CandidateVerdict] = {}
    for group in contest.groups:
        standings = contest.standings(group, contest.base.t)
        until = first_changes(contest, group)
        for place, standing in standings.items():
            found[place] = _verdict(contest, group, place, standing, until[place], manner)
    return [found[place] for place in range(len(contest.asked))]


def choice(contest: Contest, verdicts: Iterable[d.CandidateVerdict]) -> list[str]:
    """The ids of what is chosen among the candidates that persuade."""
    return [
        verdict.candidate
        for one, verdict in zip(contest.asked, verdicts, strict=True)
        if one.slot is not None and one.slot.cls is InteractionClass.PERSUASION and verdict.verdict == Verdict.ALLOW
    ]


def pauses(contest: Contest, principles: PrincipleSet) -> list[d.PausePart]:
    """The pauses that touch a decision: they hold a candidate back, or pause a principle that is about one or makes
    something owed."""
    return [
        d.PausePart(one.id, one.what, one.name, one.by, one.why, format_time(one.until))
        for one in contest.base.pauses
        if _touches(one, contest, principles)
    ]


def _touches(pause: Pause, contest: Contest, principles: PrincipleSet) -> bool:
    if pause.what == "principle" and any(one.id == pause.name for one in principles.requires):
        return True
    return any(_holds_back(pause, asked) for asked in contest.asked)


def _holds_back(pause: Pause, asked: Asked) -> bool:
    etiquette = asked.etiquette
    if asked.slot is None or etiquette is None:
        return False
    if pause.what == "principle":
        return any(one.id == pause.name for one in (*etiquette.blocking, *etiquette.modifying))
    return not etiquette.guaranteed and pause.holds_back(asked.slot)


def _verdict(
    contest: Contest, group: Group, place: int, standing: Standing, until: int | None, manner: Manner
) -> d.CandidateVerdict:
    one = contest.asked[place]
    facts = contest.facts(place)
    findings = contest.findings(place, contest.base.t)
    modifying = contest.modifying.get(place, []) if standing.verdict is Verdict.ALLOW else []
    reasons = [
        _reason(finding, facts, manner)
        for finding in (*_lost(contest, group, place, standing, manner), *findings, *map(_of_manner, modifying))
    ]
    explained = [] if manner.explain == "none" else unless(contest, group, place)
    return d.CandidateVerdict(
        candidate=one.candidate.id,
        verdict=standing.verdict,
        until=format_optional(until),
        unless=d.Unless(explained) if explained else None,
        reasons=reasons,
        modifications=[d.Modification(rule.changes, rule.id) for rule in modifying],
        lost_to=standing.lost_to,
        evaluated=list(_evaluated(contest, place, facts)) if manner.explain == "full" else UNSET,
    )


def _lost(contest: Contest, group: Group, place: int, standing: Standing, manner: Manner) -> list[Finding]:
    """Who was chosen instead, in full also with which scores."""
    if standing.lost_to is None:
        return []
    shown: dict[str, Any] = {"lost_to": standing.lost_to}
    if manner.explain == "full":
        contenders = {contest.asked[other].candidate.id: contest.asked[other].contender for other in group}
        chosen = contenders[standing.lost_to]
        shown["score"] = round(contest.asked[place].contender.score, 6)
        shown["lost_to_score"], shown["lost_to_owed"] = round(chosen.score, 6), chosen.owed
    return [Finding(Verdict.DEFER, "arbitration", "one-at-a-time", TEXTS["arbitration"], shown=shown)]


def _of_manner(rule: Principle) -> Finding:
    return Finding(Verdict.ALLOW, "principle", rule.id, rule.text, rule.condition.reads)


def _reason(finding: Finding, facts: FactSource, manner: Manner) -> d.Reason:
    shown = {} if manner.explain == "none" else {**_facts(finding.reads, facts), **finding.shown}
    return d.Reason(finding.source, finding.id, finding.text[manner.language], shown)


def _facts(reads: Iterable[str], facts: FactSource) -> dict[str, Any]:
    return {name: _shown(name, facts) for name in sorted(reads)}


def _shown(name: str, facts: FactSource) -> Any:
    if name == CASES:
        return [case.case for case in facts.cases()]
    value = facts.get(name)
    return format_duration(int(value)) if name in BY_NAME and BY_NAME[name].type == "duration" else value


def _evaluated(contest: Contest, place: int, facts: FactSource) -> Iterator[d.Evaluated]:
    etiquette = contest.asked[place].etiquette
    with suppress(OutOfTime):
        for rule in (*etiquette.blocking, *etiquette.modifying) if etiquette else ():
            contest.deadline.check()
            if not contest.sight(place, contest.base.t).counts(rule):
                continue
            holds = rule.condition.evaluate(facts)
            yield d.Evaluated(rule.id, rule.effect, holds, _facts(rule.condition.reads, facts))
