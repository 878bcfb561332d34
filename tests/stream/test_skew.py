"""What was served is what the log gives: bit for bit, and a bit that differs is found."""

from __future__ import annotations

import shutil
from contextlib import closing

import apsw
import msgspec
import pytest

from membrane.examples import Served
from membrane.features import FEATURE_NAMES
from membrane.times import HOUR
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.log import SignalLog
from stream.skew import Mismatch, skew
from stream.trim import trim
from tests.strategies import START
from tests.stream.made import NOW, append, apply_log, make_data, some_signals


def silent(done: int, total: int) -> None:
    assert 0 < done <= total


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = make_data(tmp_path_factory.mktemp("made") / "data", model=True)
    signals = some_signals(500, customers=5)
    for first in range(0, len(signals), 100):
        append(path, signals[first : first + 100])
        log = SignalLog(DataDir.existing(path), clock="signals")
        log.tick(START + first * 2 * HOUR)
        log.close()
    with pytest.MonkeyPatch.context() as monkeypatch:
        apply_log(path, monkeypatch)
    return path


@pytest.fixture
def data(made, tmp_path):
    return DataDir.existing(shutil.copytree(made, tmp_path / "data"))


def change(data: DataDir, partition: int, change_row) -> int:
    """Changes the vector of the first example kept in a partition; its offset."""
    with closing(apsw.Connection(str(data.records_path(partition)))) as connection:
        offset, body = connection.execute("SELECT offset, body FROM examples ORDER BY offset LIMIT 1").fetchall()[0]
        changed = msgspec.msgpack.encode(change_row(msgspec.msgpack.decode(body, type=Served)))
        connection.execute("UPDATE examples SET body = ? WHERE offset = ?", (changed, offset)).fetchall()
    return offset


def test_what_was_served_is_what_the_log_gives(data):
    found = skew(data, silent)
    with closing(LabelledReader(data)) as reader:
        assert found.checked == reader.kept() > 20
    assert (found.mismatches, found.passed_over, found.first) == (0, 0, [])


def test_of_a_trimmed_log_the_checkpoint_is_where_it_begins(data, monkeypatch):
    with closing(LabelledReader(data)) as reader:
        before = reader.kept()
    trim(data.path, NOW + 1, silent)
    append(data.path, some_signals(800, customers=5)[500:], NOW + 1)
    apply_log(data.path, monkeypatch)
    found = skew(data, silent)
    assert found.checked > 10
    assert before - data.partitions <= found.trimmed <= before  # the last record of a partition always stays
    assert (found.mismatches, found.first) == (0, [])


def test_a_bit_that_differs_is_found_and_named(data):
    def last_bit(served: Served) -> Served:
        row = bytearray(served.features)
        row[4 * FEATURE_NAMES.index("tenure")] ^= 1
        return msgspec.structs.replace(served, features=bytes(row))

    offset = change(data, 1, last_bit)
    found = skew(data, silent)
    assert found.mismatches == 1
    [one] = found.first
    assert isinstance(one, Mismatch)
    assert (one.partition, one.offset, one.feature) == (1, offset, "tenure")
    assert one.served != one.replayed
    assert one.served == pytest.approx(one.replayed, rel=1e-6)


def test_vectors_of_other_features_are_passed_over(data):
    change(data, 0, lambda served: msgspec.structs.replace(served, fingerprint="f" * 64))
    found = skew(data, silent)
    assert (found.mismatches, found.passed_over) == (0, 1)
