"""`unless`: facts whose change, and nothing else, gives a weaker verdict: single ones, else two together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import combinations, islice, product
from typing import Final

from membrane import decisions
from membrane.contest import Contest, Group
from membrane.deadline import OutOfTime
from membrane.dictionary import BY_NAME, FEATURE_PREFIX, FactSource, FactType, Value
from membrane.expressions import Threshold
from membrane.judging import Finding
from membrane.precedence import weaker
from membrane.sight import Asked
from membrane.vocabulary import Verdict

MOST_PAIRS: Final = 20
"""So many pairs of changes are tried at most."""


def unless(contest: Contest, group: Group, place: int) -> list[list[decisions.Change]]:
    """The facts that alone hold the verdict up, each with the values that would give a weaker one (arbitration among
    the group included): all other values of an enumeration, those next to a condition's literals for a number. Where
    no single fact does, the first two found that do so together.

    A request's own facts are left out (asking otherwise is another request), and ages are (they are time's to change).
    Past the deadline none is looked for any more.
    """
    t = contest.base.t
    standing = contest.standings(group, t)[place]
    if standing.verdict is Verdict.ALLOW or standing.lost_to is not None:
        return []
    found: list[list[decisions.Change]] = []
    with suppress(OutOfTime):
        found.extend([change] for change in _changes(contest, group, place, standing.verdict))
        if not found:
            found.extend(islice(_pairs(contest, group, place, standing.verdict), 1))
    return found


def _changes(contest: Contest, group: Group, place: int, verdict: Verdict) -> Iterator[decisions.Change]:
    facts = contest.facts(place)
    for fact in sorted(_deciding(contest.findings(place, contest.base.t), verdict)):
        would_be = [
            value
            for value in _values(fact, facts, contest.asked[place])
            if weaker(contest.verdict_if(place, group, (fact, value)), verdict)
        ]
        if would_be:
            yield decisions.Change(fact, facts.get(fact), would_be)


def _pairs(contest: Contest, group: Group, place: int, verdict: Verdict) -> Iterator[list[decisions.Change]]:
    """Two facts that every finding behind the verdict reads one of, changed together."""
    facts, asked = contest.facts(place), contest.asked[place]
    read = [one.reads for one in contest.findings(place, contest.base.t) if one.verdict is verdict]
    names = sorted(name for name in frozenset().union(*read) if _changeable(name))
    tried = (
        ((first, one), (second, other))
        for first, second in combinations(names, 2)
        if all(first in reads or second in reads for reads in read)
        for one, other in product(_values(first, facts, asked), _values(second, facts, asked))
    )
    for changes in islice(tried, MOST_PAIRS):
        if weaker(contest.verdict_if(place, group, *changes), verdict):
            yield [decisions.Change(name, facts.get(name), [value]) for name, value in changes]


def _deciding(findings: Iterable[Finding], verdict: Verdict) -> frozenset[str]:
    """The facts that every finding behind the verdict reads: no other fact could undo them all."""
    read = [one.reads for one in findings if one.verdict is verdict]
    common = frozenset.intersection(*read) if read else frozenset()
    return frozenset(name for name in common if _changeable(name))


def _changeable(name: str) -> bool:
    if name.startswith(FEATURE_PREFIX):
        return True
    return name in BY_NAME and BY_NAME[name].timed != "age" and not name.startswith(("request.", "about."))


def _values(name: str, facts: FactSource, asked: Asked) -> list[Value]:
    """The values to try, in order: never the one it has, nor, for an enumeration, back to the unknown."""
    now = facts.get(name)
    fact = BY_NAME.get(name)
    if fact is not None and fact.values:
        return [str(value) for value in fact.values if value not in {now, fact.unknown}]
    if fact is not None and fact.type == "bool":
        return [not now]
    kind: FactType = fact.type if fact is not None else "double"
    tried = {value for other in _compared(name, facts, asked) for value in _beside(other, kind)}
    return sorted(value for value in tried if value != now)


def _compared(name: str, facts: FactSource, asked: Asked) -> Iterator[Value]:
    principles = asked.etiquette.blocking if asked.etiquette else ()
    for principle in principles:
        for threshold in principle.condition.thresholds:
            if threshold.fact == name:
                yield _other(threshold, facts)


def _other(threshold: Threshold, facts: FactSource) -> Value:
    return facts.get(str(threshold.other)) if threshold.other_is_fact else threshold.other


def _beside(literal: Value, kind: FactType) -> list[float]:
    if isinstance(literal, str):
        return []
    if kind == "int":
        return [value for value in (int(literal) - 1, int(literal), int(literal) + 1) if value >= 0]
    return [round(float(literal) + step, 6) for step in (-0.01, 0.0, 0.01)]
