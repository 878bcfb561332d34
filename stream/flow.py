"""The dataflow on Bytewax: source -> decode -> apply -> commit, one worker a process, nothing exchanged between them.

No recovery store of the engine: parts start at the offset that the partition's own store holds. The engine is a thin
shell over `stream.partition`, as is the plain runner; their results are equal (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from stream.block import Block, Decoded, decode_block
from stream.partition import Partition
from stream.steps import Applied

IDLE: Final = timedelta(milliseconds=5)
Partitions = Mapping[int, Partition]


class LogPart(StatefulSourcePartition[Block, None]):
    """One log partition as a source part."""

    def __init__(self, partition: Partition, stopping: Callable[[], bool]) -> None:
        self._partition = partition
        self._stopping = stopping
        self._idle = False

    def next_batch(self) -> list[Block]:
        """The next block, if there is one; the engine asks again at once, or after IDLE when there was none."""
        if self._stopping():
            raise StopIteration
        block = self._partition.next_block()
        self._idle = block is None
        return [] if block is None else [block]

    def next_awake(self) -> datetime | None:
        """When to ask again."""
        return datetime.now(UTC) + IDLE if self._idle else None

    def snapshot(self) -> None:
        """Nothing: the offset is ours, in the partition's store."""


class LogSource(FixedPartitionedSource[Block, None]):
    """The log partitions that this process owns."""

    def __init__(self, partitions: Partitions, stopping: Callable[[], bool]) -> None:
        self._partitions = partitions
        self._stopping = stopping

    def list_parts(self) -> list[str]:
        """Their numbers."""
        return [str(partition) for partition in self._partitions]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> LogPart:
        """The part of one log partition."""
        return LogPart(self._partitions[int(for_part)], self._stopping)


class _Commits(StatelessSinkPartition[tuple[int, Applied]]):
    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    def write_batch(self, items: list[tuple[int, Applied]]) -> None:
        for partition, applied in items:
            self._partitions[partition].write(applied)


class CommitSink(DynamicSink[tuple[int, Applied]]):
    """Each commit goes to its partition's store, in the process that read the block."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Commits:
        """The sink of the one worker."""
        return _Commits(self._partitions)


def build_flow(partitions: Partitions, stopping: Callable[[], bool]) -> Dataflow:
    """The dataflow over the partitions of this process."""

    def apply(block: Decoded) -> tuple[int, Applied]:
        return block.partition, partitions[block.partition].apply(block)

    flow = Dataflow("membrane")
    blocks: Any = op.input("log", flow, LogSource(partitions, stopping))
    decoded = op.map("decode", blocks, decode_block)
    applied = op.map("apply", decoded, apply)
    op.output("commit", applied, CommitSink(partitions))
    return flow


def run_bytewax(partitions: Partitions, stopping: Callable[[], bool]) -> None:
    """Run until told to stop; whatever a step raises comes out as it was raised."""
    try:
        run_main(build_flow(partitions, stopping))  # type: ignore[no-untyped-call]
    except BytewaxRuntimeError as error:
        cause: BaseException = error
        while isinstance(cause, BytewaxRuntimeError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise cause from None
