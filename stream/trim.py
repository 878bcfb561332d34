"""Trim: a checkpoint of the records first, then the log before it goes. Beside whoever runs the directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from membrane.settings import TenantSettings
from storage import checkpoints
from storage.directory import DataDir
from storage.log import SignalLog
from storage.record_reader import RecordReader
from storage.records import RecordStore
from stream.block import Block, decode_block
from stream.library import FileLibrary
from stream.runner import BATCH
from stream.steps import PartitionSteps

Progress = Callable[[int, int], None]
"""(log records applied so far, of how many)"""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What became of a partition's log: it begins at `offset` now, and so many records and dead letters went."""

    partition: int
    offset: int
    records: int
    dead_letters: int


def trim(data: Path, before_ms: int, progress: Progress, *, batch: int = BATCH) -> list[Trimmed]:
    """Drops of every partition the records that were received before a moment and that the stream has applied, and dead
    letters of before it. The last record of a partition and every revision stay. AnotherWriter is the caller's matter.

    Interrupted at any point, the log and its checkpoint fit; run it again. StoreRefused, StoreUnavailable.
    """
    directory = DataDir.existing(data)
    with closing(SignalLog(directory)) as log, closing(RecordReader(directory)) as records:
        partitions = range(directory.partitions)
        starts = [checkpoints.offset(directory, number) for number in partitions]
        ends = [
            max(start, min(log.first_since(number, before_ms), records.meta(number).next_offset))
            for number, start in enumerate(starts)
        ]
        done, total = 0, sum(ends) - sum(starts)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if end > start:
                for more in _checkpoint(directory, log, number, end, batch):
                    progress(done + more, total)
                checkpoints.finish(directory, number, log.erased_keys)
                done += end - start
        return [Trimmed(number, end, *log.trim(number, end, before_ms)) for number, end in enumerate(ends)]


def _checkpoint(directory: DataDir, log: SignalLog, number: int, end: int, batch: int) -> Iterator[int]:
    """Applies the log from the last checkpoint on up to `end` to a copy of it; says each time how many records."""
    part = checkpoints.begin(directory, number)
    library = FileLibrary(directory.principles_path, directory.models_path)
    with closing(RecordStore.open_for_writing(part, number)) as store:
        steps = PartitionSteps(number, store, library, TenantSettings())
        steps.skipped = frozenset(log.poisoned(number))
        start = steps.next_offset
        while (first := steps.next_offset) < end:
            block = Block(number, first, log.read(number, first, min(batch, end - first)), at_end=False)
            steps.write(steps.apply(decode_block(block), 0))
            if steps.missing is not None:
                raise steps.missing
            steps.dropped.clear()
            store.checkpoint()
            yield steps.next_offset - start
        store.mark_all_delivered()
