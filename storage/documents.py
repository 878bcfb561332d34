"""A strict form of YAML, read with the line and column of everything in it.

One UTF-8 document of at most 256 KiB with a mapping at the top; mappings, lists, strings, integers, floats and
booleans; every duplicate key, alias, anchor, tag or empty value is a fault. Scalars read as YAML 1.2 has them: `no` is
a string, and so is `12:30`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from membrane.errors import Fault, InvalidPrinciples

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_FAULTS: Final = 100

_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_EMPTY: Final = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_MAX_DIGITS: Final = 18

Mapping = dict[str | int, Any]
Marks = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Document:
    """A plain document, and where each value begins: path (`principles[3].when`; "" is the top) -> (line, column)."""

    value: Mapping
    marks: Marks


def read_document(data: bytes, file: str = "") -> Document:
    """The document in a file's bytes. InvalidPrinciples lists every fault that was found, in the file's order.

    What is no YAML at all ends the reading there; so do a second document, a key that is no scalar, too deep nesting.
    """
    reader = _Reader(file)
    try:
        reader.read(data)
    except _Unreadable as unreadable:
        reader.fault(*unreadable.where, unreadable.problem)
    if reader.faults:
        raise InvalidPrinciples(reader.faults)
    return Document(reader.top, reader.marks)


class _Unreadable(Exception):
    """A fault after which nothing more can be read."""

    def __init__(self, where: tuple[int, int], problem: str) -> None:
        super().__init__(problem)
        self.where = where
        self.problem = problem


@dataclass(slots=True)
class _Level:
    """A mapping or list that is being read; `key` is where the next value of a mapping goes, None before its key."""

    value: Mapping | list[Any]
    path: str
    key: str | int | None = None

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None

    @property
    def next_path(self) -> str:
        if isinstance(self.value, list):
            return f"{self.path}[{len(self.value)}]"
        return f"{self.path}.{self.key}" if self.path else str(self.key)

    def put(self, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is not None:
            self.value.setdefault(self.key, value)
            self.key = None


@dataclass(slots=True)
class _Reader:
    """Turns YAML's events into a document, without recursion, and goes on after each fault that lets it."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    marks: Marks = field(default_factory=dict)
    top: Mapping = field(default_factory=dict)
    levels: list[_Level] = field(default_factory=list)

    def read(self, data: bytes) -> None:
        text = _decode(data)
        try:
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                self._event(event, _begin(event.start_mark))
                if len(self.faults) >= MAX_FAULTS:
                    return
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise _Unreadable(
                min(_begin(mark), _where(text)), f"YAML was required: {error.problem or error.context}"
            ) from None
        except yaml.reader.ReaderError as error:
            raise _Unreadable(_where(text[: error.position]), f"YAML was required: {error.reason}") from None
        if not self.marks and not self.faults:
            raise _Unreadable((1, 1), "a mapping was required, an empty file came")

    def fault(self, line: int, column: int, problem: str, path: str | None = None) -> None:
        if path is None:
            path = self.levels[-1].path if self.levels else ""
        self.faults.append(Fault(line, column, path, problem, self.file))

    def _event(self, event: yaml.Event, where: tuple[int, int]) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._document(event, where)
        elif isinstance(event, yaml.AliasEvent):
            self.fault(*where, "aliases are not allowed, the whole was required")
            self._value(None, where)
        elif isinstance(event, yaml.ScalarEvent):
            self._plain_only(event, where)
            self._scalar(event, where)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._plain_only(event, where)
            self._start({} if isinstance(event, yaml.MappingStartEvent) else [], where)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.levels.pop()

    def _document(self, event: yaml.DocumentStartEvent, where: tuple[int, int]) -> None:
        if self.marks:
            raise _Unreadable(where, "one document was required, another one begins")
        if event.tags or event.version:
            self.fault(*where, "directives are not allowed")

    def _plain_only(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, where: tuple[int, int]) -> None:
        if event.anchor is not None:
            self.fault(*where, "anchors are not allowed")
        if event.tag is not None:
            self.fault(*where, "tags are not allowed")

    def _start(self, value: Mapping | list[Any], where: tuple[int, int]) -> None:
        if not self.levels:
            if not isinstance(value, dict):
                raise _Unreadable(where, "a mapping was required at the top, a list came")
            self.top, self.marks[""] = value, where
            self.levels.append(_Level(value, ""))
            return
        if self.levels[-1].awaits_key:
            raise _Unreadable(where, "a string was required as a key, a mapping or list came")
        if len(self.levels) >= MAX_DEPTH:
            raise _Unreadable(where, f"at most {MAX_DEPTH} levels were required, more came")
        path = self.levels[-1].next_path
        self._value(value, where)
        self.levels.append(_Level(value, path))

    def _scalar(self, event: yaml.ScalarEvent, where: tuple[int, int]) -> None:
        if not self.levels:
            raise _Unreadable(where, "a mapping was required at the top, a single value came")
        quoted = bool(event.style)  # the C parser says "" for none
        level = self.levels[-1]
        if not quoted and event.value in _EMPTY:
            at = None if level.awaits_key else level.next_path
            self.fault(*where, "a value was required, none came (quote it if it is a word)", at)
        value = event.value if quoted else self._plain(event.value, where)
        if level.awaits_key:
            self._key(level, value, where)
        else:
            self._value(value, where)

    def _plain(self, text: str, where: tuple[int, int]) -> str | int | float | bool:
        """An unquoted scalar in YAML 1.2's sense."""
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        number = _FLOAT.fullmatch(text)
        if number is None:
            return text
        if len(text) > _MAX_DIGITS or abs(float(text)) == float("inf"):
            self.fault(
                *where, f"a number of at most {_MAX_DIGITS} characters was required, a longer or greater one came"
            )
            return 0
        return int(text) if _INTEGER.fullmatch(text) else float(text)

    def _key(self, level: _Level, key: str | float, where: tuple[int, int]) -> None:
        if isinstance(key, (bool, float)):
            self.fault(*where, "a string or an integer was required as a key")
            key = str(key)
        level.key = key
        if key in level.value:
            line, _ = self.marks[level.next_path]
            self.fault(*where, f"each key once was required, it stands in line {line} already", level.next_path)

    def _value(self, value: Any, where: tuple[int, int]) -> None:
        if not self.levels:
            return
        level = self.levels[-1]
        if level.awaits_key:  # an alias in the place of a key
            level.key = f"line {where[0]}"
            return
        self.marks.setdefault(level.next_path, where)
        level.put(value)


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _Unreadable((1, 1), f"at most {MAX_BYTES} bytes were required, {len(data)} came")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise _Unreadable(_where(before), "UTF-8 was required, other bytes came") from None


def _begin(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _where(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")
