"""How the cells of a table become the numbers that a model was fitted on: plain data, kept in the bundle.

A missing number takes the column's default; where numbers were missing in training, a column of its own says so. A
category that training did not see, or hardly, counts as `(other)`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from membrane.errors import UsageError

MISSING_WORDS: Final = frozenset({"", "na", "n/a", "nan", "null"})
"""Cells that hold nothing, in any case of letters."""
OTHER: Final = "(other)"
MISSING: Final = "(missing)"
_LONGEST: Final = 128
_FIRST_LINE: Final = 2

Column = npt.NDArray[np.float32]


class Numeric(Struct, frozen=True, forbid_unknown_fields=True, tag="numeric"):
    """A column of numbers; `default` stands for a missing one, `flagged` adds a column that says so."""

    column: str
    default: float
    flagged: bool

    def names(self) -> tuple[str, ...]:
        return (_name(self.column), _name(f"{self.column} is missing"))[: 1 + self.flagged]

    def encode(self, cells: Sequence[str]) -> Iterator[Column]:
        values = np.array([number(cell, self.column, line) for line, cell in enumerate(cells, _FIRST_LINE)], np.float64)
        missing = np.isnan(values)
        yield np.where(missing, self.default, values).astype(np.float32)
        if self.flagged:
            yield missing.astype(np.float32)


class Category(Struct, frozen=True, forbid_unknown_fields=True, tag="category"):
    """A column of words, one number for each of `values`, one for any other and, where some were missing in training,
    one for that."""

    column: str
    values: tuple[str, ...]
    flagged: bool

    def names(self) -> tuple[str, ...]:
        words = (*self.values, OTHER, *((MISSING,) if self.flagged else ()))
        return tuple(_name(f"{self.column}={word}") for word in words)

    def encode(self, cells: Sequence[str]) -> Iterator[Column]:
        codes = {value: code for code, value in enumerate(self.values)}
        other = len(self.values)
        absent = other + self.flagged
        found = np.array([absent if is_missing(cell) else codes.get(cell, other) for cell in cells], np.int64)
        for code in range(absent + 1):
            yield (found == code).astype(np.float32)


class Encoder(Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of a table in their order, without the label."""

    columns: tuple[Numeric | Category, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the encoded columns."""
        return tuple(name for column in self.columns for name in column.names())

    @property
    def fingerprint(self) -> str:
        """What a model fitted on these columns was made for."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def encode(self, table: Mapping[str, Sequence[str]], where: str) -> npt.NDArray[np.float32]:
        """The table's rows as numbers (n, names). UsageError for a missing column or a word among numbers."""
        missing = [column.column for column in self.columns if column.column not in table]
        if missing:
            near = get_close_matches(missing[0], table, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{where}: column {missing[0]!r} is required, none is there{hint}")
        encoded = [one for column in self.columns for one in _located(column, table[column.column], where)]
        return np.column_stack(encoded)


def is_missing(cell: str) -> bool:
    """Whether a cell holds nothing.

    >>> is_missing(" NaN "), is_missing("no")
    (True, False)
    """
    return cell.strip().lower() in MISSING_WORDS


def number(cell: str, column: str, line: int) -> float:
    """The number in a cell, NaN if it is missing. UsageError for anything else."""
    if is_missing(cell):
        return math.nan
    value = as_number(cell)
    if value is None:
        raise UsageError(f"line {line}, column {column!r}: a finite number is required, got {cell[:40]!r}")
    return value


def as_number(cell: str) -> float | None:
    """A finite number, or None for anything else."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _located(column: Numeric | Category, cells: Sequence[str], where: str) -> list[Column]:
    try:
        return list(column.encode(cells))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _name(text: str) -> str:
    """Short enough for a manifest, and still of its own."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 9]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"
