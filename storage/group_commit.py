"""Group commit: one thread takes every batch that waits and appends them with one fsync.

There is no artificial delay: while one transaction is being fsynced, the next group gathers.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import Final, Protocol

from membrane.errors import StoreUnavailable
from storage.log import Batch, Taken

MAX_WAITING: Final = 20_000
MAX_GROUP: Final = 5_000


_Group = list[tuple[Batch, Future[list[Taken]]]]


class _Log(Protocol):
    def append_batches(self, batches: list[Batch]) -> list[list[Taken]]: ...


class GroupCommitter:
    """Appends batches for many callers. `asyncio.wrap_future` makes the future of `submit` awaitable.

    At most `max_waiting` signals wait, and one transaction takes at most about `max_group` of them.
    """

    def __init__(self, log: _Log, *, max_waiting: int = MAX_WAITING, max_group: int = MAX_GROUP) -> None:
        self._log = log
        self._max_waiting = max_waiting
        self._max_group = max_group
        self._changed = threading.Condition()
        self._queue: deque[tuple[Batch, Future[list[Taken]]]] = deque()
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> Future[list[Taken]]:
        """The future of what `SignalLog.append` answers for this batch, done once it is fsynced.

        It fails with the error of its transaction, and then nothing of the batch may be acknowledged. Raises
        StoreUnavailable at once when too much is waiting already or the committer is closed.
        """
        future: Future[list[Taken]] = Future()
        with self._changed:
            if self._closed:
                raise StoreUnavailable("the log is closed: an open one was required")
            if self._waiting and self._waiting + _size(batch) > self._max_waiting:
                raise StoreUnavailable(f"the log is behind: {self._waiting} signals wait to be stored")
            self._queue.append((batch, future))
            self._waiting += _size(batch)
            self._changed.notify()
        return future

    def close(self) -> None:
        """Takes no more, stores what waits, and returns when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            wanted = [(batch, future) for batch, future in group if future.set_running_or_notify_cancel()]
            try:
                answers = self._log.append_batches([batch for batch, _ in wanted]) if wanted else []
            except Exception as error:  # noqa: BLE001 - whatever it is, each caller must hear of it
                for _, future in wanted:
                    future.set_exception(error)
            else:
                for (_, future), answer in zip(wanted, answers, strict=True):
                    future.set_result(answer)

    def _take(self) -> _Group:
        """The next group; empty once all is done and the committer closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            group: _Group = []
            size = 0
            while self._queue and (not group or size + _size(self._queue[0][0]) <= self._max_group):
                group.append(self._queue.popleft())
                size += _size(group[-1][0])
            self._waiting -= size
            return group


def _size(batch: Batch) -> int:
    return max(1, len(batch.signals) + len(batch.dead_letters))
