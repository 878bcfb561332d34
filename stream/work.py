"""Opening what the stream works on: the log's read side, the library and the stores of the partitions it owns."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from membrane.errors import MembraneError
from membrane.settings import TenantSettings
from storage.directory import DataDir
from storage.log import SignalLog
from storage.records import RecordStore
from storage.traces import open_traces
from stream.attempts import Attempts
from stream.library import FileLibrary
from stream.metrics import StreamMetrics
from stream.partition import Conduct, Partition
from stream.steps import PartitionSteps
from stream.tail import Tail, Watch

if TYPE_CHECKING:
    from stream.runner import StreamConfig

GC_THRESHOLD: Final = 100_000
_logger: Final = logging.getLogger("membrane.stream")


@contextmanager
def open_partitions(
    config: StreamConfig, numbers: Sequence[int], stopping: Callable[[], bool], now_ms: Callable[[], int]
) -> Iterator[dict[int, Partition]]:
    """The partitions of those numbers, open for writing (their epochs raised); closed at the end.

    Raises StoreRefused, StoreUnavailable.
    """
    directory = DataDir.existing(config.data)
    with ExitStack() as stack:
        log = SignalLog(directory)
        stack.callback(log.close)
        library = FileLibrary(directory.principles_path, directory.models_path)
        watch = Watch(log)
        metrics = StreamMetrics(directory.run_path / "metrics")
        traces = open_traces("stream")
        if traces is not None:
            stack.callback(traces.close)
        conduct = Conduct(config.batch, now_ms, stopping, metrics, traces)
        opened: dict[int, Partition] = {}
        for number in numbers:
            store = RecordStore.open_for_writing(directory, number)
            attempts = Attempts(directory.run_path / f"attempt-{number}")
            steps = PartitionSteps(number, store, library, TenantSettings())
            opened[number] = Partition(
                steps,
                store,
                Tail(log, watch, number),
                attempts,
                conduct,
            )
            stack.callback(opened[number].close)
            if attempts.start(steps.next_offset):
                log.poison(number, steps.next_offset, now_ms())
                told = {"partition": number, "offset": steps.next_offset}
                _logger.error("a record that ended the stream twice is set aside", extra={"told": told})
            steps.skipped = frozenset(log.poisoned(number))
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 50, 50)
        try:
            yield opened
        except (MembraneError, KeyboardInterrupt, SystemExit):
            _forgive(opened)
            raise
        else:
            _forgive(opened)


def _forgive(opened: dict[int, Partition]) -> None:
    for partition in opened.values():
        partition.forgive()
