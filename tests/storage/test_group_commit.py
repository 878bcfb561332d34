"""Many callers, one fsync; nobody is told of a success that is none."""

from __future__ import annotations

import asyncio
import threading

import pytest

from membrane.errors import StoreUnavailable
from storage.group_commit import GroupCommitter
from storage.log import Batch


class SlowLog:
    """A log whose first commit waits until it is let go; fails while `error` is set."""

    def __init__(self) -> None:
        self.groups: list[list[Batch]] = []
        self.entered = threading.Event()
        self.go = threading.Event()
        self.error: Exception | None = None

    def append_batches(self, batches):
        self.entered.set()
        assert self.go.wait(5)
        self.groups.append(list(batches))
        if self.error is not None:
            raise self.error
        return [[True] * len(batch.signals) for batch in batches]


@pytest.fixture
def slow():
    return SlowLog()


@pytest.fixture
def committer(slow):
    committer = GroupCommitter(slow, max_waiting=10, max_group=6)
    yield committer
    slow.go.set()
    committer.close()


def batch(size, start=0):
    return Batch([object()] * size, start)


def test_what_gathers_during_a_commit_is_committed_as_one_group(slow, committer):
    first = committer.submit(batch(1))
    assert slow.entered.wait(5)
    more = [committer.submit(batch(size)) for size in (1, 2, 3)]
    slow.go.set()
    assert [future.result(5) for future in [first, *more]] == [[True], [True], [True] * 2, [True] * 3]
    assert [len(group) for group in slow.groups] == [1, 3]


def test_a_group_has_a_greatest_size_unless_one_batch_alone_is_greater(slow, committer):
    committer.submit(batch(1))
    assert slow.entered.wait(5)
    futures = [committer.submit(batch(size)) for size in (4, 4)]
    slow.go.set()
    for future in futures:
        future.result(5)
    committer.submit(batch(30)).result(5)
    assert [len(group) for group in slow.groups] == [1, 1, 1, 1]


def test_a_failing_commit_fails_every_batch_of_its_group_and_no_other(slow, committer):
    slow.error = StoreUnavailable("disk full")
    first = committer.submit(batch(1))
    assert slow.entered.wait(5)
    more = [committer.submit(batch(1)) for _ in range(2)]
    slow.go.set()
    for future in (first, *more):
        with pytest.raises(StoreUnavailable, match="disk full"):
            future.result(5)
    slow.error = None
    assert committer.submit(batch(1)).result(5) == [True]


def test_a_full_queue_refuses_at_once(slow, committer):
    committer.submit(batch(1))
    assert slow.entered.wait(5)
    committer.submit(batch(8))
    with pytest.raises(StoreUnavailable, match="8 signals wait"):
        committer.submit(batch(3))
    committer.submit(batch(2))


def test_closing_stores_what_waits_and_takes_no_more(slow):
    committer = GroupCommitter(slow)
    futures = [committer.submit(batch(1)) for _ in range(3)]
    slow.go.set()
    committer.close()
    assert all(future.done() for future in futures)
    with pytest.raises(StoreUnavailable, match="closed"):
        committer.submit(batch(1))


def test_a_cancelled_batch_that_was_not_begun_is_not_stored(slow, committer):
    committer.submit(batch(1))
    assert slow.entered.wait(5)
    cancelled = committer.submit(batch(2))
    assert cancelled.cancel()
    slow.go.set()
    assert committer.submit(batch(3)).result(5) == [True] * 3
    assert [len(b.signals) for group in slow.groups for b in group] == [1, 3]


def test_asyncio_callers_await_their_own_answers_of_a_real_log(log, make_signal):
    async def send():
        committer = GroupCommitter(log)
        batches = [Batch([make_signal(f"{n // 2}"), make_signal(f"x{n}")], 0) for n in range(40)]
        answers = await asyncio.gather(*(asyncio.wrap_future(committer.submit(b)) for b in batches))
        committer.close()
        return answers

    assert asyncio.run(send()) == [[n % 2 == 0, True] for n in range(40)]
