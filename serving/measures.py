"""What a scrape asks of the stores: a bounded number of counts that others keep, never rows.

Each of these leaves its gauges as they were while its store cannot be read.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Final

import msgspec
from prometheus_client import Gauge

from membrane.entries import Entries, latest, told
from membrane.errors import MembraneError
from membrane.layers import COMMON
from membrane.ports import PartitionMeta
from membrane.record import OBLIGATION_STATES
from membrane.vocabulary import LIFECYCLES, OBLIGATION_KINDS, STAGES
from serving.config import Clock
from serving.freshness import Freshness
from serving.held import held_by_principle
from serving.metrics import Metrics
from serving.principle_sets import PrincipleSets
from serving.silence import silent
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

PAUSED: Final = ("domain", "principle", "customer")
KEPT_OPEN: Final = 512
"""Tenants' entries into crisis, of all partitions, that are decoded once as long as they stay the same."""


class StreamCounts(msgspec.Struct):
    """What the stream counts in a partition's meta (`stream.meta`)."""

    last_tick: int = 0
    revision_offset: int = -1
    stages: dict[str, dict[str, int]] = {}
    lifecycles: dict[str, dict[str, int]] = {}
    entries: dict[str, msgspec.Raw] = {}

    def opened(self) -> dict[str, Entries]:
        """The entries into crisis by tenant, to be read alone."""
        return {tenant: _opened(bytes(one)) for tenant, one in self.entries.items()}


_decoder: Final = msgspec.json.Decoder(StreamCounts)
_entries: Final = msgspec.json.Decoder(Entries)


@lru_cache(KEPT_OPEN)
def _opened(body: bytes) -> Entries:
    return _entries.decode(body)


def into_crisis(counts: Iterable[StreamCounts]) -> tuple[int, dict[str, tuple[int, float]]]:
    """The stream's clock, and by tenant how many entered crisis in the hour before it and how many usually do."""
    counted = [(one.last_tick, one.opened()) for one in counts]
    clock = max((max(last_tick, latest(entries)) for last_tick, entries in counted), default=0)
    return clock, told((entries for _, entries in counted), clock)


def measure_horizon(log: LogReader, metrics: Metrics, now_ms: int) -> None:
    """How far back duplicates are known."""
    with suppress(MembraneError):
        since_ms = log.horizon().since_ms
        if since_ms is not None:
            metrics.duplicate_horizon.set((now_ms - since_ms) / 1000)


def measure_held(records: RecordReader, log: LogReader, sets: PrincipleSets, metrics: Metrics) -> None:
    """What is held, of every principle that ever made something owed."""
    with suppress(MembraneError):
        for principle, count in held_by_principle(records, log, sets).items():
            metrics.obligations_held.labels(principle).set(count)


def measure_sources(log: LogReader, freshness: Freshness, metrics: Metrics, clock: Clock, now_ms: int) -> None:
    """When each named source was last heard, and whether one of that name is silent for longer than is usual."""
    with suppress(MembraneError):
        sources, listening = log.sources(), log.listening_since() or 0
        heard: dict[str, int] = {}
        quiet: Counter[str] = Counter()
        for one in sources:
            quiet[one.source] += 0
            if one.heard_ms is not None:
                heard[one.source] = min(one.heard_ms, heard.get(one.source, one.heard_ms))
        for tenant in {one.tenant for one in sources} if clock == "wall" else ():
            quiet.update(one.source for one in silent(sources, tenant, freshness.settings(tenant), now_ms, listening))
        for source, heard_ms in heard.items():
            metrics.source_heard.labels(source).set(heard_ms / 1000)
        for source, count in quiet.items():
            metrics.source_silent.labels(source).set(count)


def measure_staleness(freshness: Freshness, metrics: Metrics) -> None:
    """Staleness of every partition that the stream has written to, and whether its principles are the last good
    ones."""
    for partition, state in freshness.every_state().items():
        staleness = freshness.staleness_seconds(state)
        if staleness is not None:
            metrics.state_staleness.labels(partition).set(staleness)
        metrics.principles_last_good.labels(partition).set(COMMON in state.unreadable)


def measure_stream(records: RecordReader, log: LogReader, metrics: Metrics, now: int) -> None:
    """What the stream has counted in every partition, how far it is behind the log, and its clock behind `now`."""
    with suppress(MembraneError):
        counts = []
        for partition in range(records.directory.partitions):
            meta = records.meta(partition)
            counts.append(read_counts(meta))
            metrics.log_lag.labels(partition).set(max(log.end(partition) - meta.next_offset, 0))
            metrics.judged_by.labels(partition).set(counts[-1].revision_offset)
        _set_all(metrics.customers, map(str, STAGES), [one.stages for one in counts])
        _set_all(metrics.lifecycles, map(str, LIFECYCLES), [one.lifecycles for one in counts])
        for tenant, (recent, expected) in into_crisis(counts)[1].items():
            metrics.crisis_entries_recent.labels(tenant).set(recent)
            metrics.crisis_entries_expected.labels(tenant).set(expected)
        ticked = [one.last_tick for one in counts if one.last_tick]
        if ticked:
            metrics.clock_lag.set(max(now - min(ticked), 0) / 1000)


def measure_obligations(records: RecordReader, metrics: Metrics) -> None:
    """What is owed and what became of it, over all tenants."""
    with suppress(MembraneError):
        found = records.obligation_tallies()
        for kind in OBLIGATION_KINDS:
            for state in OBLIGATION_STATES:
                metrics.obligations.labels(state, kind).set(found[state, kind])


def measure_pauses(log: LogReader, metrics: Metrics, now: int) -> None:
    """How many pauses stand, and how long the oldest has."""
    with suppress(MembraneError):
        standing = [one.pause for one in log.pauses(now) if one.act == "pause" and one.pause.stands(now)]
        for what in PAUSED:
            since = [one.since for one in standing if one.what == what]
            metrics.paused.labels(what).set(len(since))
            metrics.pause_age.labels(what).set((now - min(since)) / 1000 if since else 0)


def measure_disk(records: RecordReader, metrics: Metrics) -> None:
    """How much room is left where the data directory lies."""
    with suppress(OSError):
        metrics.disk_free.set(shutil.disk_usage(records.directory.path).free)


def read_counts(meta: PartitionMeta) -> StreamCounts:
    """The counts in a partition's meta; of one that no stream has written yet, or that cannot be read, none."""
    try:
        return _decoder.decode(meta.meta) if meta.meta else StreamCounts()
    except msgspec.MsgspecError:
        return StreamCounts()


def _set_all(gauge: Gauge, names: Iterable[str], counts: list[dict[str, dict[str, int]]]) -> None:
    summed: Counter[str] = Counter()
    for tenants in counts:
        for of_tenant in tenants.values():
            summed.update(of_tenant)
    for name in names:
        gauge.labels(name).set(summed[name])
