"""Law 6: a record that kills the process is found and set aside, and no other is."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membrane.errors import StoreUnavailable
from stream.attempts import Attempts


class Process:
    """What becomes of a partition whose process dies at some of its records and is started again each time."""

    def __init__(self, note: Path, records: int, deadly: frozenset[int] = frozenset(), batch: int = 4) -> None:
        self.note = note
        self.records = records
        self.deadly = deadly
        self.batch = batch
        self.offset = 0  # what the store holds
        self.poison: list[int] = []
        self.batches: list[tuple[int, int]] = []

    def live(self, killed_after: int | None = None, *, in_hand: bool = True) -> bool:
        """One life: True if it came to the end of the log. `killed_after` so many batches somebody else kills it, while
        it applies one or between two."""
        attempts = Attempts(self.note)
        try:
            if attempts.start(self.offset):
                self.poison.append(self.offset)
            applied = 0
            while self.offset < self.records:
                if applied == killed_after and not in_hand:
                    return False
                count = min(attempts.limit(self.offset, self.batch), self.records - self.offset)
                attempts.note(self.offset, count)
                self.batches.append((self.offset, count))
                batch = set(range(self.offset, self.offset + count)) - set(self.poison)
                if applied == killed_after or batch & self.deadly:
                    return False
                self.offset, applied = self.offset + count, applied + 1
                attempts.clear(self.offset)
            return True
        finally:
            attempts.close()

    def finish(self) -> int:
        """Lives until it comes to the end; how many it took."""
        return next(lives for lives in range(1, 200) if self.live())


def test_the_third_start_at_one_offset_goes_one_by_one_and_what_then_kills_twice_is_poison(tmp_path: Path) -> None:
    process = Process(tmp_path / "note", 12, frozenset({5}))
    assert process.finish() == 5
    assert process.poison == [5]
    assert process.batches == [
        (0, 4), (4, 4), (4, 4),          # two starts with a wide batch
        (4, 1), (5, 1), (5, 1),          # the third goes one at a time: the first is good, the second kills twice
        (5, 1), (6, 1), (7, 1), (8, 4),  # set aside; carefully to the end of the batch that died
    ]  # fmt: skip


def test_without_deaths_every_batch_is_wide(tmp_path: Path) -> None:
    process = Process(tmp_path / "note", 10)
    assert process.finish() == 1
    assert process.batches == [(0, 4), (4, 4), (8, 2)]


@given(records=st.integers(1, 30), deadly=st.frozensets(st.integers(0, 29), max_size=6), batch=st.integers(1, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_exactly_the_deadly_records_are_set_aside(
    tmp_path: Path, records: int, deadly: frozenset[int], batch: int
) -> None:
    note = tmp_path / "note"
    note.unlink(missing_ok=True)
    process = Process(note, records, deadly, batch)
    lives = process.finish()
    found = sorted(offset for offset in deadly if offset < records)
    assert process.poison == found
    assert lives <= 1 + 4 * len(found)


@given(kills=st.lists(st.integers(0, 3), max_size=3))  # a fourth at the very same record would look like its doing
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_good_record_is_not_poison_because_somebody_kills_the_process(tmp_path: Path, kills: list[int]) -> None:
    note = tmp_path / "note"
    note.unlink(missing_ok=True)
    process = Process(note, 40)
    for killed_after in kills:
        process.live(killed_after)
    process.finish()
    assert (process.poison, process.offset) == ([], 40)


@pytest.mark.parametrize("starts", [3, 10])
def test_starts_that_end_because_a_store_failed_do_not_count(tmp_path: Path, starts: int) -> None:
    for _ in range(starts):
        attempts = Attempts(tmp_path / "note")
        assert attempts.start(7) is False
        assert attempts.limit(7, 512) == 512
        attempts.note(7, 100)
        attempts.forgive()
        attempts.close()


def test_a_process_that_is_killed_while_nothing_is_in_hand_leaves_no_trace(tmp_path: Path) -> None:
    process = Process(tmp_path / "note", 12)
    for killed_after in (1, *[0] * 9):
        process.live(killed_after, in_hand=False)
    process.finish()
    assert (process.poison, process.batches) == ([], [(0, 4), (4, 4), (8, 4)])


def test_a_death_before_the_batch_is_not_counted_for_the_one_before_it(tmp_path: Path) -> None:
    process = Process(tmp_path / "note", 12)
    process.live(0)
    for _ in range(9):
        process.live(0, in_hand=False)
    assert process.live() is True
    assert process.batches[1] == (0, 4)


def test_each_part_of_a_long_tick_that_is_written_forgets_the_deaths_before_it(tmp_path: Path) -> None:
    for _ in range(9):
        attempts = Attempts(tmp_path / "note")
        assert attempts.start(7) is False
        assert attempts.limit(7, 512) == 512
        attempts.note(7, 512)
        attempts.clear(7)  # a part: the tick is the next still
        attempts.note(7, 512)
        attempts.close()  # killed


def test_a_disk_that_refuses_is_a_store_that_is_not_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(tmp_path / "note")

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", refuse)
    monkeypatch.setattr("os.posix_fallocate", refuse)
    for write in (lambda: attempts.note(1, 2), lambda: attempts.clear(3), lambda: Attempts(tmp_path / "other")):
        with pytest.raises(StoreUnavailable, match="No space left"):
            write()


def test_a_note_about_another_offset_or_half_a_note_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "note"
    for content in (b"", b"half", b"\xff" * 25):
        path.write_bytes(content)
        attempts = Attempts(path)
        assert (attempts.start(3), attempts.limit(3, 9)) == (False, 9)
        attempts.close()
