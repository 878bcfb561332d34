"""Inline tests of principles: facts given in the file, and whether the principle must match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from membrane.dictionary import BY_NAME, CASE_ENUMS, CASE_FIELDS, FEATURE_PREFIX, CaseFacts, FactType, Value
from membrane.document import DocumentReader, hint
from membrane.given import Given
from membrane.principles import InlineTest, PrincipleSet

FAILING: Final = "error"
"""`given: error` stands for an evaluation that fails."""
_PLAIN: Final[dict[FactType, tuple[type, ...]]] = {
    "string": (str,),
    "int": (int,),
    "double": (int, float),
    "bool": (bool,),
}
_CASE: Final = CaseFacts("", "unknown", "", 3, "open", 0, has_eta=False, eta_missed=False, recurrences=0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one inline test came out; `path` says where it stands in the file."""

    principle: str
    path: str
    expected: bool
    actual: bool

    @property
    def passed(self) -> bool:
        """Whether it came out as the file says."""
        return self.expected == self.actual


def run_tests(principles: PrincipleSet) -> list[Outcome]:
    """The results of every inline test of a set, in the order of the file."""
    return [
        Outcome(one.id, test.path, test.matches, one.on_error if test.given is None else one.matches(test.given))
        for one in principles.principles
        for test in one.tests
    ]


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
    return replace(_CASE, **{"age_ms" if name == "age" else name: value for name, value in known.items()})


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
