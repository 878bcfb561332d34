"""The source's side of a partition: blocks as they are written, and no reading while nothing is."""

from __future__ import annotations

from collections.abc import Sequence

from membrane.ports import LogRecord
from stream.tail import POLL_SECONDS, Tail, Watch
from tests.fakes import MemoryLog


class CountedLog(MemoryLog):
    """Counts how often it is asked."""

    reads = asked = 0

    def read(self, partition: int, offset: int, limit: int) -> Sequence[LogRecord]:
        self.reads += 1
        return super().read(partition, offset, limit)

    def change_counter(self) -> int:
        self.asked += 1
        return super().change_counter()


class Clock:
    """Goes on by a poll each time it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += POLL_SECONDS
        return self.now


def tail_of(log: CountedLog) -> Tail:
    return Tail(log, Watch(log, Clock()), 0)


def test_blocks_follow_each_other_and_the_last_one_knows_that_it_is() -> None:
    log = CountedLog()
    for t in range(5):
        log.tick(t)
    tail = tail_of(log)
    seen, offset = [], 0
    while (block := tail.next_block(offset, 2)) is not None:
        seen.append((block.first, len(block.records), block.at_end))
        offset += len(block.records)
    assert seen == [(0, 2, False), (2, 2, False), (4, 1, True)]
    assert tail.end() == 5


def test_a_full_last_block_is_followed_by_nothing() -> None:
    log = CountedLog()
    log.tick(1)
    tail = tail_of(log)
    assert tail.next_block(0, 1) is not None
    assert tail.next_block(1, 1) is None


def test_nothing_is_read_until_somebody_writes() -> None:
    log = CountedLog()
    tail = tail_of(log)
    assert [tail.next_block(0, 9) for _ in range(5)] == [None] * 5
    assert log.reads == 1
    log.tick(1)
    block = tail.next_block(0, 9)
    assert block is not None
    assert len(block.records) == 1


def test_the_log_is_asked_for_changes_at_most_once_a_poll() -> None:
    log, clock = CountedLog(), Clock()
    watch = Watch(log, lambda: clock.now)
    for _ in range(10):
        watch.counter()
    assert log.asked == 1
    clock()
    log.tick(1)
    assert (watch.counter(), log.asked) == (1, 2)
