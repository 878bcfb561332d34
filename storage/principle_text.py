"""One principle put into the text of a principle file: its comments and its form stay as they are everywhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from membrane.document import Positions
from membrane.errors import InvalidPrinciples
from storage.documents import read_document
from storage.inline_tests import last_line

_BOM: Final = "\ufeff"
_INDENTED: Final = re.compile(r" *- +")
_SCALAR: Final = re.compile(r'"[^"]*"|\'[^\']*\'|[^\s#]+')


@dataclass(frozen=True, slots=True)
class Edited:
    """The bytes of a file with one principle of another text, which begins in `line` (from 1), moved right by `indent`,
    and stands at `path` of the document. `changed`: the principle says something else than before."""

    data: bytes
    path: str
    line: int
    indent: int
    changed: bool


def with_principle(data: bytes, principle: bytes, revision: str) -> Edited | None:
    """A sound file with a principle (one mapping) added behind its others, or in the place of the one of its id, under
    another revision. None where its text cannot be edited so that it says that and nothing else is changed: above all,
    where its principles are no list with a `-` in a line of its own. InvalidPrinciples if the principle is no YAML."""
    new = read_document(principle).value
    document = read_document(data)
    items: list[Any] = document.value.get("principles", [])
    place = next((number for number, one in enumerate(items) if one["id"] == new.get("id")), len(items))
    text = data.decode("utf-8")
    before, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    lines = text.splitlines(keepends=True)
    found = _item(lines, document.marks, min(place, len(items) - 1)) if items else None
    if found is None:
        return None
    first, last, lead = found
    if place == len(items):
        first = last + 1
    _revise(lines, document.marks, revision)
    lines[first : last + 1] = _as_item(principle, lead, "\r\n" if lines[0].endswith("\r\n") else "\n")
    if first and not lines[first - 1].endswith("\n"):
        lines[first - 1] += "\n"
    edited = (before + "".join(lines)).encode()
    wanted = {**document.value, "revision": revision, "principles": [*items[:place], new, *items[place + 1 :]]}
    changed = items[place : place + 1] != [new]
    return Edited(edited, f"principles[{place}]", first + 1, len(lead), changed) if _says(edited, wanted) else None


def _says(data: bytes, wanted: dict[str | int, Any]) -> bool:
    try:
        return read_document(data).value == wanted
    except InvalidPrinciples:
        return False


def _item(lines: list[str], marks: Positions, place: int) -> tuple[int, int, str] | None:
    """The first and the last line of a principle, from 0, and what stands before it in the first: `  - `."""
    line, column = (number - 1 for number in marks[f"principles[{place}]"])
    while line and lines[line][:column].isspace():  # comments stand between the `-` and the first field
        line -= 1
    lead = lines[line][:column]
    if _INDENTED.fullmatch(lead) is None:
        return None
    return line, last_line(lines, line, lead.index("-") + 1), lead


def _revise(lines: list[str], marks: Positions, revision: str) -> None:
    line, column = (number - 1 for number in marks["revision"])
    lines[line] = lines[line][:column] + _SCALAR.sub(revision, lines[line][column:], count=1)


def _as_item(principle: bytes, lead: str, newline: str) -> list[str]:
    """The lines of a principle as an item of the list."""
    plain = principle.decode("utf-8-sig").rstrip().splitlines()
    indented = [" " * len(lead) + line if line.strip() else "" for line in plain]
    return [line + newline for line in [lead + plain[0], *indented[1:]]]
