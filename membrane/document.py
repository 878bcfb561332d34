"""Reading a plain document (mappings, lists, strings, numbers) so that all its faults are found at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from membrane.errors import Fault
from membrane.times import DAY, parse_date, parse_duration, parse_time
from membrane.vocabulary import FindingKind

Positions = Mapping[str, tuple[int, int]]
"""Path (`principles[3].when`) -> line and column in the file, from 1."""

LANGUAGES: Final = ("es", "en")
MAX_DURATION_MS: Final = 10 * 366 * 86_400_000


def place(positions: Positions, path: str) -> tuple[int, int]:
    """Line and column of the value at a path, or of the nearest thing around it."""
    while path and path not in positions:
        path = re.sub(r"(\.[^.\[]*|\[\d+\])$", "", path) if re.search(r"[.\[]", path) else ""
    return positions.get(path, (1, 1))


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


class DocumentReader:
    """Reads values by path and gathers `faults`; a faulty value reads as an empty one of its type."""

    def __init__(self, positions: Positions, file: str) -> None:
        self._positions = positions
        self._file = file
        self.faults: list[Fault] = []

    def fault(self, path: str, problem: str, *, line: int = 1, column: int = 1, kind: str = "") -> None:
        """Notes a fault of the value at `path`; `line` and `column` count inside the value."""
        first, start = place(self._positions, path)
        inside = start + column - 1 if line == 1 else column
        self.faults.append(Fault(first + line - 1, inside, path or "document", problem, self._file, kind))

    def mapping(
        self, value: Any, path: str, required: Iterable[str] = (), optional: Iterable[str] = ()
    ) -> dict[str, Any]:
        """A mapping with these fields and no others."""
        if not isinstance(value, dict):
            self.fault(path, f"must be a mapping, came {_kind(value)}")
            return {}
        required, fields = tuple(required), (*required, *optional)
        for name in value:
            if name not in fields:
                self.fault(_join(path, str(name)), f"unknown field{hint(str(name), fields)}")
        for name in required:
            if name not in value:
                self.fault(path, f"misses the field '{name}'")
        return value

    def items(self, value: Any, path: str, *, least: int = 0) -> list[tuple[str, Any]]:
        """The items of a list with their paths."""
        if not isinstance(value, list):
            self.fault(path, f"must be a list, came {_kind(value)}")
            return []
        if len(value) < least:
            self.fault(path, f"must have at least {least} item{'s' * (least > 1)}")
        return [(f"{path}[{place}]", item) for place, item in enumerate(value)]

    def text(self, value: Any, path: str, *, kind: str = "") -> str:
        """A text that is not blank."""
        if isinstance(value, str) and value.strip():
            return value
        self.fault(path, f"must be a text, came {_kind(value)}", kind=kind)
        return ""

    def choice(self, value: Any, path: str, choices: Iterable[str]) -> str:
        """One of the choices."""
        choices = tuple(choices)
        if value in choices and isinstance(value, str):
            return value
        came = f"'{value}'{hint(value, choices)}" if isinstance(value, str) else _kind(value)
        self.fault(path, f"must be one of {', '.join(choices)}; came {came}")
        return ""

    def choices(self, value: Any, path: str, choices: Iterable[str]) -> frozenset[str]:
        """A list, not empty, of some of the choices."""
        choices = tuple(choices)
        return frozenset(self.choice(item, at, choices) for at, item in self.items(value, path, least=1))

    def duration(self, value: Any, path: str) -> int:
        """A duration such as 72h, in ms, more than nothing and at most ten years."""
        try:
            found = parse_duration(value if isinstance(value, str) else "")
        except ValueError:
            found = 0
        if not 0 < found <= MAX_DURATION_MS:
            self.fault(path, f"must be a duration such as 72h, 30m or 10s, came {_shown(value)}")
            return 1
        return found

    def moment(self, value: Any, path: str, *, day_over: bool = False) -> int:
        """An RFC 3339 time, or a date in UTC: its first moment, or with `day_over` the first one after it. In ms."""
        text = value if isinstance(value, str) else ""
        with suppress(ValueError):
            return parse_date(text) + DAY * day_over
        with suppress(ValueError):
            return parse_time(text)
        self.fault(path, f"must be a date such as 2026-12-01, or an RFC 3339 time, came {_shown(value)}")
        return 0

    def date(self, value: Any, path: str) -> str:
        """A date."""
        with suppress(ValueError):
            parse_date(value if isinstance(value, str) else "")
            return str(value)
        self.fault(path, f"must be a date such as 2026-12-01, came {_shown(value)}")
        return ""

    def count(self, value: Any, path: str, *, low: int, high: int) -> int:
        """A whole number in low..high."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.fault(path, f"must be a whole number from {low} to {high}, came {_shown(value)}")
        return low

    def texts(self, value: Any, path: str) -> dict[str, str]:
        """A text in Spanish and in English."""
        missing = FindingKind.MISSING_TRANSLATION
        fields = self.mapping(value, path, (), LANGUAGES)
        for name in LANGUAGES:
            if isinstance(value, dict) and name not in fields:
                self.fault(path, f"misses the field '{name}'", kind=missing)
        return {name: self.text(fields[name], f"{path}.{name}", kind=missing) for name in LANGUAGES if name in fields}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    if isinstance(value, str) and not value.strip():
        return "an empty text"
    return names.get(type(value), "a number")


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str | int | float) and not isinstance(value, bool) else _kind(value)
