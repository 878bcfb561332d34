"""Reading plain documents with all their faults."""

import pytest

from membrane.document import DocumentReader, hint
from membrane.errors import Fault

MARKS = {"": (1, 1), "rules": (2, 8), "rules[0]": (3, 5), "rules[0].when": (4, 11)}


@pytest.fixture
def reader():
    return DocumentReader(MARKS, "file.yaml")


def problems(reader):
    return [fault.problem for fault in reader.faults]


def test_a_fault_stands_where_its_value_stands_or_the_nearest_value_around_it(reader):
    reader.fault("rules[0].when", "a")
    reader.fault("rules[0].given.stage.name", "b")
    reader.fault("rules[7]", "c")
    reader.fault("", "d")
    assert [(fault.line, fault.column) for fault in reader.faults] == [(4, 11), (3, 5), (2, 8), (1, 1)]
    assert reader.faults[3] == Fault(1, 1, "document", "d", "file.yaml")


def test_a_place_inside_a_value_is_counted_from_its_beginning(reader):
    reader.fault("rules[0].when", "same line", line=1, column=6)
    reader.fault("rules[0].when", "next line", line=2, column=3)
    assert [(fault.line, fault.column) for fault in reader.faults] == [(4, 16), (5, 3)]


def test_unknown_and_missing_fields_are_told_with_the_nearest_name(reader):
    assert reader.mapping({"owner": 1, "wehn": 2}, "rules[0]", ("when", "owner"))["owner"] == 1
    assert problems(reader) == ["unknown field; did you mean 'when'?", "misses the field 'when'"]


@pytest.mark.parametrize(
    ("method", "value", "problem"),
    [
        ("mapping", [1], "must be a mapping, came a list"),
        ("items", {"a": 1}, "must be a list, came a mapping"),
        ("text", 3, "must be a text, came a number"),
        ("text", "  ", "must be a text, came an empty text"),
        ("text", None, "must be a text, came nothing"),
        ("text", True, "must be a text, came true or false"),
        ("duration", "3d", "must be a duration such as 72h, 30m or 10s, came '3d'"),
        ("duration", 72, "must be a duration such as 72h, 30m or 10s, came '72'"),
        ("duration", "0s", "must be a duration such as 72h, 30m or 10s, came '0s'"),
        ("duration", "999999h", "must be a duration such as 72h, 30m or 10s, came '999999h'"),
    ],
)
def test_a_value_of_another_type_is_told(reader, method, value, problem):
    getattr(reader, method)(value, "rules")
    assert problems(reader) == [problem]


@pytest.mark.parametrize("value", [True, 0, 33, 1.5, "2", None])
def test_a_count_must_be_a_whole_number_in_bounds(reader, value):
    assert reader.count(value, "rules", low=1, high=32) == 1
    assert "must be a whole number from 1 to 32" in problems(reader)[0]


def test_choices_are_told_with_the_nearest(reader):
    assert reader.choices(["email", "emial", 3], "rules", ("email", "sms")) == {"email", ""}
    assert problems(reader) == [
        "must be one of email, sms; came 'emial'; did you mean 'email'?",
        "must be one of email, sms; came a number",
    ]
    reader.choices([], "rules", ("email",))
    assert problems(reader)[2] == "must have at least 1 item"


def test_sound_values_are_read_without_a_fault(reader):
    assert reader.text("x", "rules") == "x"
    assert reader.duration("90m", "rules") == 5_400_000
    assert reader.texts({"es": "a", "en": "b"}, "rules") == {"es": "a", "en": "b"}
    assert reader.items([1], "rules") == [("rules[0]", 1)]
    assert reader.faults == []


def test_a_hint_is_given_only_for_near_names():
    assert hint("crysis", ["crisis", "steady"]) == "; did you mean 'crisis'?"
    assert hint("zzz", ["crisis"]) == ""
