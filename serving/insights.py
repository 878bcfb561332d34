"""GET /v1/insights/spike: what the customers have in common who lately entered crisis. What it reads is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

from membrane.entries import FLOOR, TIMES
from membrane.errors import MembraneError
from membrane.in_common import Of, Shared, in_common
from membrane.record import Record, decode
from membrane.times import HOUR, format_time
from membrane.vocabulary import Stage
from serving.measures import into_crisis, read_counts
from serving.problems import not_found
from storage.record_reader import RecordReader

MOST_EFFECTS: Final = 2_000
"""So many of the latest effects of each partition are looked through."""
MOST_ENTERED: Final = 200
SAMPLE: Final = 400
"""So many customers are what those who entered are compared with."""


class SpikeAnswer(msgspec.Struct):
    """The entries into crisis of the hour before `as_of`, how many are usual, whether that is a `spike`, and what at
    most 200 of those who entered have in common, beside a sample of `compared_with` customers."""

    tenant: str
    as_of: str | None
    entries: int
    expected: float
    spike: bool
    looked_at: int
    compared_with: int
    common: dict[Of, list[Shared]]


class _Change(msgspec.Struct):
    to: str = ""
    backfill: bool = False


_change: Final = msgspec.json.Decoder(_Change)


def spike(records: RecordReader, own: str, tenant: str | None) -> SpikeAnswer:
    """Of the own tenant. Problem 404 for any other; RecordUnreadable or StoreUnavailable."""
    if tenant not in (None, own):
        raise not_found("tenant")
    partitions = range(records.directory.partitions)
    clock, found = into_crisis(read_counts(records.meta(partition)) for partition in partitions)
    entries, expected = found.get(own, (0, 0.0))
    names = {customer for partition in partitions for customer in _entered(records, partition, own, clock - HOUR)}
    entered = [one for one in (_record(records.get(own, name)) for name in sorted(names)[:MOST_ENTERED]) if one]
    bodies = [body for partition in partitions for body in records.sample(partition, own, SAMPLE // len(partitions))]
    others = [one for one in map(_record, bodies) if one and one.customer not in names]
    return SpikeAnswer(
        own,
        format_time(clock) if clock else None,
        entries,
        round(expected, 2),
        entries >= FLOOR and entries > TIMES * expected,
        len(entered),
        len(others),
        in_common(entered, others),
    )


def _entered(records: RecordReader, partition: int, tenant: str, since: int) -> Iterator[str]:
    for effect in records.latest_effects(partition, MOST_EFFECTS):
        if effect.tenant == tenant and effect.kind == "stage" and effect.time_ms >= since:
            change = _change.decode(effect.body)
            if change.to == Stage.CRISIS and not change.backfill:
                yield effect.customer


def _record(body: bytes | None) -> Record | None:
    with suppress(MembraneError):
        return None if body is None else decode(body)
    return None
