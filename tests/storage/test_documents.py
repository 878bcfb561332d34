"""Strict YAML: nothing is guessed, and every fault says where."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import InvalidPrinciples
from storage.documents import MAX_BYTES, MAX_DEPTH, MAX_FAULTS, read_document


def faults(text: str | bytes) -> list[tuple[int, int, str, str]]:
    with pytest.raises(InvalidPrinciples) as caught:
        read_document(text.encode() if isinstance(text, str) else text, "p.yaml")
    assert all(fault.file == "p.yaml" for fault in caught.value.faults)
    return [(fault.line, fault.column, fault.field, fault.problem) for fault in caught.value.faults]


def read(text: str):
    return read_document(text.encode()).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("12:30", "12:30"), ("2026-11-22", "2026-11-22"),
        ("2026-11-22.1", "2026-11-22.1"), ("72h", "72h"), ("true", True), ("FALSE", False), ("tRue", "tRue"),
        ("1", 1), ("-7", -7), ("+7", 7), ("007", 7), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0),
        ("-1.5E-3", -0.0015), ("0x1f", "0x1f"), ("0o7", "0o7"), ("1_000", "1_000"), (".inf", ".inf"), (".nan", ".nan"),
        ("'1'", "1"), ('"true"', "true"), ("''", ""), ('"null"', "null"), ("|\n  a\n  b\n", "a\nb\n"),
        (">\n  a\n  b\n", "a b\n"), ("stage.name == \"crisis\"", 'stage.name == "crisis"'), ("[]", []), ("{}", {}),
        ("[a, 1, [true]]", ["a", 1, [True]]), ("=", "="), ("<<", "<<"), ("né", "né"), ("١", "١"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_has_them(text, value):
    found = read(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_a_document_comes_with_the_place_of_every_value():
    document = read_document(
        b"# pack\nrevision: 1\nprinciples:\n  - id: a\n    when: x > 1\n  - {id: b, at_most: {1: 8760h}}\n"
    )
    assert document.value == {
        "revision": 1,
        "principles": [{"id": "a", "when": "x > 1"}, {"id": "b", "at_most": {1: "8760h"}}],
    }
    assert document.marks == {
        "": (2, 1), "revision": (2, 11), "principles": (4, 3), "principles[0]": (4, 5), "principles[0].id": (4, 9),
        "principles[0].when": (5, 11), "principles[1]": (6, 5), "principles[1].id": (6, 10),
        "principles[1].at_most": (6, 22), "principles[1].at_most.1": (6, 26),
    }  # fmt: skip


def test_ten_faults_are_ten_faults():
    assert [(line, column) for line, column, _, _ in faults(
        "a: &x 1\nb: *x\na: 2\nc: !!int 3\nd:\ne: ~\nf: [null]\n1.5: g\nh: 9999999999999999999999\ni: {j: 1, j: 2}\n"
    )] == [(1, 4), (2, 4), (3, 1), (4, 4), (5, 3), (6, 4), (7, 5), (8, 1), (9, 4), (10, 11)]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "field", "problem"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, "a", "each key once was required, it stands in line 1 already"),
        ("x:\n  - {p: 1, p: 2}", 2, 12, "x[0].p", "it stands in line 2 already"),
        ("1: a\n1: b", 2, 1, "1", "it stands in line 1 already"),
        ("a: &anchor 1", 1, 4, "", "anchors are not allowed"),
        ("a: &anchor {b: 1}", 1, 4, "", "anchors are not allowed"),
        ("a: !!python/object:os.system x", 1, 4, "", "tags are not allowed"),
        ("a: !tag [1]", 1, 4, "", "tags are not allowed"),
        ("x:\n  y:", 2, 5, "x.y", "a value was required, none came"),
        ("x: [1, ~]", 1, 8, "x[1]", "a value was required, none came"),
        ("*a : 1", 1, 1, "", "aliases are not allowed"),
        ("*a", 1, 1, "", "aliases are not allowed"),
        ("a: 1e999", 1, 4, "", "a number of at most 18 characters was required"),
        ("true: a", 1, 1, "", "a string or an integer was required as a key"),
        ("? [a]\n: b", 1, 3, "", "a string was required as a key, a mapping or list came"),
        ("a: 1\n---\nb: 2", 2, 1, "", "one document was required, another one begins"),
        ("%YAML 1.1\n---\na: 1", 1, 1, "", "directives are not allowed"),
        ("- a", 1, 1, "", "a mapping was required at the top, a list came"),
        ("word", 1, 1, "", "a mapping was required at the top, a single value came"),
        ("", 1, 1, "", "a mapping was required, an empty file came"),
        ("# only a comment\n", 1, 1, "", "a mapping was required, an empty file came"),
        ("a: 1\nb: [1, 2", 2, 9, "b", "YAML was required"),
        ("a: b: c", 1, 5, "", "YAML was required"),
        ("a: \x07", 1, 4, "", "YAML was required"),
        ("a: 1\n\tb: 2", 2, 1, "", "YAML was required"),
    ],
)
def test_a_fault_says_where_and_what_was_required(text, line, column, field, problem):
    (found,) = faults(text)
    assert found[:3] == (line, column, field)
    assert problem in found[3]


def test_faults_before_broken_yaml_are_told_with_it():
    assert [fault[0] for fault in faults("a: 1\na: 2\nb: [1")] == [2, 3]


def test_bytes_that_are_no_utf_8_are_told_by_line_and_column():
    assert faults(b"a: 1\nb: \xff") == [(2, 4, "", "UTF-8 was required, other bytes came")]
    assert faults("a: ñ".encode("utf-16"))[0][3] == "UTF-8 was required, other bytes came"


def test_a_byte_order_mark_is_passed_over():
    assert read_document(b"\xef\xbb\xbfa: 1").value == {"a": 1}


def test_files_have_a_greatest_size():
    assert read_document(b"a: 1\n#".ljust(MAX_BYTES, b"x")).value == {"a": 1}
    assert faults(b"a: 1\n#".ljust(MAX_BYTES + 1, b"x")) == [
        (1, 1, "", "at most 262144 bytes were required, 262145 came"),
    ]


def test_nesting_has_a_greatest_depth():
    assert read("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
    assert "levels were required" in faults("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH)[0][3]
    assert len(faults("a: " + "[" * 100_000)) == 1


def test_an_alias_bomb_is_refused_at_once():
    bomb = "a: &a [x, x]\n" + "".join(f"{n}: &n{n} [*a, *a]\n" for n in range(10))
    assert len(faults(bomb)) == 31


def test_the_number_of_faults_is_bounded():
    assert len(faults("a: 1\n" * 10_000)) == MAX_FAULTS


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("ñé¿😀\n\t"), max_size=5)
SCALARS = st.one_of(TEXT, st.integers(-(10**15), 10**15), st.booleans())
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
)


@given(st.dictionaries(TEXT, DOCUMENTS, max_size=4))
def test_every_json_object_reads_as_itself(value):
    assert read(json.dumps(value, ensure_ascii=False)) == value


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_give_a_document_or_faults(data):
    try:
        read_document(data)
        found = None
    except InvalidPrinciples as error:
        found = error.faults
    assert found is None or (found and all(fault.line >= 1 and fault.column >= 1 for fault in found))
