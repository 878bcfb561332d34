"""The checked tree of a condition, without any engine: what it reads and which moments it names.

`membrane.conditions` makes `Node`s from the engine's checked AST; `membrane.compiling` makes Python of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from membrane.dictionary import BY_NAME, CASE_ENUMS, FEATURE_PREFIX, ON_LIFECYCLE, ON_STAGE, Position, Value
from membrane.features import AGES

Kind = Literal["const", "duration", "name", "variable", "field", "call", "list", "loop"]

FEATURE_AGES: Final = {FEATURE_PREFIX + name: age for name, age in AGES.items()}
"""The facts that are features and ages."""
_MOST_UNITS: Final = 1e9
"""An age that is compared with more is compared with what it never reaches."""
CASES: Final = "cases"
CASE_AGE: Final = "cases.age"
"""The name of the age of an open case in `AgeBound.fact`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `value` is a constant, a duration in ms, a fact's or variable's name, a field, a function or the
    variable of a loop; `offset` counts characters from the start of the condition."""

    kind: Kind
    value: Value
    children: tuple[Node, ...] = ()
    offset: int = 0


@dataclass(frozen=True, slots=True)
class AgeBound:
    """`fact op ms`: an age (a feature that is one, too) compared with a literal; time alone changes its truth
    `moments_ms` after the age's anchor."""

    fact: str
    op: str
    ms: int

    @property
    def moments_ms(self) -> tuple[int, ...]:
        """When the comparison may change, in milliseconds after the anchor: at d for >= and <, one later for > and <=.

        >>> AgeBound("stage.age", ">", 5).moments_ms, AgeBound("stage.age", ">=", 5).moments_ms
        ((6,), (5,))
        """
        if self.op in {">=", "<"}:
            return (self.ms,)
        return (self.ms + 1,) if self.op in {">", "<="} else (self.ms, self.ms + 1)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A fact compared with a literal or with another fact: where a change of the fact may change the condition."""

    fact: str
    other: Value
    other_is_fact: bool = False


_MIRRORED: Final = {"_<_": ">", "_<=_": ">=", "_>_": "<", "_>=_": "<=", "_==_": "==", "_!=_": "!="}


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, parents first."""
    yield node
    for child in node.children:
        yield from walk(child)


def facts_read(node: Node) -> frozenset[str]:
    """The facts that a condition reads; `cases` for the list, with `case.eta_missed` for that field's own changes."""
    names = {str(found.value) for found in walk(node) if found.kind == "name"}
    if any(found.kind == "field" and found.value == "eta_missed" for found in walk(node)):
        names.add("case.eta_missed")
    return frozenset(names)


def loop_depth(node: Node) -> int:
    """How deep macros over lists are nested."""
    below = max(map(loop_depth, node.children), default=0)
    return below + (node.kind == "loop")


def is_age(node: Node) -> bool:
    """Whether a node is an age: a fact of type duration, or a case's age."""
    if node.kind == "name":
        return str(node.value) in BY_NAME and BY_NAME[str(node.value)].type == "duration"
    return node.kind == "field" and node.value == "age"


def age_bounds(node: Node) -> tuple[AgeBound, ...]:
    """Every comparison of an age with a literal duration, and of a feature that is an age with a literal number."""
    bounds = ([_age_bound(found), _feature_bound(found)] for found in walk(node))
    return tuple(bound for pair in bounds for bound in pair if bound is not None)


def loose_features(node: Node) -> frozenset[str]:
    """Features that are ages and stand anywhere but in a comparison with a literal: no moment can be told for them."""
    if _feature_bound(node) is not None:
        return frozenset()
    own = {str(node.value)} & FEATURE_AGES.keys() if node.kind == "name" else frozenset()
    return frozenset(own).union(*map(loose_features, node.children))


def loose_ages(node: Node) -> list[Node]:
    """Ages and durations used in any other way: their moments could not be known beforehand."""
    bound = _age_bound(node)
    if bound is not None:
        return []
    own = [node] if is_age(node) or node.kind == "duration" else []
    return own + [found for child in node.children for found in loose_ages(child)]


def _age_bound(node: Node) -> AgeBound | None:
    if node.kind != "call" or node.value not in _MIRRORED:
        return None
    left, right = node.children
    op = str(node.value).strip("_")
    if is_age(right) and left.kind == "duration":
        left, right, op = right, left, _MIRRORED[str(node.value)]
    if not (is_age(left) and right.kind == "duration"):
        return None
    return AgeBound(str(left.value) if left.kind == "name" else CASE_AGE, op, int(right.value))


def _feature_bound(node: Node) -> AgeBound | None:
    if node.kind != "call" or node.value not in _MIRRORED:
        return None
    left, right = node.children
    op = str(node.value).strip("_")
    if left.kind == "const":
        left, right, op = right, left, _MIRRORED[str(node.value)]
    age = FEATURE_AGES.get(str(left.value)) if left.kind == "name" else None
    if age is None or right.kind != "const" or not isinstance(right.value, (int, float)):
        return None
    literal = min(max(float(right.value), -1.0), _MOST_UNITS)
    first_ms = ceil(literal * age.unit_ms) - 1
    while first_ms / age.unit_ms < literal:  # the division is the feature's own: it decides about the last bit
        first_ms += 1
    exactly = first_ms / age.unit_ms == literal
    return AgeBound(str(left.value), op if exactly else ">=", first_ms)


def thresholds(node: Node) -> tuple[Threshold, ...]:
    """Every comparison of a scalar fact with a literal or another fact, and of a fact with each literal of a list."""
    found: dict[Threshold, None] = {}
    for call in walk(node):
        if call.kind == "call" and (call.value in _MIRRORED or call.value == "@in"):
            for one, other in (call.children, call.children[::-1]):
                found.update(dict.fromkeys(_thresholds_of(one, other)))
    return tuple(found)


def _thresholds_of(one: Node, other: Node) -> list[Threshold]:
    if one.kind != "name" or is_age(one):
        return []
    fact = str(one.value)
    literals = other.children if other.kind == "list" else (other,)
    return [
        Threshold(fact, item.value, other_is_fact=item.kind == "name")
        for item in literals
        if item.kind == "const" or (item.kind == "name" and other.kind != "list")
    ]


def wrong_values(node: Node) -> list[tuple[Node, tuple[str, ...]]]:
    """Literals compared with an enumeration that it does not have, each with the values it does have."""
    wrong = []
    for call in walk(node):
        if call.kind == "call" and call.value in {"_==_", "_!=_", "@in"}:
            for one, other in (call.children, call.children[::-1]):
                wrong += _wrong_in(one, other)
    return wrong


def _wrong_in(one: Node, other: Node) -> list[tuple[Node, tuple[str, ...]]]:
    enumerated = one.children if one.kind == "list" else (one,)
    values = next((found for item in enumerated if (found := _enumeration(item))), ())
    literals = other.children if other.kind == "list" else (other,)
    return [(item, values) for item in literals if values and item.kind == "const" and item.value not in values]


def _enumeration(node: Node) -> tuple[str, ...]:
    if node.kind == "name" and node.value in BY_NAME:
        return BY_NAME[str(node.value)].values
    return CASE_ENUMS.get(str(node.value), ()) if node.kind == "field" else ()


@dataclass(frozen=True, slots=True)
class Dependence:
    """How a condition depends on where the customer stands: whether on stage and lifecycle at all, and outside of which
    of them it is certainly false (None: it may hold in any)."""

    on_stage: bool
    on_lifecycle: bool
    stages: frozenset[str] | None
    lifecycles: frozenset[str] | None

    def may_change(self, before: Position, after: Position) -> bool:
        """Whether a move may change what the condition says."""
        reads = (self.on_stage and before[0] != after[0]) or (self.on_lifecycle and before[1] != after[1])
        return reads and (self._may_hold(before) or self._may_hold(after))

    def _may_hold(self, position: Position) -> bool:
        stage, lifecycle = position
        return (self.stages is None or stage in self.stages) and (
            self.lifecycles is None or lifecycle in self.lifecycles
        )


def dependence(node: Node) -> Dependence:
    """How a condition depends on where the customer stands."""
    reads = facts_read(node)
    on_stage, on_lifecycle = not reads.isdisjoint(ON_STAGE), not reads.isdisjoint(ON_LIFECYCLE)
    return Dependence(on_stage, on_lifecycle, values_needed(node, "stage.name"), values_needed(node, "lifecycle"))


def values_needed(node: Node, fact: str) -> frozenset[str] | None:
    """The values of an enumerated fact outside of which a condition is certainly false; None where it may hold with
    any."""
    if node.kind != "call":
        return None
    match node.value:
        case "_&&_":
            sides = [side for side in (values_needed(child, fact) for child in node.children) if side is not None]
            return frozenset.intersection(*sides) if sides else None
        case "_||_":
            left, right = (values_needed(child, fact) for child in node.children)
            return None if left is None or right is None else left | right
        case "_==_" | "_!=_" | "@in":
            return _values_compared(node, fact)
    return None


def _values_compared(node: Node, fact: str) -> frozenset[str] | None:
    one, other = node.children
    if other.kind == "name" and node.value != "@in":
        one, other = other, one
    literals = other.children if other.kind == "list" else (other,)
    if (one.kind, one.value) != ("name", fact) or any(literal.kind != "const" for literal in literals):
        return None
    values = frozenset(str(literal.value) for literal in literals)
    return frozenset(BY_NAME[fact].values) - values if node.value == "_!=_" else values
