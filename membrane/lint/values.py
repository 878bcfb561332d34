"""Values worth trying for a fact, and open cases worth trying, from the literals that conditions compare them with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from math import ceil, floor, gcd, inf
from typing import Any, Final

from membrane.cases import KEPT_CASES, KEPT_REPORTS
from membrane.conditions import Condition
from membrane.dictionary import BY_NAME, CASE_ENUMS, CASE_FIELDS, FEATURE_PREFIX, CaseFacts, Value
from membrane.expressions import Node, walk
from membrane.features import REGISTRY
from membrane.fold import KEPT_LOW_SCORES
from membrane.principle_tests import PLAIN_CASE
from membrane.settings import TenantSettings
from membrane.stages import NEW_FOR, RECOVERING_FOR
from membrane.times import HOUR

_MOST_CASES: Final = 64
"""Kinds of open cases that are made."""
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
    "tone": (-2.0, 2.0),
    "share": (0.0, 1.0),
    "ratio": (0.0, 10.0),
    "days": (0.0, 3650.0),
    "money": (-inf, inf),
    "0..10": (0.0, 10.0),
    "1..5": (0.0, 5.0),
    "1..7": (0.0, 7.0),
    "5 - severity": (0.0, 4.0),
}
"""What a feature may be at all, by its unit, 0 (of a customer never seen) included; else it is never negative."""
_FRACTIONS: Final = frozenset({"tone", "share", "ratio", "days", "hours", "money"})


def values_of(name: str, literals: set[Value], spare: int) -> tuple[Value, ...]:
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
        return (*_around([0.0, *literals], low, high, 0.01, spare),)
    whole = [edge for literal in literals if abs(literal) < inf for edge in (floor(literal), ceil(literal))]
    return (*map(float, _around(whole, low, high, 1, spare)),)


def _around(literals: Iterable[float], low: float, high: float, step: float, spare: int) -> list[float]:
    """The ends of a range, each literal within it, and in each gap `spare` numbers from either side: `step` apart, or
    as far as there is room. What else holds of a customer asks for the least or the most in a gap.

    >>> _around([3, 72], 0, inf, 1, 1)
    [0, 1, 2, 3, 4, 71, 72, 73]
    """
    points = sorted({low, high, *(literal for literal in literals if low < literal < high)})
    found = set(points)
    for before, after in pairwise(points):
        room: float = min(step, (after - before) / (spare + 1))
        room = max(floor(room), 1) if isinstance(step, int) else room
        for count in range(1, spare + 1):
            gap = (round(before + room * count, 6), round(after - room * count, 6))
            found.update(number for number in gap if before < number < after)
    return sorted(number for number in found if abs(number) < inf)


def spread(size: int, most: int) -> Iterator[int]:
    """The places of `most` things, an even share where there are more.

    >>> list(spread(3, 9)), list(spread(9, 3))
    ([0, 1, 2], [0, 4, 8])
    """
    step = max(round(size / most), 1)
    while gcd(step, size) > 1:
        step += 1
    return (place * step % size for place in range(min(size, most)))


# ---- open cases ---------------------------------------------------------------------------------------------------

_BILLING: Final = TenantSettings().billing_categories


def case_lists(conditions: Iterable[Condition]) -> tuple[tuple[CaseFacts, ...], ...]:
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
    return [kinds[place] for place in spread(len(kinds), _MOST_CASES)]


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


def of_cases(cases: tuple[CaseFacts, ...]) -> dict[str, Value]:
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


TOLD_BY_CASES: Final = frozenset(of_cases(()))
