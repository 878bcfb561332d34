"""Skew: every kept vector, made again from the log by the fold that serves, and compared bit for bit.

Only fold and features run, without records, stages or models: a customer's state is a function of its signals, and its
clock of their times and of the ticks between them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from msgspec import Struct

from membrane.errors import StoreUnavailable
from membrane.features import FEATURE_NAMES, features, fingerprint
from membrane.fold import fold
from membrane.ports import RecordKind
from membrane.record import State, decode
from storage import checkpoints
from storage.checkpoints import Start
from storage.directory import DataDir
from storage.examples import Example, LabelledReader
from storage.log_reader import LogReader
from stream.block import DecodedSignal, decode_signal
from stream.meta import read_meta
from stream.steps import tick_time

READ_AT_ONCE: Final = 2_000
SHOWN: Final = 10

Progress = Callable[[int, int], None]
"""(records read so far, records to read)"""


class Mismatch(Struct, frozen=True):
    """A vector that came out otherwise: where, and by its first feature that differs; no value of `replayed` if the log
    does not give the vector at all."""

    partition: int
    offset: int
    feature: str
    served: float
    replayed: float | None


class Skew(Struct):
    """How many vectors were compared, how many differ and the first of those; `passed_over`: those of other features
    than this version's, which it cannot make; `trimmed`: those of before the beginning of a log."""

    checked: int = 0
    mismatches: int = 0
    passed_over: int = 0
    trimmed: int = 0
    first: list[Mismatch] = []


def skew(directory: DataDir, progress: Progress) -> Skew:
    """Compares all partitions, one after another. Raises StoreUnavailable or RecordUnreadable."""
    found, ours = Skew(), fingerprint()
    with closing(LogReader(directory)) as log, closing(LabelledReader(directory)) as reader:
        partitions = range(directory.partitions)
        ends = [log.end(partition) for partition in partitions]
        for partition in partitions:
            kept = {one.offset: one for one in _kept(reader, partition)}
            start = checkpoints.start_of(directory, partition, {(one.tenant, one.customer) for one in kept.values()})
            there = {offset: one for offset, one in kept.items() if offset >= start.meta.next_offset}
            fit = {offset: one for offset, one in there.items() if one.served.fingerprint == ours}
            found.trimmed += len(kept) - len(there)
            found.passed_over += len(there) - len(fit)
            before = sum(ends[:partition])
            for offset, row in _again(log, partition, start, fit, lambda done, n=before: progress(n + done, sum(ends))):  # type: ignore[misc]
                _compare(found, partition, fit.pop(offset), row)
            for one in fit.values():
                _compare(found, partition, one, None)
        progress(sum(ends), sum(ends))
    return found


def _kept(reader: LabelledReader, partition: int) -> Iterator[Example]:
    after = -1
    while some := reader.examples(partition, after):
        yield from some
        after = some[-1].offset


def _again(
    log: LogReader, partition: int, start: Start, kept: dict[int, Example], told: Callable[[int], None]
) -> Iterator[tuple[int, list[float]]]:
    """The offset and row of each of the kept vectors, in order."""
    customers = {(one.tenant, one.customer) for one in kept.values()}
    records_then = {customer: decode(body) for customer, (body, _) in start.records.items()}
    states = {customer: record.state for customer, record in records_then.items()}
    clocks = {customer: record.clock for customer, record in records_then.items()}
    skipped, offset = frozenset(log.poisoned(partition)), start.meta.next_offset
    last, last_tick = max(kept, default=-1), read_meta(start.meta.meta).last_tick
    while offset <= last and (records := log.read(partition, offset, READ_AT_ONCE)):
        if log.directory.trimmed(partition) > start.meta.next_offset:
            raise StoreUnavailable(f"the log of partition {partition} was trimmed meanwhile: try again")
        for record in records:
            if record.kind is RecordKind.TICK and record.offset not in skipped:
                last_tick = max(last_tick, tick_time(record) or 0)
            customer = record.tenant, record.customer
            if record.kind is not RecordKind.SIGNAL or record.offset in skipped or customer not in customers:
                continue
            clock = _fold(
                states.setdefault(customer, State()), decode_signal(record), clocks.get(customer, 0), last_tick
            )
            clocks[customer] = clock
            if record.offset in kept:
                yield record.offset, features(states[customer], clock)
        offset = records[-1].offset + 1
        told(offset)


def _fold(state: State, entry: DecodedSignal, clock: int, last_tick: int) -> int:
    """The clock behind a signal; the stream drops what cannot be decoded."""
    if entry.signal is None:
        return clock
    clock = max(clock, last_tick, entry.signal.time)
    fold(state, entry.signal, entry.data, clock)
    return clock


def _compare(found: Skew, partition: int, example: Example, row: list[float] | None) -> None:
    found.checked += 1
    again = array("f", row or ()).tobytes()
    if again == example.served.features:
        return
    found.mismatches += 1
    if len(found.first) < SHOWN:
        served, replayed = array("f", example.served.features), array("f", again)
        differs = next((n for n, pair in enumerate(zip(served, replayed, strict=False)) if pair[0] != pair[1]), 0)
        shown = (served[differs], replayed[differs] if replayed else None)
        found.first.append(Mismatch(partition, example.offset, FEATURE_NAMES[differs], *shown))
