"""Customers worth trying for some conditions, from the values that their literals suggest, in a fixed order.

For a number they are each literal and what lies between, below and above them; for an enumeration all its values. Where
every comparison is of a fact with a literal or another fact, that is one customer for each way in which the conditions
can come out; beyond `MOST_OF_A_SPACE` of them an even share is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from math import ceil, floor, gcd, inf, prod
from typing import Any, Final

from membrane.cases import KEPT_CASES, KEPT_REPORTS
from membrane.conditions import Condition
from membrane.dictionary import BY_NAME, CASE_ENUMS, CASE_FIELDS, FEATURE_PREFIX, CaseFacts, Value
from membrane.expressions import CASES, Node, walk
from membrane.facts import REQUEST_FACTS
from membrane.features import REGISTRY
from membrane.fold import KEPT_LOW_SCORES
from membrane.given import Given
from membrane.lint.plausible import plausible
from membrane.principle_tests import PLAIN_CASE
from membrane.principles import Effect, Principle
from membrane.settings import TenantSettings
from membrane.stages import NEW_FOR, RECOVERING_FOR
from membrane.times import HOUR
from membrane.vocabulary import CHANNELS, LIFECYCLES, STAGES

MOST_OF_A_SPACE: Final = 4_096
"""Customers tried for one question."""
MOST_TRIED: Final = 100_000
"""Customers tried for a whole file; one for whom only the engine can say counts as ten."""
_ENGINE_COST: Final = 10
_MOST_CASES: Final = 64
"""Kinds of open cases that are made."""

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
        step = _step(size)
        for place in range(min(size, MOST_OF_A_SPACE)):
            rest, cases = divmod(place * step % size, len(self.case_lists))
            made: dict[str, Value] = {}
            for name, values in self.values.items():
                rest, index = divmod(rest, len(values))
                made[name] = values[index]
            open_cases = self.case_lists[cases]
            if len(self.case_lists) > 1:
                made |= {name: told for name, told in _of_cases(open_cases).items() if name in made}
            yield Given(made, open_cases) if plausible(made, ages=self.ages) else None


def _step(size: int) -> int:
    """How far one customer lies from the next, so that an even share is tried of too many."""
    step = max(round(size / MOST_OF_A_SPACE), 1)
    while gcd(step, size) > 1:
        step += 1
    return step


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
    linked = literals.linked
    shared = {value for name in linked for value in literals.of.get(name, set())}
    limits = {**_limits(given), **(among or {})}
    reads = {name for one in conditions for name in one.reads}
    lists = _case_lists(conditions) if CASES in reads else ((),)
    told = _TOLD_BY_CASES if CASES in reads else frozenset()
    values: dict[str, tuple[Value, ...]] = {}
    for name in sorted(reads - {CASES}):
        own = shared if name in linked else literals.of.get(name, set())
        found = _values(name, own, len(linked) if name in linked else 1) if name not in told else (0,)
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


# ---- numbers and words --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Literals:
    """What each fact is compared with, and the facts that are compared with other facts."""

    of: dict[str, set[Value]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)


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
    return found


_NO_CASE: Final = 9
_LISTED: Final[dict[str, tuple[Value, ...]]] = {
    "lifecycle": ("active", "new", "dormant", "closed", "unknown"),
    "stage.name": ("steady", "thriving", "at_risk", "strained", "recovering", "crisis", "none"),
    "case.worst_severity": (_NO_CASE, 4, 3, 2, 1),
}
_MOST: Final[dict[str, float]] = {
    "problem.recurrences": KEPT_REPORTS,
    "survey.low_unanswered": KEPT_LOW_SCORES,
    "contact.complaints_90d": 1,
    **{fact.name: KEPT_CASES for fact in BY_NAME.values() if fact.unit == "cases"},
    **{fact.name: 1.0 for fact in BY_NAME.values() if fact.unit == "probability"},
}
_TIMES: Final = {"stage.age": (RECOVERING_FOR,), "customer.tenure": (NEW_FOR,)}
"""Ages at which something ends that may stand in the same condition."""
_UNITS: Final = {feature.name: feature.unit for feature in REGISTRY}
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "tone": (-1.0, 1.0),
    "share": (0.0, 1.0),
    "ratio": (0.0, 10.0),
    "days": (0.0, 3650.0),
    "0..10": (0.0, 10.0),
    "1..5": (1.0, 5.0),
    "1..7": (1.0, 7.0),
    "5 - severity": (0.0, 4.0),
}
_FRACTIONS: Final = frozenset({"tone", "share", "ratio", "days", "hours", "money"})


def _values(name: str, literals: set[Value], spare: int) -> tuple[Value, ...]:
    """The values to try, the plainest first; `spare` of them in each gap between literals."""
    if name in _LISTED:
        return _LISTED[name]
    fact = BY_NAME.get(name)
    if fact is not None and fact.type == "bool":
        return (fact.unknown, not fact.unknown)
    if fact is not None and fact.values:
        return (fact.unknown, *(value for value in fact.values if value != fact.unknown))
    numbers = [value for value in literals if isinstance(value, int | float)]
    if fact is None:
        return _feature_values(name, numbers, spare)
    if fact.type == "double":
        return tuple(_around(numbers, 0.0, _MOST.get(name, inf), 0.01, spare))
    if fact.type == "duration":
        return tuple(map(int, _around([*numbers, *_TIMES.get(name, ())], 0, inf, HOUR, spare)))
    return tuple(map(int, _around(numbers, 0, _MOST.get(name, inf), 1, spare)))


def _feature_values(name: str, literals: Sequence[float], spare: int) -> tuple[Value, ...]:
    unit = _UNITS.get(name.removeprefix(FEATURE_PREFIX), "")
    low, high = _RANGES.get(unit, (0.0, inf))
    if unit in _FRACTIONS:
        return (*_around(literals, low, high, 0.01, spare),)
    whole = [edge for literal in literals if abs(literal) < inf for edge in (floor(literal), ceil(literal))]
    return (*map(float, _around(whole, low, high, 1, spare)),)


def _around(literals: Iterable[float], low: float, high: float, step: float, spare: int) -> list[float]:
    """The ends of a range, each literal within it, and up to `spare` numbers in each gap: `step` apart, or as far as
    there is room.

    >>> _around([72], 0, inf, 1, 1)
    [0, 71, 72, 73]
    """
    points = sorted({literal for literal in literals if low < literal < high})
    found = [low, *points]
    for before, after in pairwise([low, *points, high]):
        room = min(step, (after - before) / (spare + 1))
        if isinstance(step, int):
            room = floor(room) or 1
        near, way = (after, -room) if before == low and after in points else (before, room)
        gap = (near + way * count for count in range(1, spare + 1))
        found += [number for number in gap if before < number < after]
    found += [high] if high < inf else []
    return list(dict.fromkeys(sorted(round(number, 6) for number in found)))


# ---- open cases ---------------------------------------------------------------------------------------------------

_BILLING: Final = TenantSettings().billing_categories


def _case_lists(conditions: Iterable[Condition]) -> tuple[tuple[CaseFacts, ...], ...]:
    """No case, one of each kind, several of the same, and two of different kinds."""
    trees = [one.tree for one in conditions]
    kinds = _case_kinds(trees)
    indexes = {int(node.children[1].value) for tree in trees for node in walk(tree) if _is_index(node)}
    sizes = sorted({2, *indexes, *(index + 1 for index in indexes)} - {0, 1})
    several = [(kind,) * size for size in sizes if size <= KEPT_CASES for kind in kinds]
    mixed = [pair for pair in product(kinds[:8], repeat=2) if pair[0] != pair[1]]
    return ((), *((kind,) for kind in kinds), *several, *mixed)


def _is_index(node: Node) -> bool:
    return node.kind == "call" and node.value == "_[_]" and node.children[1].kind == "const"


def _case_kinds(trees: Iterable[Node]) -> list[CaseFacts]:
    literals: dict[str, set[Value]] = {}
    for tree in trees:
        for node in walk(tree):
            if node.kind == "field":
                literals.setdefault(str(node.value), set())
            elif node.kind == "call":
                for one, other in (node.children, node.children[::-1]) if len(node.children) == 2 else ():
                    _note(literals, one, other)
    fields = {name: _field_values(name, found) for name, found in literals.items() if name in CASE_FIELDS}
    names = ["age_ms" if name == "age" else name for name in fields]
    made: list[dict[str, Any]] = [dict(zip(names, one, strict=True)) for one in product(*fields.values())]
    kinds = [replace(PLAIN_CASE, **one) for one in made]
    return kinds[:: max(ceil(len(kinds) / _MOST_CASES), 1)]


def _note(literals: dict[str, set[Value]], one: Node, other: Node) -> None:
    if one.kind == "field":
        found = other.children if other.kind == "list" else (other,)
        literals.setdefault(str(one.value), set()).update(
            literal.value for literal in found if literal.kind in {"const", "duration"}
        )


def _field_values(name: str, literals: set[Value]) -> tuple[Value, ...]:
    plain: Value = getattr(PLAIN_CASE, "age_ms" if name == "age" else name)
    if name in CASE_ENUMS:
        return CASE_ENUMS[name]
    match CASE_FIELDS[name]:
        case "bool":
            return (False, True)
        case "string":
            return (plain, *sorted(str(value) for value in literals if value != plain))
        case "duration":
            return tuple(map(int, _around([int(value) for value in literals], 0, inf, HOUR, 1)))
    if name == "severity":
        return (3, 1, 2, 4)
    return tuple(map(int, _around([int(value) for value in literals], 0, KEPT_REPORTS, 1, 1)))


def _of_cases(cases: tuple[CaseFacts, ...]) -> dict[str, Value]:
    """The facts that the open cases give."""
    return {
        "case.open": len(cases),
        "case.open_without_eta": sum(not one.has_eta and one.status == "open" for one in cases),
        "case.waiting_on_customer": sum(one.status == "waiting_on_customer" for one in cases),
        "case.worst_severity": min((one.severity for one in cases), default=_NO_CASE),
        "case.eta_missed": sum(one.eta_missed for one in cases),
        "case.open_billing": sum(one.category in _BILLING for one in cases),
        "problem.recurrences": max((one.recurrences for one in cases), default=0),
    }


_TOLD_BY_CASES: Final = frozenset(_of_cases(()))
