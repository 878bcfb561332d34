"""Labelled examples as Parquet: one row for each label, for whoever learns or judges elsewhere.

The columns are the features as served (float32, by name), what was in force, what the models gave, the label and its
times, and what was done to the customer between the vector and the label: how often the membrane allowed and refused
departments, by class, and obligations that were met.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from pyarrow import parquet

from membrane.errors import RecordUnreadable, UsageError
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.labelled import Labelled
from membrane.vocabulary import STAGES, InteractionClass, Verdict, class_of
from storage.decisions import DecisionReader, LoggedDecision
from storage.directory import DataDir
from storage.examples import LabelledReader

ROWS_AT_ONCE: Final = 2_000
_PAGE: Final = 200
_EFFECTS: Final = 10_000
"""So many of a customer's latest effects are looked at."""
FILE_NAME: Final = "examples.parquet"
CLASSES: Final = tuple(str(one) for one in InteractionClass)
_CHURN: Final = ("stays", "closes")
_MOMENT: Final = pa.timestamp("ms", tz="UTC")
_REVISIONS: Final = ("principles", "stage_model", "churn_model")
_AS_THEY_ARE: Final = (
    "partition", "number", "tenant", "customer", "offset", "fingerprint", "target", "weight", "about", "labelled_at"
)  # fmt: skip
_RENAMED: Final = {"served_at": "time", "labelled_by": "by"}
_MOMENTS: Final = ("served_at", "about", "labelled_at")
_READ: Final = (*_AS_THEY_ARE, *_RENAMED, *_REVISIONS, "scores", "label")
SCHEMA: Final = pa.schema(
    [
        ("partition", pa.int32()),
        ("number", pa.int64()),
        ("tenant", pa.string()),
        ("customer", pa.string()),
        ("offset", pa.int64()),
        ("served_at", _MOMENT),
        ("fingerprint", pa.string()),
        ("principles", pa.string()),
        ("stage_model", pa.string()),
        ("churn_model", pa.string()),
        ("scores", pa.string()),
        ("target", pa.string()),
        ("label", pa.string()),
        ("weight", pa.float64()),
        ("labelled_by", pa.string()),
        ("about", _MOMENT),
        ("labelled_at", _MOMENT),
        *((f"allowed_{name}", pa.int32()) for name in CLASSES),
        *((f"refused_{name}", pa.int32()) for name in CLASSES),
        ("obligations_met", pa.int32()),
        *((name, pa.float32()) for name in FEATURE_NAMES),
    ]
)

Progress = Callable[[int, int], None]


class Exported(msgspec.Struct):
    """How many rows were written, and how many labels were of vectors with other features than this version's."""

    rows: int = 0
    passed_over: int = 0


class _Candidate(msgspec.Struct):
    id: str
    domain: str
    kind: str


class _Request(msgspec.Struct):
    candidates: list[_Candidate]
    at: str | None = None


class _Verdict(msgspec.Struct):
    candidate: str
    verdict: str


class _Answer(msgspec.Struct):
    verdicts: list[_Verdict]


class _Line(msgspec.Struct):
    request: _Request
    answer: _Answer


class _Closed(msgspec.Struct):
    state: str


_line: Final = msgspec.json.Decoder(_Line)
_closed: Final = msgspec.json.Decoder(_Closed)

Treatments = list[tuple[int, str]]
"""(time, column) of all that was done to a customer."""


def export(directory: DataDir, out: Path, since: int, progress: Progress) -> Exported:
    """Writes the labelled examples found out at `since` or later, whole or not at all. UsageError if the place cannot
    be written to; StoreUnavailable and RecordUnreadable as the stores say."""
    exported, ours = Exported(), fingerprint()
    with closing(LabelledReader(directory)) as reader, closing(_Deeds(directory, reader)) as deeds:
        total = sum(count for count, _ in reader.counts().values())
        rows = (one for one in reader.every() if one.labelled_at >= since)
        try:
            with _atomically(out) as path, parquet.ParquetWriter(path, SCHEMA) as writer:
                while some := list(islice(rows, ROWS_AT_ONCE)):
                    fit = [one for one in some if one.fingerprint == ours]
                    exported.passed_over += len(some) - len(fit)
                    exported.rows += len(fit)
                    writer.write_table(_table(fit, deeds))
                    progress(min(exported.rows + exported.passed_over, total), total)
        except OSError as error:
            raise UsageError(f"{out}: a file to write was required: {error.strerror or error}") from error
    return exported


class _Deeds:
    """What was done to customers, from the decision log and the outbox."""

    def __init__(self, directory: DataDir, reader: LabelledReader) -> None:
        self._path = directory.decisions_path
        self._decisions = DecisionReader(self._path) if self._path.is_file() else None
        self._reader = reader

    def close(self) -> None:
        """Nobody may be reading."""
        if self._decisions is not None:
            self._decisions.close()

    def of(self, tenant: str, customer: str, since: int) -> Treatments:
        """All that was done to a customer after `since`."""
        return [*self._verdicts(tenant, customer, since), *self._met(tenant, customer, since)]

    def _verdicts(self, tenant: str, customer: str, since: int) -> Iterator[tuple[int, str]]:
        before = None
        while self._decisions is not None:
            some = self._decisions.by_customer(tenant, customer, _PAGE, before)
            for one in some:
                yield from ((one.time_ms, column) for column in self._columns(one) if one.time_ms > since)
            if len(some) < _PAGE:
                return
            before = some[-1].seq

    def _columns(self, logged: LoggedDecision) -> Iterator[str]:
        """A column for each candidate that was decided; what was asked about another moment gave no permission."""
        try:
            line = _line.decode(logged.body)
        except msgspec.MsgspecError as error:
            raise RecordUnreadable(f"{self._path}: {logged.id}: cannot be read: {error}") from error
        if line.request.at is None:
            classes = {one.id: class_of(one.domain, one.kind) for one in line.request.candidates}
            for verdict in line.answer.verdicts:
                what = "allowed" if verdict.verdict == Verdict.ALLOW else "refused"
                yield f"{what}_{classes[verdict.candidate]}"

    def _met(self, tenant: str, customer: str, since: int) -> Iterator[tuple[int, str]]:
        for one in self._reader.effects(tenant, customer, None, _EFFECTS):
            if one.kind == "obligation" and one.time_ms > since and _closed.decode(one.body).state == "met":
                yield one.time_ms, "obligations_met"


def read(file: Path) -> Iterator[Labelled]:
    """The labelled examples of a file that `export` wrote, what was done in between apart. UsageError, with the row,
    for a file that is none."""
    try:
        with parquet.ParquetFile(file) as table:
            missing = sorted({*_READ, *FEATURE_NAMES} - {*table.schema_arrow.names})
            if missing:
                raise UsageError(f"--examples {file}: the columns of an export were required, {missing[0]} is missing")
            batches = table.iter_batches(ROWS_AT_ONCE, columns=[*_READ, *FEATURE_NAMES])
            for number, row in enumerate(chain.from_iterable(map(_plain, batches)), 1):
                yield _labelled(file, number, row)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"--examples {file}: a readable file was required: {error}") from error


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch, moments as epoch milliseconds."""
    moments = {name: batch.column(name).cast(_MOMENT).cast(pa.int64()) for name in _MOMENTS}
    columns = [moments.get(name, batch.column(name)) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()  # type: ignore[no-any-return]


def _labelled(file: Path, number: int, row: dict[str, Any]) -> Labelled:
    classes = STAGES if row["target"] == "stage" else _CHURN
    try:
        said = {
            **{name: row[name] for name in _AS_THEY_ARE},
            **{field: row[column] for column, field in _RENAMED.items()},
            "label": classes.index(row["label"]),
            "features": [row[name] for name in FEATURE_NAMES],
            "scores": msgspec.json.decode(row["scores"]),
            "revisions": {kind: row[kind] for kind in _REVISIONS if row[kind] is not None},
        }
        return msgspec.convert(said, Labelled)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        required = "a labelled example was required"
        raise UsageError(f"--examples {file}: row {number}: {required}: {error}") from error


def _table(rows: Sequence[Labelled], deeds: _Deeds) -> pa.Table:
    since: dict[tuple[str, str], int] = {}
    for one in rows:
        key = one.tenant, one.customer
        since[key] = min(one.time, since.get(key, one.time))
    done = {key: deeds.of(*key, first) for key, first in since.items()}
    return pa.Table.from_pylist([_row(one, done[one.tenant, one.customer]) for one in rows], SCHEMA)


def _row(one: Labelled, done: Treatments) -> dict[str, object]:
    counts = Counter(column for t, column in done if one.time < t <= one.labelled_at)
    treatments = [*(f"{what}_{name}" for what in ("allowed", "refused") for name in CLASSES), "obligations_met"]
    return {
        "partition": one.partition,
        "number": one.number,
        "tenant": one.tenant,
        "customer": one.customer,
        "offset": one.offset,
        "served_at": one.time,
        "fingerprint": one.fingerprint,
        **{kind: one.revisions.get(kind) for kind in _REVISIONS},
        "scores": msgspec.json.encode(one.scores).decode(),
        "target": one.target,
        "label": STAGES[one.label] if one.target == "stage" else _CHURN[one.label],
        "weight": one.weight,
        "labelled_by": one.by,
        "about": one.about,
        "labelled_at": one.labelled_at,
        **{name: counts[name] for name in treatments},
        **dict(zip(FEATURE_NAMES, one.features, strict=True)),
    }


@contextmanager
def _atomically(out: Path) -> Iterator[Path]:
    """A file beside `out` that takes its place once the block has ended well."""
    descriptor, name = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        part.replace(out)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
