"""The source's side of one partition: the next block of the log, read where it is processed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from membrane.errors import StoreRefused
from membrane.ports import SignalSource
from stream.block import Block

POLL_SECONDS: Final = 0.002


class WatchedSource(SignalSource, Protocol):
    """A log that says cheaply whether anybody has written to it."""

    def change_counter(self) -> int:
        """Another number after each change."""


class Watch:
    """One process's view of whether the log has changed; asks at most once per POLL_SECONDS."""

    def __init__(self, source: WatchedSource, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._asked = float("-inf")
        self._counter = 0

    def counter(self) -> int:
        """The log's change counter, as of a moment ago."""
        now = self._monotonic()
        if now - self._asked >= POLL_SECONDS:
            self._counter, self._asked = self._source.change_counter(), now
        return self._counter


class Tail:
    """Blocks of one partition from an offset on."""

    def __init__(self, source: WatchedSource, watch: Watch, partition: int) -> None:
        self._source = source
        self._watch = watch
        self._partition = partition
        self._drained_at: tuple[int, int] | None = None

    def end(self) -> int:
        """The offset that the partition's next log record will get."""
        return self._source.end(self._partition)

    def next_block(self, offset: int, limit: int) -> Block | None:
        """At most `limit` records from `offset` on; None when it is the end, and nothing was written since it was."""
        counter = self._watch.counter()
        if (counter, offset) == self._drained_at:
            return None
        records = self._source.read(self._partition, offset, limit)
        if records and records[0].offset != offset:
            raise StoreRefused(
                f"the record at offset {offset} of partition {self._partition} was required, the log begins at "
                f"{records[0].offset}: it was trimmed, and these records are older: run `membrane rebuild`"
            )
        at_end = len(records) < limit
        if at_end:
            self._drained_at = (counter, offset + len(records))
        return Block(self._partition, offset, records, at_end) if records else None
