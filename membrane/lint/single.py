"""What is wrong with one principle by itself: it can never match, a moment of it never comes, it fails, it owes without
bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from membrane.compiling import compiled
from membrane.dictionary import BY_NAME
from membrane.expressions import AgeBound, Node, facts_read
from membrane.given import Given
from membrane.lint.customers import Search, Space, space_of
from membrane.lint.findings import Finding, Places, shows
from membrane.lint.plausible import plausible
from membrane.principles import MONEY_KINDS, Principle
from membrane.times import format_duration
from membrane.vocabulary import FindingKind


def matching(principle: Principle, search: Search) -> Given | None:
    """A customer whom a principle matches, None if none was found."""
    return search.first(space_of([principle]), lambda customer: principle.condition.evaluate(customer) is True)


def lint_alone(principle: Principle, places: Places, search: Search) -> Iterator[Finding]:
    """The findings about a principle by itself."""
    found = matching(principle, search)
    if found is None:
        yield from _never(principle, places, search)
    else:
        yield from _dead_moments(principle, found, places, search)
        yield from _unbounded(principle, found, places)
    yield from _failing(principle, places, search)


def _never(principle: Principle, places: Places, search: Search) -> Iterator[Finding]:
    """It matches nobody: because of an age that nobody has, or at all."""
    space = space_of([principle])
    holds = principle.condition.evaluate
    if not search.none(space, lambda customer: holds(customer) is True):
        return
    bound = next((one for one in principle.condition.ages if one.fact in BY_NAME), None)
    aged = search.first(replace(space, ages=False), lambda customer: holds(customer) is True)
    if aged is None or bound is None:
        witness = shows(_nearest(principle, space), principle)
        yield places.finding(FindingKind.UNREACHABLE, [principle.id], places.path(principle, "when"), witness)
    else:
        yield _dead_moment(principle, bound, places, _nearest(principle, space, bound))


def _nearest(principle: Principle, space: Space, bound: AgeBound | None = None) -> Given:
    """The customer for whom most parts of the condition hold, those about the age of a bound apart; among them the one
    of the greatest such age."""
    age = "" if bound is None else bound.fact
    told = [part for part in _parts(principle.condition.tree) if age not in facts_read(part)]
    parts = [part for part in map(compiled, told) if part is not None]

    def near(customer: Given) -> tuple[int, int]:
        return sum(part(customer.get) for part in parts), int(customer.values.get(age, 0))

    return max(space, key=near, default=Given())


def _parts(node: Node) -> list[Node]:
    if node.kind == "call" and node.value == "_&&_":
        return [part for child in node.children for part in _parts(child)]
    return [node]


def _dead_moments(principle: Principle, found: Given, places: Places, search: Search) -> Iterator[Finding]:
    """Moments that an age names at which the condition cannot change."""
    for bound in principle.condition.ages:
        if bound.fact not in BY_NAME:
            continue
        space = replace(space_of([principle], {bound.fact: (bound.ms,)}), ages=False)
        if search.none(space, partial(_turns, principle, bound)):
            yield _dead_moment(principle, bound, places, found)


def _turns(principle: Principle, bound: AgeBound, customer: Given) -> bool:
    """Whether the condition changes for a customer at a moment of the bound."""
    for moment in bound.moments_ms:
        before, after = (_aged(customer, bound.fact, age) for age in (max(moment - 1, 0), moment))
        possible = plausible(before.values) and plausible(after.values)
        if possible and principle.condition.evaluate(before) != principle.condition.evaluate(after):
            return True
    return False


def _aged(customer: Given, fact: str, age_ms: int) -> Given:
    return replace(customer, values={**customer.values, fact: age_ms})


def _dead_moment(principle: Principle, bound: AgeBound, places: Places, customer: Given) -> Finding:
    return places.finding(
        FindingKind.DUE_TIME,
        [principle.id],
        places.path(principle, "when"),
        shows(customer, principle),
        fact=bound.fact,
        at=format_duration(bound.ms),
    )


def _unbounded(principle: Principle, found: Given, places: Places) -> Iterator[Finding]:
    """What is owed again and again needs a most."""
    promise = principle.promise
    if promise is None or promise.once_per or promise.at_most is not None:
        return
    yield places.finding(
        FindingKind.UNBOUNDED,
        [principle.id],
        places.path(principle, "obligation"),
        shows(found, principle),
        severity="error" if promise.kind in MONEY_KINDS else "warning",
        what=promise.kind,
        every=format_duration(promise.every_ms),
    )


_COUNTS_AS: Final = {
    True: {"en": "a match", "es": "cumplida"},
    False: {"en": "no match", "es": "no cumplida"},
}


def _failing(principle: Principle, places: Places, search: Search) -> Iterator[Finding]:
    """What is compiled cannot fail; for the rest only the engine can say."""
    condition = principle.condition
    if condition.compiled is not None:
        return
    found = search.first(space_of([principle]), lambda customer: condition.evaluate(customer) is None)
    if found is not None:
        path, witness = places.path(principle, "when"), shows(found, principle)
        said = _COUNTS_AS[principle.on_error]
        yield places.finding(FindingKind.CAN_ERROR, [principle.id], path, witness, en=said["en"], es=said["es"])
