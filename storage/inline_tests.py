"""Inline tests put into the text of a principle file, so that its comments and its form stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from membrane.document import Positions
from membrane.errors import UsageError
from storage.durable import write_atomically

_PLAIN: Final = re.compile(r"[a-z][a-z0-9_]*|\d{1,6}(ms|s|m|h)")
_QUOTED: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
"""Words that YAML, or another version of it, reads as something else."""
_BOM: Final = "\ufeff"

Test = Mapping[str, Any]
"""`given` and `matches`, as a file has them."""
_Edit = tuple[int, int, str]
"""Line and column, from 0, and what is put there."""


def with_tests(data: bytes, marks: Positions, tests: Mapping[int, Sequence[Test]]) -> bytes:
    """The bytes of a sound file with tests added to its principles, by their place in the list. `marks` say where the
    values of the file stand."""
    text = data.decode("utf-8")
    before, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if lines[0].endswith("\r\n") else "\n"
    edits = [
        _edit(lines, marks, f"principles[{place}]", [flow(test) for test in added], newline)
        for place, added in tests.items()
    ]
    for line, column, inserted in sorted(edits, reverse=True):
        lines[line : line + 1] = [lines[line][:column] + inserted + lines[line][column:]]
    return (before + "".join(lines)).encode()


def save(path: Path, data: bytes) -> None:
    """Puts the bytes in the place of a file, whole or not at all. UsageError if it cannot be written."""
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
        write_atomically(real, data)
        real.chmod(mode)
    except OSError as error:
        raise UsageError(f"{path}: a file that can be written was required: {error.strerror}") from error


def flow(value: Any) -> str:
    """A value on one line of YAML.

    >>> flow({"given": {"stage.age": "73h", "cases": [{"category": "no"}]}, "matches": True})
    '{given: {stage.age: 73h, cases: [{category: "no"}]}, matches: true}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _QUOTED:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _edit(lines: list[str], marks: Positions, path: str, tests: list[str], newline: str) -> _Edit:
    line, column = (number - 1 for number in marks.get(f"{path}.tests", marks[path]))
    begins, indent = lines[line][column : column + 1], " " * column
    if f"{path}.tests" in marks:
        if begins == "[":
            return line, column + 1, ", ".join(tests) + ", " * (f"{path}.tests[0]" in marks)
        return line, 0, "".join(f"{indent}- {test}{newline}" for test in tests)
    if begins == "{":
        return line, column + 1, f"tests: [{', '.join(tests)}], "
    last = last_line(lines, line, column)
    block = "".join(f"{indent}{part}{newline}" for part in ("tests:", *(f"  - {test}" for test in tests)))
    return last, len(lines[last]), block if lines[last].endswith("\n") else newline + block.removesuffix(newline)


def last_line(lines: list[str], first: int, indent: int) -> int:
    """The last line of what begins in line `first`: what follows is indented less."""
    last = first
    for place in range(first + 1, len(lines)):
        text = lines[place]
        if text.strip() and len(text) - len(text.lstrip(" ")) < indent:
            break
        last = place if text.strip() else last
    return last
