"""Labelled examples as a file that others learn from."""

from __future__ import annotations

import json
import stat
from array import array
from contextlib import closing

import msgspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from membrane.errors import UsageError
from membrane.examples import Served
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.ports import Commit, Effect, Learned
from storage.decisions import DecisionLog
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.records import RecordStore
from training.parquet import export, read

ROW = [n / 3 for n in range(len(FEATURE_NAMES))]
LABELS = [(0, 2, 7_000, "ana", 1_500, 5_000), (1, 0, 10_000, "horizon", 1_000, 9_000)]


def vector(features: str = "") -> bytes:
    served = Served(array("f", ROW).tobytes(), features or fingerprint(), {"m": (0.5, 0.5)}, {"stage_model": "m"})
    return msgspec.msgpack.encode(served)


def decision(at: int, *verdicts: tuple[str, str, str], asked: str | None = None) -> tuple[int, bytes]:
    candidates = [{"id": str(n), "domain": domain, "kind": kind} for n, (domain, kind, _) in enumerate(verdicts)]
    answer = [{"candidate": str(n), "verdict": verdict} for n, (_, _, verdict) in enumerate(verdicts)]
    request = {"candidates": candidates, "at": asked}
    return at, json.dumps({"request": request, "answer": {"verdicts": answer}}).encode()


@pytest.fixture
def data(tmp_path) -> DataDir:
    """A vector of time 1,000 with two labels, found out at 5,000 and 9,000, and one of other features."""
    directory = DataDir.open(tmp_path / "data", 1)
    met = [Effect(f"e-{at}", at, "obligation", "t", "c", at, b'{"state": "met"}') for at in (900, 3_000)]
    opened = [Effect("e-1", 1, "obligation", "t", "c", 3_000, b'{"state": "open"}')]
    examples = [(3, "t", "c", 1_000, None, vector()), (4, "t", "d", 1_000, None, vector("f" * 64))]
    labels = [(1, *LABELS[0], 3, 0), (2, *LABELS[1], 3, 0), (3, *LABELS[1], 4, 0)]
    with closing(RecordStore.open_for_writing(directory, 0)) as store:
        store.commit(Commit(next_offset=9, effects=[*met, *opened], learned=Learned(examples, labels)))
    return directory


@pytest.fixture
def _decided(data) -> None:
    selling, calling = ("marketing", "upsell"), ("service", "agent_call")
    lines = [
        decision(1_000, (*selling, "allow")),
        decision(2_000, (*selling, "forbid"), (*calling, "allow")),
        decision(4_000, (*selling, "defer"), asked="2026-11-23T00:00:00Z"),
        decision(7_000, (*selling, "allow")),
    ]
    with closing(DecisionLog(data.decisions_path)) as log:
        for number, (at, body) in enumerate(lines):
            assert log.put(f"d-{number}", "t", "c", at, body)


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total == 3


@pytest.mark.usefixtures("_decided")
def test_rows_have_the_vector_the_label_and_what_was_done_in_between(data, tmp_path):
    exported = export(data, tmp_path / "out.parquet", 0, silent)
    assert (exported.rows, exported.passed_over) == (2, 1)
    first, second = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [first[name] for name in FEATURE_NAMES] == list(array("f", ROW))
    assert (first["target"], first["label"], first["weight"], first["labelled_by"]) == ("stage", "strained", 0.7, "ana")
    assert (second["target"], second["label"], second["labelled_by"]) == ("churn", "stays", "horizon")
    assert [one["served_at"].timestamp() for one in (first, second)] == [1.0, 1.0]
    assert [one["labelled_at"].timestamp() for one in (first, second)] == [5.0, 9.0]
    assert (first["stage_model"], first["churn_model"], json.loads(first["scores"])) == ("m", None, {"m": [0.5, 0.5]})
    done = [
        {name: one[name] for name in one if name.startswith(("allowed_", "refused_")) and one[name]}
        for one in (first, second)
    ]
    assert done == [
        {"allowed_help": 1, "refused_persuasion": 1},
        {"allowed_persuasion": 1, "allowed_help": 1, "refused_persuasion": 1},
    ]
    assert [one["obligations_met"] for one in (first, second)] == [1, 1]


def test_the_same_data_gives_the_same_bytes_and_the_later_part_can_be_had_alone(data, tmp_path):
    for name in ("one", "two"):
        export(data, tmp_path / name, 0, silent)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o644
    assert export(data, tmp_path / "late", 6_000, silent).rows == 1


def test_a_file_is_written_whole_or_not_at_all(data, tmp_path, monkeypatch):
    (tmp_path / "out").write_bytes(b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.parquet._table", fail)
    with pytest.raises(UsageError, match="No space left"):
        export(data, tmp_path / "out", 0, silent)
    assert (tmp_path / "out").read_bytes() == b"before"
    with pytest.raises(UsageError, match="a file to write was required"):
        export(data, tmp_path / "nowhere" / "out", 0, silent)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}


def test_what_was_written_is_read_as_it_was_kept(data, tmp_path):
    export(data, tmp_path / "out.parquet", 0, silent)
    with closing(LabelledReader(data)) as reader:
        assert list(read(tmp_path / "out.parquet")) == [one for one in reader.every() if one.fingerprint != "f" * 64]


@pytest.mark.parametrize(
    ("column", "cells", "problem"),
    [
        ("label", ["strained", "leaves"], "row 2: a labelled example was required"),
        ("scores", ["{", "{}"], "row 1: a labelled example was required"),
        ("weight", [None, 1.0], "row 1: a labelled example was required"),
        ("open_cases", None, "the columns of an export were required, open_cases is missing"),
    ],
)
def test_a_file_that_is_no_export_is_told_with_its_row(data, tmp_path, column, cells, problem):
    export(data, tmp_path / "out.parquet", 0, silent)
    table = parquet.read_table(tmp_path / "out.parquet")
    table = table.drop_columns([column])
    if cells is not None:
        table = table.append_column(column, pa.array(cells))
    parquet.write_table(table, tmp_path / "other.parquet")
    with pytest.raises(UsageError, match=f"--examples {tmp_path / 'other.parquet'}: {problem}"):
        list(read(tmp_path / "other.parquet"))
    (tmp_path / "other.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UsageError, match="a readable file was required"):
        list(read(tmp_path / "other.parquet"))
