"""A table as examples: which column is the label, which are of use, and how each becomes numbers.

The codes of categories and the defaults of missing numbers are taken from all rows; neither looks at the label.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import numpy as np
import numpy.typing as npt

from membrane.errors import UsageError
from models.bundle import Kind
from models.encoder import MISSING, Category, Encoder, Numeric, as_number, is_missing
from models.scorer import CLASSES
from training.labels import Labels
from training.plan import Examples
from training.table_file import Table

Words = npt.NDArray[np.str_]

_YES: Final = frozenset({"1", "1.0", "true", "yes", "y", "si", "sí"})
_NO: Final = frozenset({"0", "0.0", "false", "no", "n"})
_MOST_CATEGORIES: Final = 40
_LEAST_OF_A_CATEGORY: Final = 10
_MOSTLY: Final = 0.9
_SLICE_VALUES: Final = 12
_FIRST_LINE: Final = 2
_CANNOT_BE_NAMES: Final = 0.5


def table_examples(
    kind: Kind, table: Table, label: str, *, positive: str | None = None, drop: Sequence[str] = ()
) -> tuple[Examples, tuple[str, ...]]:
    """The examples in a table, and what is to be told of it. Raises UsageError, with the line where there is one."""
    for name in (label, *drop):
        _require_column(table, name)
    cells = table.columns[label]
    kept = [row for row, cell in enumerate(cells) if not is_missing(cell)]
    notes = [] if len(kept) == len(cells) else [f"{len(cells) - len(kept)} rows without a label are left out"]
    labels = _labels(kind, table, label, [cells[row] for row in kept], positive)
    columns, slices = [], {}
    for name, column in table.columns.items():
        if name == label or name in drop:
            continue
        some = [column[row] for row in kept]
        found = _column(table, name, some)
        if isinstance(found, str):
            notes.append(found)
            continue
        columns.append(found)
        if isinstance(found, Category) and len(found.values) <= _SLICE_VALUES:
            slices[name] = np.array([MISSING if is_missing(cell) else cell for cell in some])
    if not columns:
        raise UsageError(f"{table.path}: a column beside {label!r} to learn from is required, none is of use")
    encoder = Encoder(tuple(columns))
    wanted = {column.column: [table.columns[column.column][row] for row in kept] for column in columns}
    rows = encoder.encode(wanted, str(table.path)).astype(np.float64)
    examples = Examples(
        rows=rows, names=encoder.names, labels=labels, fingerprint=encoder.fingerprint, slices=slices, encoder=encoder
    )
    return examples, tuple(notes)


def _require_column(table: Table, name: str) -> None:
    if name not in table.columns:
        near = get_close_matches(name, table.columns, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(table.columns)}"
        raise UsageError(f"{table.path}: column {name!r} is required, none is there{hint}")


def _labels(kind: Kind, table: Table, label: str, cells: list[str], positive: str | None) -> Labels:
    where = f"{table.path}: label {label!r}"
    counts = Counter(cell.strip() for cell in cells)
    told = ", ".join(f"{name!r} ({count})" for name, count in counts.most_common(8))
    if len(counts) < 2:
        raise UsageError(f"{where}: at least two classes are required, got {told or 'none'}")
    if kind == "stage":
        unknown = sorted(set(counts) - set(CLASSES["stage"]))
        if unknown:
            raise UsageError(f"{where}: stages are required ({', '.join(CLASSES['stage'])}), got {unknown[0]!r}")
        return np.array([CLASSES["stage"].index(cell.strip()) for cell in cells], np.int64)
    if positive is None:
        return np.array([_plain_label(where, told, cell) for cell in cells], np.int64)
    if positive not in counts:
        raise UsageError(f"{where}: --positive {positive!r} must be one of its values, which are {told}")
    return np.array([cell.strip() == positive for cell in cells], np.int64)


def _plain_label(where: str, told: str, cell: str) -> int:
    word = cell.strip().lower()
    if word not in _YES | _NO:
        raise UsageError(f"{where}: --positive VALUE must say which value means churn; it holds {told}")
    return int(word in _YES)


def _column(table: Table, name: str, cells: list[str]) -> Numeric | Category | str:
    """How a column is encoded, or why it is of no use."""
    there = [cell for cell in cells if not is_missing(cell)]
    flagged = len(there) < len(cells)
    if not there:
        return f"column {name!r} is left out: it holds nothing"
    if len(set(there)) == 1 and not flagged:
        return f"column {name!r} is left out: it holds {there[0]!r} in every row"
    numbers = [as_number(cell) for cell in there]
    known = [value for value in numbers if value is not None]
    if len(known) == len(there):
        if _counts_rows(known) and not flagged:
            return f"column {name!r} is left out: it counts the rows"
        return Numeric(name, _median(known), flagged)
    if len(known) > _MOSTLY * len(there):
        raise _mixed(table, name, len(known), len(there))
    if len(set(there)) == len(there) or len(set(there)) > _CANNOT_BE_NAMES * len(there):
        return f"column {name!r} is left out: {len(set(there))} values in {len(there)} rows, an identifier or free text"
    return _category(name, there, flagged=flagged)


def _category(name: str, there: list[str], *, flagged: bool) -> Category:
    frequent = [value for value, count in Counter(there).most_common(_MOST_CATEGORIES) if count >= _LEAST_OF_A_CATEGORY]
    return Category(name, tuple(sorted(frequent)), flagged)


def _counts_rows(numbers: list[float]) -> bool:
    """Whether these are whole numbers one apart, up or down."""
    steps = set(np.diff(numbers).tolist())
    return len(numbers) > 2 and len(steps) == 1 and steps <= {1.0, -1.0}


def _median(numbers: list[float]) -> float:
    return float(np.float32(statistics.median(numbers)))


def _mixed(table: Table, name: str, known: int, there: int) -> UsageError:
    line, cell = next(
        (line, cell)
        for line, cell in enumerate(table.columns[name], _FIRST_LINE)
        if not is_missing(cell) and as_number(cell) is None
    )
    return UsageError(
        f"{table.path}: column {name!r} holds numbers in {known} of {there} cells, but row {line} holds {cell[:40]!r}: "
        f"numbers alone are required; mend it, or leave the column out with --drop {name}"
    )
