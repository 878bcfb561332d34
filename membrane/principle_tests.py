"""Inline tests of principles: facts given in the file, and whether the principle must match."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from membrane.dictionary import BY_NAME, CASE_ENUMS, CASE_FIELDS, FEATURE_PREFIX, CaseFacts, FactType, Value
from membrane.document import DocumentReader, hint
from membrane.given import Given
from membrane.principles import Effect, InlineTest, Principle, PrincipleSet
from membrane.times import HOUR, MINUTE, SECOND

FAILING: Final = "error"
"""`given: error` stands for an evaluation that fails."""
_PLAIN: Final[dict[FactType, tuple[type, ...]]] = {
    "string": (str,),
    "int": (int,),
    "double": (int, float),
    "bool": (bool,),
}
_MOST_UNITS: Final = 999_999
PLAIN_CASE: Final = CaseFacts("", "unknown", "", 3, "open", 0, has_eta=False, eta_missed=False, recurrences=0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one inline test came out; `path` says where it stands in the file."""

    principle: str
    path: str
    expected: bool
    actual: bool
    failing: bool = False
    """Whether it was about an evaluation that fails."""

    @property
    def passed(self) -> bool:
        """Whether it came out as the file says."""
        return self.expected == self.actual


@dataclass(slots=True)
class Coverage:
    """What the tests of a principle have seen: customers whom it matched and did not match, and failures."""

    effect: Effect
    matched: int = 0
    not_matched: int = 0
    errors: int = 0


def run_tests(principles: PrincipleSet) -> list[Outcome]:
    """The results of every inline test of a set, in the order of the file."""
    return [_outcome(one, test) for one in principles.principles for test in one.tests]


def _outcome(principle: Principle, test: InlineTest) -> Outcome:
    found = None if test.given is None else principle.condition.evaluate(test.given)
    actual = principle.on_error if found is None else found
    return Outcome(principle.id, test.path, test.matches, actual, failing=found is None)


def coverage(principles: PrincipleSet, outcomes: Iterable[Outcome]) -> dict[str, Coverage]:
    """What the tests of each principle have seen, by id in the order of the file."""
    seen = {one.id: Coverage(one.effect) for one in principles.principles}
    for outcome in outcomes:
        one = seen[outcome.principle]
        one.errors += outcome.failing
        one.matched += outcome.actual and not outcome.failing
        one.not_matched += not outcome.actual and not outcome.failing
    return seen


def read_tests(reader: DocumentReader, value: Any, path: str, features: tuple[str, ...]) -> tuple[InlineTest, ...]:
    """The tests under a principle; faults go to the reader."""
    return tuple(_test(reader, item, at, features) for at, item in reader.items(value, path))


def _test(reader: DocumentReader, value: Any, path: str, features: tuple[str, ...]) -> InlineTest:
    fields = reader.mapping(value, path, ("given", "matches"))
    matches = fields.get("matches", False)
    if not isinstance(matches, bool):
        reader.fault(f"{path}.matches", "must be true or false")
    given = fields.get("given", {})
    if given == FAILING:
        return InlineTest(path, None, bool(matches))
    if not isinstance(given, dict):
        reader.fault(f"{path}.given", f"must be facts with their values, or the word {FAILING}")
        given = {}
    return InlineTest(path, _given(reader, given, f"{path}.given", features), bool(matches))


def _given(reader: DocumentReader, fields: dict[str, Any], path: str, features: tuple[str, ...]) -> Given:
    values: dict[str, Value] = {}
    for name, value in fields.items():
        at = f"{path}.{name}"
        if name in BY_NAME:
            values[name] = _value(reader, value, at, BY_NAME[name].type, BY_NAME[name].values)
        elif name.startswith(FEATURE_PREFIX) and name.removeprefix(FEATURE_PREFIX) in features:
            values[name] = _value(reader, value, at, "double", ())
        elif name != "cases":
            reader.fault(at, f"unknown fact{hint(name, BY_NAME)}")
    cases = reader.items(fields.get("cases", []), f"{path}.cases")
    return Given(values, tuple(_case(reader, item, at) for at, item in cases))


def _case(reader: DocumentReader, value: Any, path: str) -> CaseFacts:
    fields = reader.mapping(value, path, (), CASE_FIELDS)
    known: dict[str, Any] = {
        name: _value(reader, fields[name], f"{path}.{name}", kind, CASE_ENUMS.get(name, ()))
        for name, kind in CASE_FIELDS.items()
        if name in fields
    }
    return replace(PLAIN_CASE, **{"age_ms" if name == "age" else name: value for name, value in known.items()})


def _value(reader: DocumentReader, value: Any, path: str, kind: FactType, values: tuple[str, ...]) -> Value:
    if kind == "duration":
        return reader.duration(value, path) if value != "0s" else 0
    if values:
        return reader.choice(value, path, values)
    if type(value) in _PLAIN[kind]:
        found: Value = float(value) if kind == "double" else value
        return found
    reader.fault(path, f"must be a {kind}")
    return ""


def given_form(given: Given) -> dict[str, Any]:
    """The facts as a test in a file gives them. Durations have one unit, so one of more than 999,999 of the unit that
    it needs is cut to the next greater one."""
    form: dict[str, Any] = {
        name: _form(value, BY_NAME[name].type if name in BY_NAME else "double") for name, value in given.values.items()
    }
    if given.open_cases:
        form["cases"] = [_case_form(case) for case in given.open_cases]
    return form


def _case_form(case: CaseFacts) -> dict[str, Any]:
    """What is told of a case: whatever is not so unless it is said."""
    told = {name: "age_ms" if name == "age" else name for name in CASE_FIELDS}
    return {
        name: _form(getattr(case, attribute), CASE_FIELDS[name])
        for name, attribute in told.items()
        if getattr(case, attribute) != getattr(PLAIN_CASE, attribute)
    }


def _form(value: Value, kind: FactType) -> Value:
    if kind != "duration":
        return value
    ms = int(value)
    units = (("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR))
    fine = [(unit, size) for unit, size in units if ms // size <= _MOST_UNITS] or [units[-1]]
    unit, size = next(((unit, size) for unit, size in reversed(fine) if ms % size == 0), fine[0])
    return f"{ms // size}{unit}" if ms else "0s"
