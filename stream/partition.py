"""One partition at work: its tail, its steps, its care about poison and its heartbeat. Both runners drive this."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from membrane.errors import StoreRefused, StoreUnavailable
from membrane.ports import StateStore
from stream.attempts import Attempts
from stream.block import Block, Decoded
from stream.steps import UNREADABLE, Applied, Dropped, PartitionSteps
from stream.tail import Tail
from stream.tracing import Application, begun, ended

if TYPE_CHECKING:
    from storage.otel import Traces

HEARTBEAT_MS: Final = 1_000
MISSING_MS: Final = 1_000
RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_logger: Final = logging.getLogger("membrane.stream")


class CheckpointedStore(StateStore, Protocol):
    """A store whose write-ahead log its owner copies back now and then."""

    def checkpoint(self) -> bool:
        """Never waits."""

    def mark_all_delivered(self) -> None:
        """Marks every effect as delivered."""

    def close(self) -> None:
        """Closes the store."""


class Observer(Protocol):
    """Who hears what was written, for metrics."""

    def written(self, partition: int, applied: Applied, dropped: list[Dropped]) -> None:
        """A commit is in the store."""

    def waited(self, seconds: float) -> None:
        """So long after its receipt the first record of a block is in the store."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How the partitions of one process are run: records a batch, the wall clock, when to stop, who hears of it, where
    spans go, if anywhere."""

    batch: int
    now_ms: Callable[[], int]
    stopping: Callable[[], bool]
    observer: Observer
    traces: Traces | None = None


class Partition:
    """Reads, applies and writes one partition, one block at a time: the next is read when the last is written."""

    def __init__(
        self,
        steps: PartitionSteps,
        store: CheckpointedStore,
        tail: Tail,
        attempts: Attempts,
        conduct: Conduct,
    ) -> None:
        self.steps = steps
        self._store = store
        self._tail = tail
        self._attempts = attempts
        self._conduct = conduct
        self._in_flight = False
        self._received_ms: int | None = None
        self._looked_at_ms = 0
        self._told: set[str] = set()
        self._told_offset = -1
        self._traced: list[Application] = []

    def next_block(self) -> Block | None:
        """The next block, or an empty one as a heartbeat; None when there is nothing to do now, or nothing may be done
        because what the log names is missing (it is looked for every second)."""
        if self._in_flight or (self.steps.missing is not None and not self._found(self.steps.missing)):
            return None
        offset = self.steps.next_offset
        block = self._tail.next_block(offset, self._attempts.limit(offset, self._conduct.batch))
        if block is not None:
            records = len(block.records)
            self._patiently(lambda: self._attempts.note(offset, records))
        elif self._conduct.now_ms() - self.steps.meta.seen_end_ms >= HEARTBEAT_MS:
            block = Block(self.steps.partition, offset, (), at_end=True)
        self._in_flight = block is not None
        self._received_ms = block.records[0].received_ms if block is not None and block.records else None
        return block

    def apply(self, block: Decoded) -> Applied:
        """Fold, infer, track and require."""
        self._traced = begun(self._conduct.traces, block) if self._conduct.traces is not None else []
        return self.steps.apply(block, self._conduct.now_ms())

    def write(self, applied: Applied) -> None:
        """Commit. While the disk refuses (StoreUnavailable) it is tried again until the process is told to stop."""
        self._patiently(lambda: self.steps.write(applied))
        self._patiently(lambda: self._attempts.clear(self.steps.next_offset))
        ended(self._traced, self.steps.next_offset)
        self._in_flight = False
        self._store.checkpoint()
        self._conduct.observer.written(self.steps.partition, applied, self.steps.dropped)
        self._tell_in_detail(applied)
        if self._received_ms is not None:
            self._conduct.observer.waited(max(self._conduct.now_ms() - self._received_ms, 0) / 1000)
        if any(lost.reason.startswith(UNREADABLE) for lost in self.steps.dropped):
            self._tell(f"partition {self.steps.partition}: records that cannot be read are left out until `rebuild`")
        self.steps.dropped.clear()

    def end(self) -> int:
        """The offset that the partition's next log record will get."""
        return self._tail.end()

    def mark_all_delivered(self) -> None:
        """What was told before is not told again (`rebuild`)."""
        self._store.mark_all_delivered()

    def forgive(self) -> None:
        """The process ends because it was told to or a store failed: the record in hand is not to blame."""
        with suppress(StoreUnavailable):
            self._attempts.forgive()

    def close(self) -> None:
        """Give back the store and the note."""
        self._attempts.close()
        self._store.close()

    def _patiently(self, write: Callable[[], None]) -> None:
        tries = 0
        while True:
            try:
                return write()
            except StoreUnavailable:
                if self._conduct.stopping():
                    raise
                time.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1

    def _found(self, missing: StoreRefused) -> bool:
        self._tell(f"partition {self.steps.partition} waits: {missing}")
        now = self._conduct.now_ms()
        if 0 <= now - self._looked_at_ms < MISSING_MS:
            return False
        self._looked_at_ms = now
        return self.steps.find_missing()

    def _tell_in_detail(self, applied: Applied) -> None:
        """What was dropped, by its place in the log, and how far the log is applied."""
        for lost in self.steps.dropped:
            told = {"partition": self.steps.partition, "offset": lost.offset}
            _logger.info("a record is left out: %s", lost.reason.split(":")[0], extra={"told": told})
        if applied.commit.next_offset != self._told_offset and _logger.isEnabledFor(logging.DEBUG):
            self._told_offset = applied.commit.next_offset
            told = {"partition": self.steps.partition, "offset": self._told_offset}
            _logger.debug("partition %s is applied up to offset %s", *told.values(), extra={"told": told})

    def _tell(self, message: str) -> None:
        """Once each."""
        if message not in self._told:
            self._told.add(message)
            _logger.warning("%s", message, extra={"told": {"partition": self.steps.partition}})
