"""One principle put into the text of a file: everything else stays as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import InvalidPrinciples
from storage.documents import read_document
from storage.principle_text import Edited, with_principle
from storage.principles import DEFAULT_PACK, compile_principles

HEAD = "# ours\npack: ours\nrevision: 2026-11-23.1  # the first\n"
FILE = (
    HEAD
    + """\
principles: # all of them
  # ---- calls ----
  - id: one
    owner: service
    text: {es: "Sí.", en: "Yes."}
    when: |
      case.open > 2
    effect: forbid
    applies: {domains: [marketing]}

  # ---- the rest ----
  - {id: two, owner: sales, text: {es: "No.", en: "No."},
     when: incident.active, effect: defer, applies: {domains: [sales]}}
  - # why there is a third one
    id: three
    owner: sales
    text: {es: "No.", en: "No."}
    when: incident.active
    effect: defer
    applies: {domains: [sales]}
caps:
  - {id: weekly, domains: [marketing], at_most: 2, per: 168h}  # a week
"""
)
NEW = """\
# said by Ana
id: {id}
owner: legal
text:
  es: "Nunca."
  en: >-
    Never,
    never.

when: lifecycle == "closed"
effect: forbid
applies: {{domains: [marketing]}}
"""
SHIPPED = DEFAULT_PACK.read_bytes()
IDS = [one.id for one in compile_principles(SHIPPED).principles]


def put(name: str, text: str = FILE) -> str:
    edited = with_principle(text.encode(), NEW.format(id=name).encode(), "2026-11-24.1")
    assert edited is not None
    compile_principles(edited.data)
    return edited.data.decode()


def around(text: str, lines: int) -> tuple[str, str]:
    """What stands before and behind so many lines of `NEW`."""
    before, _, behind = text.partition("  - # said by Ana\n")
    return before, "".join(behind.splitlines(keepends=True)[lines - 1 :])


@pytest.mark.parametrize(
    ("name", "before", "behind"),
    [
        ("one", "  # ---- calls ----\n", "\n  # ---- the rest ----\n  - {id: two"),
        ("two", "  # ---- the rest ----\n", "  - # why there is a third one\n"),
        ("three", "applies: {domains: [sales]}}\n", "caps:\n  - {id: weekly"),
        ("four", "    applies: {domains: [sales]}\n", "caps:\n  - {id: weekly"),
    ],
)
def test_a_principle_is_replaced_or_added_and_the_rest_of_the_text_stays(name: str, before: str, behind: str) -> None:
    head, tail = around(put(name), len(NEW.splitlines()))
    assert head.startswith(HEAD.replace("2026-11-23.1", "2026-11-24.1"))
    assert head.endswith(before)
    assert tail.startswith(behind)
    old = FILE.replace("2026-11-23.1", "2026-11-24.1")
    assert old.startswith(head)
    assert old.endswith(tail)


@pytest.mark.parametrize("name", ["one", "two", "three", "four"])
def test_the_same_once_more_gives_the_same_bytes_and_says_so(name: str) -> None:
    once = put(name)
    assert put(name, once) == once
    again = with_principle(once.encode(), NEW.format(id=name).encode(), "2026-11-24.1")
    assert again is not None
    assert not again.changed


def test_line_ends_a_byte_order_mark_and_a_missing_last_line_end_are_heeded() -> None:
    windows = "\ufeff" + FILE.replace("\n", "\r\n")
    assert put("one", windows) == "\ufeff" + put("one").replace("\n", "\r\n")
    short = FILE[: FILE.index("caps:")].rstrip("\n")
    assert put("four", short) == put("four", short + "\n")


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "principles: []\n",
        HEAD + "caps: []\n",
        HEAD + 'principles: [{id: one, owner: service, text: {es: "Sí.", en: "Yes."}, when: incident.active}]\n',
        "{pack: ours, revision: 2026-11-23.1, principles: []}\n",
        HEAD + "principles:\n  -\n    id: one\n    owner: service\n",
    ],
)
def test_a_file_of_another_form_is_left_alone(text: str) -> None:
    assert with_principle(text.encode(), NEW.format(id="one").encode(), "2026-11-24.1") is None


@pytest.mark.parametrize("text", ["---\nid: one\nwhen: a\n", "id: one\nwhen: a\n...\n"])
def test_a_principle_that_would_read_otherwise_inside_the_file_is_not_put_there(text: str) -> None:
    assert with_principle(FILE.encode(), text.encode(), "2026-11-24.1") is None


@pytest.mark.parametrize("text", ["", "- id: one\n", "id: [\n", "id: one\nid: two\n"])
def test_what_is_no_mapping_is_a_fault(text: str) -> None:
    with pytest.raises(InvalidPrinciples):
        with_principle(FILE.encode(), text.encode(), "2026-11-24.1")


@given(name=st.sampled_from([*IDS, "new-one"]), when=st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_whatever_is_put_into_the_shipped_pack_says_that_and_nothing_else_is_changed(name: str, when: str) -> None:
    quoted = "'" + when.replace("'", "''") + "'"
    edited = with_principle(SHIPPED, f"id: {name}\nwhen: {quoted}\n".encode(), "2030-01-01.1")
    assert isinstance(edited, Edited)
    before, after = read_document(SHIPPED).value, read_document(edited.data).value
    place = IDS.index(name) if name in IDS else len(IDS)
    assert after["principles"][place] == {"id": name, "when": when}
    del after["principles"][place], before["principles"][place : place + 1]
    assert after == {**before, "revision": "2030-01-01.1"}
