"""Rows of an export of another system: CSV with a header, a JSON array of objects, or a JSON object a line; also
gzipped (`.gz`)."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from membrane.document import hint
from membrane.errors import UsageError
from training.progress import Progress, silent

Bytes = BinaryIO | gzip.GzipFile
_object: Final = msgspec.json.Decoder(dict[str, Any])
_objects: Final = msgspec.json.Decoder(list[dict[str, Any]])


class ExportRow(NamedTuple):
    """A row and where it stands (`line 3`, of an array `row 2`): its cells by column, or why it has none. Cells of an
    object inside an object are named with a dot: `requester.email`."""

    place: str
    cells: dict[str, Any]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an export is written, and the columns that are read of it."""

    columns: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8"


def read_export(path: Path, layout: Layout, progress: Progress = silent) -> Iterator[ExportRow]:
    """The rows of a file, as its name says what it is: `.csv`, `.json` (an array), `.ndjson` or `.jsonl`. Progress in
    bytes.

    UsageError if it cannot be read as that, or a CSV lacks one of the columns."""
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind not in _READERS:
        raise UsageError(f"{path}: a name that ends in {', '.join(_READERS)} (or that and .gz) was required")
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            data = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            for row in _READERS[kind](data, layout):
                yield row
                progress(file.tell(), size)
            progress(size, size)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: an export was required: {reason}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: text in {layout.encoding} was required, other bytes came") from error
    except _NotSuch as error:
        raise UsageError(f"{path}: {error}") from error


class _NotSuch(Exception):
    """The file is not what its name says."""


def _csv(data: Bytes, layout: Layout) -> Iterator[ExportRow]:
    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    with io.TextIOWrapper(data, encoding, newline="") as text:
        table = csv.DictReader(text, delimiter=layout.delimiter)
        try:
            yield from _table_rows(table, layout)
        except csv.Error as error:
            raise _NotSuch(f"line {table.line_num}: CSV was required: {error}") from error


def _table_rows(table: csv.DictReader[str], layout: Layout) -> Iterator[ExportRow]:
    header = tuple(table.fieldnames or ())
    missing = [f"'{name}'{hint(name, header)}" for name in layout.columns if name not in header]
    if missing:
        came = ", ".join(header) or "nothing"
        raise _NotSuch(f"the mapping's columns were required, there is no {', no '.join(missing)}; came {came}")
    for cells in table:
        place = f"line {table.line_num}"
        if None in cells or None in cells.values():
            yield ExportRow(place, {}, f"{len(header)} cells were required, {_came(cells)} came")
        else:
            yield ExportRow(place, cells)


def _came(cells: dict[Any, Any]) -> int:
    more = cells.get(None, ())
    return sum(name is not None and cell is not None for name, cell in cells.items()) + len(more)


def _json_lines(data: Bytes, _layout: Layout) -> Iterator[ExportRow]:
    for number, line in enumerate(data, 1):
        if not line.strip():
            continue
        try:
            yield ExportRow(f"line {number}", _flat(_object.decode(line)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield ExportRow(f"line {number}", {}, f"a JSON object was required: {error}")


def _json_array(data: Bytes, _layout: Layout) -> Iterator[ExportRow]:
    try:
        rows = _objects.decode(data.read())
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _NotSuch(f"a JSON array of objects was required: {error}") from error
    for number, row in enumerate(rows, 1):
        yield ExportRow(f"row {number}", _flat(row))


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    return dict(_leaves(value, ""))


def _leaves(value: dict[str, Any], path: str) -> Iterable[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner


_READERS: Final[dict[str, Callable[[Bytes, Layout], Iterator[ExportRow]]]] = {
    ".csv": _csv,
    ".json": _json_array,
    ".ndjson": _json_lines,
    ".jsonl": _json_lines,
}
