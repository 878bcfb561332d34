"""Trim: what is left of the log, with its checkpoint, gives the same records, whoever looks or rebuilds."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from membrane.errors import StoreRefused, StoreUnavailable, UsageError
from membrane.ports import RecordKind, partition_of
from membrane.record import encode
from membrane.settings import TenantSettings
from storage import checkpoints
from storage.digest import digest
from storage.directory import DataDir
from storage.lock import dir_lock
from storage.log import SignalLog
from storage.log_reader import LogReader
from storage.sqlite import connect, connect_readonly, select
from stream.hindsight import Hindsight
from stream.rebuild import rebuild
from stream.trim import trim
from tests.stream.made import NOW, append, apply_log, but_for_counts, log_ends, make_data, some_signals, state_of

LATER = NOW + 1_000


def silent(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def data(tmp_path, monkeypatch):
    """120 signals received at NOW, 60 received LATER, all applied."""
    signals = some_signals(180, customers=8)
    made = make_data(tmp_path / "data", signals[:120])
    append(made, signals[120:], LATER)
    apply_log(made, monkeypatch)
    return made


def offsets(data, partition):
    with closing(LogReader(DataDir.existing(data))) as log:
        return [one.offset for one in log.read(partition, 0, 10_000) if one.kind is not RecordKind.REVISION]


def test_a_rebuild_of_a_trimmed_log_gives_the_same(data):
    before = state_of(data)
    found = trim(data, LATER, silent)
    assert [one.offset for one in found] == [min(offsets(data, one.partition)) for one in found]
    assert sum(one.records for one in found) >= 120
    assert state_of(data) == before
    rebuild(data)
    assert state_of(data) == before


def test_trimming_again_goes_on_from_the_checkpoint_and_doing_so_twice_changes_nothing(data, monkeypatch):
    trim(data, LATER, silent)
    append(data, some_signals(240, customers=8)[180:], LATER + 1_000)
    apply_log(data, monkeypatch)
    before = state_of(data)
    further = trim(data, LATER + 1_000, silent)
    assert all(one.records for one in further)
    again = trim(data, LATER + 1_000, silent)
    assert [(one.offset, one.records) for one in again] == [(one.offset, 0) for one in further]
    rebuild(data)
    assert state_of(data) == before


def test_a_log_that_was_never_applied_is_not_trimmed_and_the_last_record_always_stays(tmp_path, data):
    fresh = make_data(tmp_path / "fresh", some_signals(20))
    assert [(one.offset, one.records) for one in trim(fresh, LATER, silent)] == [(0, 0), (0, 0)]
    ends = log_ends(data)
    assert [one.offset for one in trim(data, LATER * 2, silent)] == [end - 1 for end in ends]
    assert log_ends(data) == ends


def test_looking_back_begins_at_the_checkpoint_and_says_what_lies_before_it(data):
    with closing(LogReader(DataDir.existing(data))) as log:
        hindsight = Hindsight(log, TenantSettings())
        last = {}
        for customer in (f"c-{number}" for number in range(8)):
            timeline = log.timeline("default", customer, None, 100)
            last[customer] = max(one.offset for one in timeline if one.kind is RecordKind.SIGNAL)
        before = {one: encode(hindsight.record_at("default", one, version)) for one, version in last.items()}
        trim(data, LATER, silent)
        begins = [checkpoints.offset(log.directory, partition) for partition in range(2)]
        younger = [one for one in last if last[one] >= begins[partition_of("default", one, 2)]]
        assert len(younger) > 4
        for customer in younger:
            assert encode(hindsight.record_at("default", customer, last[customer])) == before[customer]
        with pytest.raises(UsageError, match="was trimmed up to offset"):
            hindsight.record_at("default", "c-1", 3)


def test_an_erased_customer_goes_from_the_checkpoint_too(data, monkeypatch):
    trim(data, LATER, silent)
    directory = DataDir.existing(data)
    with closing(SignalLog(directory)) as log:
        log.erase("default", "c-1", LATER, LATER)
    partition = partition_of("default", "c-1", 2)
    assert checkpoints.erase(directory, partition, "default", "c-1")
    apply_log(data, monkeypatch)
    before = but_for_counts(state_of(data))
    rebuild(data)
    assert but_for_counts(state_of(data)) == before
    assert before[0].customers == 7


def test_what_an_interrupted_trim_left_behind_goes_with_whoever_is_erased(data):
    directory = DataDir.existing(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trim(data, LATER, silent)
    left = data / "checkpoint.part"
    mine = next(f"c-{number}" for number in range(8) if partition_of("default", f"c-{number}", 2) == 0)
    assert any(mine.encode() in path.read_bytes() for path in left.iterdir())
    assert checkpoints.erase(directory, 0, "default", mine) == {}
    assert not left.exists()


KILLED = """
import os, sys
from storage import checkpoints, gaps
from storage.directory import DataDir
clear = gaps.clear
gaps.clear = lambda *of_what: (clear(*of_what), os.kill(os.getpid(), 9))
checkpoints.erase(DataDir.existing(sys.argv[1]), int(sys.argv[2]), "default", sys.argv[3])
"""


def erase_and_be_killed(data, partition: int, customer: str) -> None:
    """The erasure of a customer from a checkpoint by a process that dies before the write-ahead log is cut at last."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(data), str(partition), customer], check=False)
    assert done.returncode == -signal.SIGKILL
    wal = DataDir.existing(data).checkpoint_path(partition).with_suffix(".db-wal")
    assert wal.stat().st_size > 0


def test_a_trim_after_an_erasure_that_was_killed_puts_no_checkpoint_beside_its_write_ahead_log(data, monkeypatch):
    trim(data, LATER, silent)
    directory, partition = DataDir.existing(data), partition_of("default", "c-1", 2)
    append(data, some_signals(400, customers=80)[180:], LATER + 1_000)
    with closing(SignalLog(directory)) as log:
        log.erase("default", "c-1", LATER, LATER + 1_000)
    append(data, some_signals(420, customers=8)[400:], LATER + 2_000)
    apply_log(data, monkeypatch)
    before = but_for_counts(state_of(data))
    erase_and_be_killed(data, partition, "c-1")
    assert all(one.records for one in trim(data, LATER + 2_000, silent))
    assert [checkpoints.fault_of(directory.checkpoint_path(number)) for number in range(2)] == [None, None]
    assert [path.name for path in (data / "checkpoint").iterdir() if path.name.endswith("-wal")] == []
    rebuild(data)
    assert but_for_counts(state_of(data)) == before


@pytest.mark.parametrize("fault", ["a damaged page", "a write-ahead log of somebody"])
def test_a_checkpoint_that_would_not_be_sound_takes_nobodys_place_and_the_log_stays(data, fault):
    finish = checkpoints.finish
    trim(data, LATER, silent)
    append(data, some_signals(240, customers=8)[180:], LATER + 1_000)
    rebuild(data)
    before = state_of(data), offsets(data, 0)

    def spoiled(directory, partition, erased):
        if fault == "a damaged page":
            path = directory.with_records_in("checkpoint.part").records_path(partition)
            with closing(connect(path)) as connection:
                connection.execute("PRAGMA writable_schema = ON")
                connection.execute("UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'records_due'")
        else:
            path = directory.checkpoint_path(partition)
            path.with_name(path.name + "-wal").write_bytes(b"x")
        finish(directory, partition, erased)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "finish", spoiled)
        with pytest.raises(StoreRefused, match="was required"):
            trim(data, LATER + 1_000, silent)
    assert (state_of(data), offsets(data, 0)) == before
    for path in (data / "checkpoint").glob("*-wal"):
        path.unlink()
    rebuild(data)
    assert state_of(data) == before[0]


def test_a_checkpoint_that_somebody_reads_is_not_replaced_until_then(data, monkeypatch):
    trim(data, LATER, silent)
    append(data, some_signals(240, customers=8)[180:], LATER + 1_000)
    rebuild(data)
    path = DataDir.existing(data).checkpoint_path(0)
    connect(path).close()  # an erasure has been there
    with closing(connect_readonly(path)) as reader:
        select(reader, "SELECT count(*) FROM records")
        monkeypatch.setattr(checkpoints, "_PATIENCE_SECONDS", 0.05)
        with pytest.raises(StoreUnavailable, match="a reader keeps"):
            trim(data, LATER + 1_000, silent)
    assert all(one.records for one in trim(data, LATER + 1_000, silent))


def test_the_names_of_checkpoints_are_on_disk_before_the_log_is_trimmed(data, monkeypatch):
    done = []
    monkeypatch.setattr(checkpoints, "fsync", lambda folder: done.append(folder.name))
    cut = SignalLog.trim
    monkeypatch.setattr(SignalLog, "trim", lambda *of_what: done.append("trimmed") or cut(*of_what))
    trim(data, LATER, silent)
    assert done == ["checkpoint", "data"] * 2 + ["trimmed"] * 2


@pytest.mark.parametrize("when", ["before the first read", "between two reads"])
def test_looking_back_while_the_log_is_trimmed_gives_no_other_record(data, monkeypatch, when):
    """Whoever asks again is told that it is gone, or gets the same."""
    last = max(offsets(data, 0))
    with closing(LogReader(DataDir.existing(data))) as log:
        hindsight = Hindsight(log, TenantSettings())
        [(tenant, customer)] = log.customers_between(0, last, last + 1)
        whole = encode(hindsight.record_at(tenant, customer, last))
        read, start_of = LogReader.read, checkpoints.start_of
        reads = []

        def start_and_trim(*of_what):
            start = start_of(*of_what)
            trim(data, LATER, silent)
            return start

        def trim_and_read(*of_what):
            if len(reads) == 1:
                trim(data, LATER, silent)
            reads.append(of_what)
            return read(*of_what)

        with monkeypatch.context() as patch:
            if when == "before the first read":
                patch.setattr(checkpoints, "start_of", start_and_trim)
            else:
                patch.setattr("stream.hindsight.READ_AT_ONCE", 20)
                patch.setattr(log, "read", lambda *of_what: trim_and_read(log, *of_what))
            with pytest.raises(StoreUnavailable, match="was trimmed meanwhile: try again"):
                hindsight.record_at(tenant, customer, last)
        assert encode(hindsight.record_at(tenant, customer, last)) == whole


def test_checkpoints_are_left_alone_while_they_are_made(data, monkeypatch):
    """They take each other's place then; a store that is open twice would be damaged."""
    monkeypatch.setattr(checkpoints, "_PATIENCE_SECONDS", 0.05)
    directory = DataDir.existing(data)
    trim(data, LATER, silent)
    names = (partition_of("default", "c-1", 2), "default", "c-1")
    with dir_lock(data, checkpoints.TRIM) as lock:
        lock.acquire()
        assert checkpoints.erase(directory, *names) is None
    removed = checkpoints.erase(directory, *names)
    assert removed is not None
    assert removed["records"] == 1
    assert b"c-1" not in directory.checkpoint_path(names[0]).read_bytes()
    assert checkpoints.erase(directory, *names) == {}


def test_whoever_is_erased_while_a_checkpoint_is_made_is_not_in_it(data):
    directory = DataDir.existing(data)
    finish = checkpoints.finish

    def erased_before(directory, partition, erased):
        with closing(SignalLog(directory)) as log:
            log.erase("default", "c-1", LATER, LATER)
        finish(directory, partition, erased)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "finish", erased_before)
        trim(data, LATER, silent)
    for partition in range(2):
        path = directory.checkpoint_path(partition)
        assert checkpoints.start_of(directory, partition, [("default", "c-1")]).records == {}
        assert path.is_file()


def test_interrupted_before_the_log_is_cut_it_is_made_up_for(data):
    before = state_of(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SignalLog, "trim", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trim(data, LATER, silent)
    assert offsets(data, 0)[0] < checkpoints.offset(DataDir.existing(data), 0)
    rebuild(data)
    assert state_of(data) == before
    assert sum(one.records for one in trim(data, LATER, silent)) >= 120


def test_without_its_checkpoint_a_trimmed_log_is_refused(data):
    trim(data, LATER, silent)
    before = digest(data)
    shutil.rmtree(data / "checkpoint")
    with pytest.raises(StoreRefused, match="put the folder `checkpoint` of this directory back from a backup"):
        rebuild(data)
    assert digest(data) == before
