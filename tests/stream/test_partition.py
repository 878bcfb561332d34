"""One partition at work: one block at a time, a heartbeat, and patience with a disk that refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from membrane.errors import AnotherWriter, StoreRefused, StoreUnavailable
from membrane.ports import Commit, NewSignal, RecordKind
from membrane.settings import TenantSettings
from membrane.signals import encode_stored
from storage.directory import DataDir
from storage.log import SignalLog
from storage.record_reader import RecordReader
from stream.attempts import Attempts
from stream.block import Decoded, DecodedSignal, decode_block
from stream.partition import HEARTBEAT_MS, Conduct, Partition
from stream.rebuild import rebuild
from stream.steps import Applied, Dropped, PartitionSteps
from stream.tail import Tail, Watch
from tests.fakes import MemoryLog, MemoryStore, OneLibrary
from tests.strategies import START, signal
from tests.stream.made import apply_log, make_data, some_signals, state_of


class MoodyStore(MemoryStore):
    """Refuses the next few commits."""

    refusals = checkpoints = 0
    closed = delivered = False

    def commit(self, commit: Commit) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("disk full")
        super().commit(commit)

    def checkpoint(self) -> bool:
        self.checkpoints += 1
        return True

    def mark_all_delivered(self) -> None:
        self.delivered = True

    def close(self) -> None:
        self.closed = True


class Bench:
    """A partition over fakes; time and the wish to stop are set by hand."""

    def __init__(self, note: Path) -> None:
        self.now, self.stop = START, False
        self.log, self.store = MemoryLog(), MoodyStore()
        self.heard: list[tuple[Applied, list[Dropped]]] = []
        self.waits: list[float] = []
        steps = PartitionSteps(0, self.store, OneLibrary(), TenantSettings())
        tail = Tail(self.log, Watch(self.log, iter(range(10**6)).__next__), 0)
        self.attempts = Attempts(note)
        conduct = Conduct(4, lambda: self.now, lambda: self.stop, self)
        self.partition = Partition(steps, self.store, tail, self.attempts, conduct)

    def written(self, partition: int, applied: Applied, dropped: list[Dropped]) -> None:
        self.heard.append((applied, list(dropped)))

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def orders(self, count: int) -> None:
        for number in range(count):
            self.log.signal(signal(number, "order.placed", START, {"amount": 1}))

    def apply_next(self) -> int | None:
        """Applies the next block; how many records it had, None if there was none."""
        block = self.partition.next_block()
        if block is None:
            return None
        self.partition.write(self.partition.apply(decode_block(block)))
        return len(block.records)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("stream.partition.RETRY_SECONDS", (0.0,))
    return Bench(tmp_path / "note")


def test_the_next_block_is_read_when_the_last_one_is_written(bench: Bench) -> None:
    bench.orders(6)
    block = bench.partition.next_block()
    assert block is not None
    assert bench.partition.next_block() is None
    bench.partition.write(bench.partition.apply(decode_block(block)))
    assert bench.apply_next() == 2
    assert (bench.store.next_offset, bench.partition.end(), bench.store.checkpoints) == (6, 6, 2)


def test_a_heartbeat_says_once_a_second_that_the_end_was_seen(bench: Bench) -> None:
    seen = []
    for _ in range(3):
        seen.append(bench.apply_next())
        seen.append(bench.apply_next())
        bench.now += HEARTBEAT_MS
    assert seen == [0, None] * 3
    assert bench.partition.steps.meta.seen_end_ms == START + 2 * HEARTBEAT_MS


def test_while_the_disk_refuses_it_is_tried_again_and_nothing_is_lost(bench: Bench) -> None:
    bench.orders(3)
    bench.store.refusals = 5
    assert bench.apply_next() == 3
    assert (bench.store.refusals, bench.store.next_offset, len(bench.heard)) == (0, 3, 1)


def test_told_to_stop_while_the_disk_refuses_it_says_so(bench: Bench) -> None:
    bench.orders(3)
    bench.store.refusals, bench.stop = 5, True
    with pytest.raises(StoreUnavailable):
        bench.apply_next()
    assert (bench.store.next_offset, bench.heard) == (0, [])


def test_a_note_that_the_disk_refuses_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.orders(3)
    refusals = iter([True, True])
    write = os.pwrite

    def pwrite(*words: Any) -> int:
        if next(refusals, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*words)

    monkeypatch.setattr("os.pwrite", pwrite)
    assert bench.apply_next() == 3
    assert bench.store.next_offset == 3


def test_what_is_missing_is_told_once_and_looked_for_every_second(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    def principles(_: object, digest: str) -> None:
        tries.append(digest)
        raise StoreRefused("a.yaml: missing")

    bench.orders(1)
    bench.log.revision("principles", "a" * 64)
    bench.orders(1)
    with monkeypatch.context() as without:
        without.setattr(OneLibrary, "principles", principles)
        assert bench.apply_next() == 3
        assert (bench.store.next_offset, len(tries)) == (1, 1)
        for _ in range(40):
            bench.apply_next()
            bench.now += 100
        assert bench.store.next_offset == 1
        assert 3 <= len(tries) <= 6
        assert bench.partition.steps.meta.seen_end_ms == 0
    bench.now += 1000
    while bench.apply_next():
        pass
    assert (bench.store.next_offset, bench.partition.steps.rules.principles is not None) == (3, True)
    assert [one.message for one in caplog.records] == ["partition 0 waits: a.yaml: missing"]


def test_who_listens_hears_what_was_written_and_what_was_dropped_once(bench: Bench) -> None:
    bench.orders(1)
    bench.log.signal(signal(5, "case.opened", START, {"case": "A", "category": "x", "severity": 1}))
    bench.log.add(RecordKind.TICK, b"{}")
    bench.apply_next()
    bench.orders(1)
    bench.apply_next()
    (first, dropped), (_, later) = bench.heard
    assert dict(first.transitions) == {("steady", "crisis", "default", False): 1}
    assert ([lost.offset for lost in dropped], later) == ([2], [])


def test_it_gives_back_what_it_holds(bench: Bench) -> None:
    bench.partition.mark_all_delivered()
    bench.partition.close()
    assert (bench.store.delivered, bench.store.closed) == (True, True)
    with pytest.raises(StoreUnavailable, match="descriptor"):
        bench.attempts.note(0, 1)


# ---- on real stores ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("error", [StoreUnavailable("I/O error"), AnotherWriter("taken over")])
def test_a_store_that_fails_at_every_start_makes_no_record_poison(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = some_signals(60)
    data = make_data(tmp_path / "data", signals)

    def failing(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("storage.records.RecordStore.load", failing)
        for _ in range(7):
            with pytest.raises(type(error)):
                apply_log(data, broken)
    told = apply_log(data, monkeypatch)
    clean = make_data(tmp_path / "clean", signals)
    apply_log(clean, monkeypatch)
    assert told.dropped == []
    assert state_of(data) == state_of(clean)


class Killed(BaseException):
    """Made up, and known to no step: like a native crash it leaves the note as it is."""


@pytest.mark.usefixtures("restored")
def test_a_record_that_kills_whoever_applies_it_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = some_signals(60)
    victim = signal(17, "order.placed", START, {}, customer="victim")
    signals[30] = NewSignal("default", "victim", "tests", "victim", START, encode_stored(victim))
    data = make_data(tmp_path / "data", signals, partitions=1)
    whole = PartitionSteps.apply

    def apply(steps: PartitionSteps, block: Decoded, now_ms: int) -> Applied:
        for record in block.records:
            deadly = isinstance(record, DecodedSignal) and record.customer[1] == "victim"
            if deadly and record.offset not in steps.skipped:
                raise Killed
        return whole(steps, block, now_ms)

    monkeypatch.setattr(PartitionSteps, "apply", apply)
    for _ in range(4):
        with pytest.raises(Killed):
            apply_log(data, monkeypatch, batch=16)
    apply_log(data, monkeypatch, batch=16)
    reader, log = RecordReader(DataDir.existing(data)), SignalLog(DataDir.existing(data))
    (letter,) = log.dead_letters(10)
    assert (letter.reason, letter.position) in {("poison", offset) for offset in log.poisoned(0)}
    assert reader.get("default", "victim") is None
    assert state_of(data)[0].offsets == [log.end(0)]
    assert state_of(data)[0].customers == len({item.customer for item in signals}) - 1
    reader.close()
    log.close()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_is_told_to_end_leaves_no_death_behind(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path / "data", some_signals(60))

    def end(*_: object) -> None:
        raise error

    with monkeypatch.context() as ended:
        ended.setattr(PartitionSteps, "apply", end)
        for _ in range(7):
            with pytest.raises(error):
                apply_log(data, ended)
    assert apply_log(data, monkeypatch).dropped == []
    log = SignalLog(DataDir.existing(data))
    assert not any(map(log.poisoned, range(2)))
    log.close()


@pytest.mark.usefixtures("restored")
def test_a_rebuild_without_a_file_that_the_log_names_says_which_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path / "data", some_signals(60))
    apply_log(data, monkeypatch)
    before = state_of(data)
    (file,) = DataDir.existing(data).principles_path.iterdir()
    file.rename(tmp_path / file.name)
    with pytest.raises(StoreRefused, match=f"{file.name}.*put it back"):
        rebuild(data)
    (tmp_path / file.name).rename(file)
    rebuild(data)
    assert state_of(data)[0] == before[0]
