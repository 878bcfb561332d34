"""Tests put into the text of a principle file: everything else stays as it was."""

from __future__ import annotations

import pytest

from membrane.errors import UsageError
from membrane.principle_tests import given_form
from membrane.principles import InlineTest
from storage.documents import read_document
from storage.inline_tests import flow, save, with_tests
from storage.principles import compile_principles

HEAD = "pack: ours\nrevision: 2026-11-23.1\nprinciples: # all of them\n"
NEXT = """\

  # ---- the next ----
  - id: next
    owner: sales
    text: {es: "Sí.", en: "Yes."}
    when: incident.active
    effect: require
    obligation: {kind: outage_notice, owner: service, due: 1h, once_per: incident}
"""
FORMS = {
    "block": """\
  - id: one
    owner: service
    text: {es: "Sí.", en: "Yes."}
    when: |
      case.open > 2
    effect: forbid
    applies: {domains: [marketing]}
    tests:
      # just beside the threshold
      - {given: {case.open: 3}, matches: true}  # it does
      - given: {case.open: 2}
        matches: false
""",
    "block at the column of its key": """\
  - id: one
    owner: service
    text: {es: "Sí.", en: "Yes."}
    when: case.open > 2
    effect: forbid
    tests:
    - {given: {case.open: 3}, matches: true}
    applies: {domains: [marketing]}
""",
    "flow": """\
  - id: one
    owner: service
    text: {es: "Sí.", en: "Yes."}
    when: case.open > 2
    effect: forbid
    applies: {domains: [marketing]}
    tests: [{given: {case.open: 3}, matches: true}]
""",
    "empty": """\
  - id: one
    owner: service
    text: {es: "Sí.", en: "Yes."}
    when: case.open > 2
    effect: forbid
    applies: {domains: [marketing]}
    tests: []
""",
    "none": """\
  - effect: forbid
    id: one
    owner: service
    text:
      es: "Sí."
      en: "Yes."
    applies: {domains: [marketing]}
    when: >-
      case.open >
      2
""",
    "none, on one line": """\
  - {id: one, owner: service, text: {es: "Sí.", en: "Yes."}, when: case.open > 2, effect: forbid,
     applies: {domains: [marketing]}}
""",
}
NEW = [
    {"given": {"case.open": 9, "cases": [{"category": "a: b #c"}]}, "matches": True},
    {"given": {}, "matches": False},
]


def inline_tests(data: bytes, place: int) -> list[InlineTest]:
    return list(compile_principles(data).principles[place].tests)


def is_part_of(before: str, after: str) -> bool:
    """Whether `after` is `before` with something put in at one place."""
    prefix = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))
    return after.endswith(before[prefix:])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("after", ["", NEXT], ids=["last", "not last"])
@pytest.mark.parametrize("form", FORMS)
def test_tests_are_added_and_nothing_else_changes(form, after, newline):
    before = (HEAD + FORMS[form] + after).replace("\n", newline).encode()
    changed = with_tests(before, read_document(before).marks, {0: NEW})
    added = [
        test for test in inline_tests(changed, 0) if test.given not in [old.given for old in inline_tests(before, 0)]
    ]
    assert [{"given": given_form(test.given), "matches": test.matches} for test in added] == NEW
    assert len(inline_tests(changed, 0)) == len(inline_tests(before, 0)) + 2
    assert is_part_of(before.decode(), changed.decode())


def test_several_principles_and_a_file_that_ends_without_a_newline():
    before = ("\ufeff" + HEAD + FORMS["none"] + NEXT).rstrip().encode()
    changed = with_tests(before, read_document(before).marks, {0: NEW, 1: NEW[1:]})
    assert [len(inline_tests(changed, place)) for place in (0, 1)] == [2, 1]
    assert changed.startswith("\ufeffpack".encode())


def test_words_that_yaml_reads_as_something_else_are_quoted():
    assert flow(["null", "true", "no", "73h", "crisis", "at risk", "", 0.5, 3, False]) == (
        '["null", "true", "no", 73h, crisis, "at risk", "", 0.5, 3, false]'
    )


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    save(link, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777, link.is_symlink()) == (b"new", 0o640, True)
    with pytest.raises(UsageError, match=r"nowhere\.yaml: a file that can be written was required"):
        save(tmp_path / "nowhere.yaml", b"")
