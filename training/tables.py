"""Tables of public data sets: gzipped CSV files, read where they are."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from membrane.errors import UsageError


def read_table(path: Path, data_set: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows by column name. UsageError if the file or one of the columns is missing."""
    if not path.is_file():
        raise UsageError(f"{path}: this file of {data_set} is required, none is there")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        table = csv.DictReader(text)
        missing = sorted(set(columns) - set(table.fieldnames or ()))
        if missing:
            raise UsageError(f"{path}: columns {', '.join(columns)} are required, {', '.join(missing)} not found")
        yield from table
