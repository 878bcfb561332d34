"""Compiled conditions against the engine: as many random conditions and customers as it takes to believe it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from bench.decisions import Size
from bench.rows import Row, at_most
from membrane.conditions import Condition, compile_condition
from membrane.dictionary import FACTS, Fact, Value
from membrane.features import FEATURE_NAMES
from membrane.given import Given
from membrane.times import HOUR

SEED: Final = 17
CUSTOMERS: Final = 10
_NUMBERS: Final = (0, 1, 2, 3, 7, 9)
_DOUBLES: Final = (0.0, 0.25, 0.4, 0.5, 1.0, 3.0)
_HOURS: Final = (0, 1, 48, 72)
_OPERATORS: Final = ("==", "!=", "<", "<=", ">", ">=")


def equality(size: Size) -> Iterator[Row]:
    """Disagreements of what was compiled with what the engine says: 10,000 conditions, each for 10 customers (a tenth
    of that in a quick run)."""
    random, count = Random(SEED), 10_000 if size.rounds > 1 else 1_000
    disagreed = pairs = held = 0
    for _ in range(count):
        condition = _condition(random)
        for _ in range(CUSTOMERS):
            given = Given({fact.name: _value(random, fact) for fact in FACTS if random.random() < 0.7})
            found = condition.evaluate(given)
            disagreed += found is not condition.by_engine(given)
            held += bool(found)
            pairs += 1
    yield Row(
        "compiled conditions: disagreements with the engine", "", disagreed, f"{pairs:,} conditions × facts",
        at_most(0), note=f"seed {SEED}; true for {held / pairs:.0%}",
    )  # fmt: skip


def _condition(random: Random) -> Condition:
    text = _text(random, 3)
    found = compile_condition(text, FEATURE_NAMES)
    if not isinstance(found, Condition) or found.compiled is None:
        raise RuntimeError(f"bench: a condition that can be compiled was required: {text}: {found}")
    return found


def _text(random: Random, depth: int) -> str:
    form = random.choice(("leaf", "and", "or", "not", "if", "same")) if depth else "leaf"
    match form:
        case "and" | "or":
            return f"({_text(random, depth - 1)} {'&&' if form == 'and' else '||'} {_text(random, depth - 1)})"
        case "not":
            return f"!({_text(random, depth - 1)})"
        case "if":
            return f"({_text(random, depth - 1)} ? {_text(random, depth - 1)} : {_text(random, depth - 1)})"
        case "same":
            return f"(({_text(random, depth - 1)}) == ({_text(random, depth - 1)}))"
    return _leaf(random, random.choice(FACTS))


def _leaf(random: Random, fact: Fact) -> str:
    if random.random() < 0.1:
        return f"features.{random.choice(FEATURE_NAMES)} {random.choice(_OPERATORS[2:])} {random.choice(_DOUBLES)}"
    match fact.type:
        case "bool":
            return random.choice((fact.name, f"{fact.name} == {random.choice(('true', 'false'))}"))
        case "duration":
            return f'{fact.name} {random.choice(_OPERATORS)} duration("{random.choice(_HOURS)}h")'
        case "int" if random.random() < 0.3:
            return f"{fact.name} in {random.sample(_NUMBERS, 3)}"
        case "string" if fact.values and random.random() < 0.4:
            return f"{fact.name} in [{', '.join(map(_quoted, random.sample(fact.values, min(2, len(fact.values)))))}]"
        case "string":
            return f"{fact.name} {random.choice(_OPERATORS[:2])} {_quoted(random.choice(fact.values or ('x',)))}"
    literal = random.choice(_NUMBERS if fact.type == "int" else _DOUBLES)
    left, right = random.sample((fact.name, str(literal)), 2)
    return f"{left} {random.choice(_OPERATORS)} {right}"


def _quoted(value: str) -> str:
    return f'"{value}"'


def _value(random: Random, fact: Fact) -> Value:
    match fact.type:
        case "bool":
            return random.random() < 0.5
        case "duration":
            return random.choice(_HOURS) * HOUR + random.choice((-1, 0, 1)) * (random.random() < 0.5)
        case "int":
            return random.choice(_NUMBERS)
        case "double":
            return random.choice(_DOUBLES)
    return str(random.choice(fact.values or ("x",)))
