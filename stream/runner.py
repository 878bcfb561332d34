"""Running the stream: locks first, imports after, so that a second writer is told at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from storage.clock import wall_ms
from storage.lock import WriterLock, partition_lock

BATCH = 512
LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """`share` = (index, count): this process owns the partitions p with p % count == index."""

    data: Path
    runner: Literal["bytewax", "plain"] = "bytewax"
    batch: int = BATCH
    takeover: bool = False
    share: tuple[int, int] = (0, 1)
    partitions: int | None = None
    prepare: Callable[[], None] = lambda: None
    """Called once the partitions are ours, before anything is read."""


class Stopping:
    """Whether the process was asked to stop (SIGTERM, SIGINT)."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def listen(self) -> None:
        """Hear SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Stop at the next chance."""
        self._asked = True


def run_stream(config: StreamConfig, stopping: Stopping | None = None) -> int:
    """Apply the log until told to stop; 0 then. AnotherWriter when a partition has a writer, or one took over;
    StoreRefused and StoreUnavailable as the stores say."""
    stopping = stopping or Stopping()
    stopping.listen()
    with ExitStack() as stack:
        partitions = _owned(config)
        for partition in partitions:
            lock = partition_lock(config.data, partition)
            lock.acquire(takeover=config.takeover)
            stack.callback(lock.release)
            if not lock.held:
                stack.callback(_get_when_free(lock))
        config.prepare()
        from stream.work import open_partitions  # noqa: PLC0415 - heavy: only for whoever got the locks

        owned = stack.enter_context(open_partitions(config, partitions, stopping, wall_ms))
        _runner(config.runner)(owned, stopping)
    return 0


def _get_when_free(lock: WriterLock) -> Callable[[], None]:
    """Takes the lock as soon as the process that we took over from is gone, so that a third is refused. What is
    returned gives up."""
    enough = threading.Event()

    def wait() -> None:
        while not enough.wait(LOCK_POLL_SECONDS) and not lock.acquire_if_free():
            pass

    def give_up() -> None:
        enough.set()
        waiting.join()

    waiting = threading.Thread(target=wait, name="lock", daemon=True)
    waiting.start()
    return give_up


def _owned(config: StreamConfig) -> list[int]:
    from storage.directory import DataDir  # noqa: PLC0415 - after the arguments are known to be sound

    count = DataDir.open(config.data, config.partitions).partitions
    index, of = config.share
    return [partition for partition in range(count) if partition % of == index]


def _runner(name: str) -> Callable[..., None]:
    if name == "plain":
        from stream.plain import run_plain  # noqa: PLC0415

        return run_plain
    from stream.flow import run_bytewax  # noqa: PLC0415

    return run_bytewax
