"""A table in a file: CSV, gzipped CSV or Parquet, as columns of text."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from membrane.errors import UsageError

_FIRST_LINE: Final = 2
_PARQUET: Final = frozenset({".parquet", ".pq"})


@dataclass(frozen=True)
class Table:
    """Columns (name to cells, one a row) and the digest of the file's bytes."""

    path: Path
    columns: dict[str, list[str]]
    sha256: str

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))


def read_table_file(path: Path) -> Table:
    """The table in a file. UsageError with what is wrong, and the line."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: a table is required (CSV, CSV.gz or Parquet): {error.strerror or error}") from None
    columns = _parquet(path, body) if path.suffix in _PARQUET else _csv(path, body)
    if not columns or not next(iter(columns.values())):
        raise UsageError(f"{path}: a header and at least one row are required, got none")
    return Table(path, columns, hashlib.sha256(body).hexdigest())


def _csv(path: Path, body: bytes) -> dict[str, list[str]]:
    lines = list(_lines(path, body))
    if not lines:
        return {}
    header, *rows = lines
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UsageError(f"{path}: each column must have a name of its own, {twice[0]!r} stands there twice")
    for line, row in enumerate(rows, _FIRST_LINE):
        if len(row) != len(header):
            raise UsageError(f"{path}: row {line}: {len(header)} cells are required, got {len(row)}")
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _lines(path: Path, body: bytes) -> Iterator[list[str]]:
    """The rows that are not empty; cells are separated by what separates the names in the header."""
    try:
        text = (gzip.decompress(body) if path.suffix == ".gz" else body).decode("utf-8-sig")
    except (OSError, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: text in UTF-8 is required (gzipped, if the name ends in .gz): {error}") from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        yield from (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if row)
    except csv.Error as error:
        raise UsageError(f"{path}: CSV is required: {error}") from None


def _parquet(path: Path, body: bytes) -> dict[str, list[str]]:
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError(f"{path}: reading Parquet requires the package pyarrow; a CSV needs nothing") from None
    try:
        read = parquet.read_table(io.BytesIO(body))
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path}: Parquet is required: {error}") from None
    return {
        name: ["" if cell is None else str(cell) for cell in read.column(name).to_pylist()]
        for name in read.column_names
    }
