"""Customers worth trying for some conditions, from the values that their literals suggest, in a fixed order.

For a number they are each literal and what lies between, below and above them; for an enumeration all its values. Where
every comparison is of a fact with a literal or another fact, that is one customer for each way in which the conditions
can come out; beyond `MOST_OF_A_SPACE` of them an even share is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Final

from membrane.conditions import Condition
from membrane.dictionary import BY_NAME, CaseFacts, Value
from membrane.expressions import CASES
from membrane.facts import REQUEST_FACTS
from membrane.given import Given
from membrane.lint.plausible import plausible
from membrane.lint.values import TOLD_BY_CASES, case_lists, of_cases, spread, values_of
from membrane.principles import Effect, Principle
from membrane.vocabulary import CHANNELS, LIFECYCLES, STAGES

MOST_OF_A_SPACE: Final = 4_096
"""Customers tried for one question."""
MOST_TRIED: Final = 100_000
"""Customers tried for a whole file; one for whom only the engine can say counts as ten."""
_ENGINE_COST: Final = 10
_NESTED: Final = frozenset({"stage.age", "episode.age"})
"""The one is never greater than the other."""

Among = Mapping[str, Sequence[Value]]
"""The only values that some facts may have."""


@dataclass(frozen=True, slots=True)
class Space:
    """The customers for some conditions. `exact`: there is one for each way in which these can come out; `cost` is what
    trying one of them counts."""

    values: dict[str, tuple[Value, ...]]
    case_lists: tuple[tuple[CaseFacts, ...], ...]
    exact: bool
    cost: int
    ages: bool = True

    def __iter__(self) -> Iterator[Given]:
        """Those who may be, the plainest first."""
        return (customer for customer in self.made() if customer is not None)

    def made(self) -> Iterator[Given | None]:
        """All that are made of the values; None for one who cannot be (whatever the ages, unless `ages`)."""
        sizes = [len(values) for values in self.values.values()]
        size = prod(sizes) * len(self.case_lists)
        for place in spread(size, MOST_OF_A_SPACE):
            rest, cases = divmod(place, len(self.case_lists))
            made: dict[str, Value] = {}
            for name, values in self.values.items():
                rest, index = divmod(rest, len(values))
                made[name] = values[index]
            open_cases = self.case_lists[cases]
            if len(self.case_lists) > 1:
                made |= {name: told for name, told in of_cases(open_cases).items() if name in made}
            yield Given(made, open_cases) if plausible(made, ages=self.ages) else None


@dataclass(slots=True)
class Search:
    """Looks for customers and counts how many were made; `complete` while there was no need to stop."""

    most: int = MOST_TRIED
    tried: int = 0
    complete: bool = True

    def first(self, space: Space, test: Callable[[Given], bool]) -> Given | None:
        """The first customer who passes; None if none does, or there is no room to try more."""
        return next(filter(test, self.each(space)), None)

    def each(self, space: Space) -> Iterator[Given]:
        """The customers of a space, for as long as there is room."""
        for customer in space.made():
            if not self.spend(space.cost):
                return
            if customer is not None:
                yield customer

    def spend(self, cost: int = 1) -> bool:
        """Counts one more customer; False when there is no room for more."""
        self.complete = self.complete and self.tried + cost <= self.most
        self.tried += cost * self.complete
        return self.complete

    def none(self, space: Space, test: Callable[[Given], bool]) -> bool:
        """Whether it is certain that no customer passes."""
        return space.exact and self.first(space, test) is None and self.complete


def space_of(principles: Iterable[Principle], among: Among | None = None, *, ages: bool = True) -> Space:
    """The customers for the conditions of some principles: of a `require` those who have been seen, without what only
    a request can say."""
    given = tuple(principles)
    conditions = [one.condition for one in given]
    literals = _literals(conditions)
    limits = {**_limits(given), **(among or {})}
    reads = {name for one in conditions for name in one.reads}
    lists = case_lists(conditions) if CASES in reads else ((),)
    told = TOLD_BY_CASES if CASES in reads else frozenset()
    values: dict[str, tuple[Value, ...]] = {}
    for name in sorted(reads - {CASES}):
        found = values_of(name, *literals.about(name)) if name not in told else (0,)
        values[name] = tuple(value for value in found if name not in limits or value in limits[name])
    whole = all(one.compiled is not None for one in conditions)
    exact = whole and prod(map(len, values.values())) <= MOST_OF_A_SPACE
    return Space(values, lists, exact, 1 if whole else _ENGINE_COST, ages)


def _limits(principles: Iterable[Principle]) -> dict[str, Sequence[Value]]:
    limits: dict[str, Sequence[Value]] = {}
    for one in principles:
        if one.effect is Effect.REQUIRE:
            limits |= {name: (BY_NAME[name].unknown,) for name in REQUEST_FACTS}
            limits |= {"stage.name": tuple(map(str, STAGES)), "lifecycle": tuple(map(str, LIFECYCLES[1:]))}
        elif one.scope.channels:
            allowed = limits.get("request.channel", CHANNELS)
            limits["request.channel"] = tuple(channel for channel in allowed if channel in one.scope.channels)
    return limits


@dataclass(slots=True)
class _Literals:
    """What each fact is compared with, and the facts that are compared with each other."""

    of: dict[str, set[Value]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)

    def about(self, name: str) -> tuple[set[Value], int]:
        """The literals of a fact and how many values to try between them: where facts are compared with each other they
        share them."""
        if name not in self.linked:
            return self.of.get(name, set()), 1
        together = [other for other in self.linked if _type(other) == _type(name)]
        return {value for other in together for value in self.of.get(other, set())}, len(together)


def _type(name: str) -> str:
    return BY_NAME[name].type if name in BY_NAME else "double"


def _literals(conditions: Iterable[Condition]) -> _Literals:
    found = _Literals()
    for one in conditions:
        for threshold in one.thresholds:
            if threshold.other_is_fact:
                found.linked |= {threshold.fact, str(threshold.other)}
            else:
                found.of.setdefault(threshold.fact, set()).add(threshold.other)
        for bound in one.ages:
            if bound.fact in BY_NAME:
                found.of.setdefault(bound.fact, set()).add(bound.ms)
    if found.of.keys() >= _NESTED:
        found.linked |= _NESTED
    return found
