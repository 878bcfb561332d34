"""Rebuild: the records again from the log alone, on the plain runner, with every effect marked as delivered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from membrane.errors import RecordUnreadable
from membrane.record import decode
from membrane.vocabulary import LIFECYCLES, STAGES
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.lock import partition_lock
from storage.record_reader import RecordReader
from stream.block import decode_block
from stream.meta import Meta
from stream.runner import BATCH, StreamConfig
from stream.work import open_partitions

Progress = Callable[[int, int], None]
"""(records applied so far, records in the log)"""


def _silent(done: int, total: int) -> None:
    """Nobody watches."""


def rebuild(data: Path, progress: Progress = _silent, *, batch: int = BATCH) -> int:
    """Empties the records of every partition and applies the log from its start, or from where it was trimmed
    (`stream.trim`); how many log records there were.

    The stream must be stopped: AnotherWriter if it is not. StoreRefused, StoreUnavailable as the stores say;
    StoreRefused, too, for a principle file or a model that the log names and that is not there. If it is
    interrupted, run it again: until then the stream would go on from where this stopped, and deliver effects anew.
    """
    directory = DataDir.existing(data)
    numbers = range(directory.partitions)
    with ExitStack() as stack:
        for number in numbers:
            lock = partition_lock(data, number)
            lock.acquire()
            stack.callback(lock.release)
        for number in numbers:
            directory.remake_records(number)
        config = StreamConfig(data, "plain", batch)
        partitions = stack.enter_context(open_partitions(config, numbers, lambda: False, wall_ms))
        with closing(RecordReader(directory)) as records:
            for number, partition in partitions.items():
                _recount(partition.steps.meta, records, number)
        ends = [partition.end() for partition in partitions.values()]
        done = 0
        for number, partition in partitions.items():
            while partition.steps.next_offset < ends[number]:
                block = partition.next_block()
                if partition.steps.missing is not None:
                    raise partition.steps.missing
                if block is not None:
                    partition.write(partition.apply(decode_block(block)))
                    done += len(block.records)
                    progress(done, sum(ends))
            partition.mark_all_delivered()
    return sum(ends)


def _recount(meta: Meta, records: RecordReader, partition: int) -> None:
    """Counts the customers of a partition's store by stage and lifecycle: a checkpoint that customers were erased from
    has counted them still."""
    meta.stages, meta.lifecycles = {}, {}
    with records.snapshot(partition) as snapshot:
        for _, body in snapshot.records():
            with suppress(RecordUnreadable):
                record = decode(body)
                tracker, tenant = record.tracker, record.tenant
                for counts, name in (
                    (meta.stages, STAGES[tracker.stage]),
                    (meta.lifecycles, LIFECYCLES[tracker.lifecycle]),
                ):
                    customers = counts.setdefault(tenant, {})
                    customers[name] = customers.get(name, 0) + 1
