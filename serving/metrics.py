"""The metrics that the API process keeps, and the exposition of all processes under one data directory."""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from membrane.signals import TYPES
from storage.metric_files import DIRECTORY_VARIABLE

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DECISION_BUCKETS: Final = (
    0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip


class Metrics:
    """The API's metrics. One instance a process; labels are closed sets, no customer ids among them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._tally: Tally[tuple[Counter, tuple[str, ...]]] = Tally()
        self._signals = Counter(
            "membrane_signals", "Signals received, by type and outcome.", ["type", "outcome"], registry=registry
        )
        self.dead_letters = Counter(
            "membrane_dead_letters", "Signals set aside, by reason.", ["reason"], registry=registry
        )
        self.decisions = Counter(
            "membrane_decisions", "Verdicts given, by class.", ["verdict", "class"], registry=registry
        )
        self.decision_duration = Histogram(
            "membrane_decision_duration_seconds",
            "Time from a decision's body to its encoded answer.",
            buckets=DECISION_BUCKETS,
            registry=registry,
        )
        self.principle_matches = Counter(
            "membrane_principle_matches", "Reasons given, by principle.", ["principle"], registry=registry
        )
        self.default_verdicts = Counter(
            "membrane_default_verdicts", "Verdicts by class default, by cause.", ["class", "cause"], registry=registry
        )
        self.decision_log_dropped = Counter(
            "membrane_decision_log_dropped", "Decisions that the full decision log did not take.", registry=registry
        )
        self.permits_revoked = Counter(
            "membrane_permits_revoked", "Permits revoked because they would no longer be given.", registry=registry
        )
        self.state_staleness = Gauge(
            "membrane_state_staleness_seconds",
            "Wall time since the stream last saw the end of a partition's log.",
            ["partition"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

        self.principles_refused = Counter(
            "membrane_principles_refused", "Principle files sent and refused for their faults.", registry=registry
        )
        self.principles_last_good = Gauge(
            "membrane_principles_last_good",
            "1 where the set named last cannot be used and the last good one decides.",
            ["partition"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.duplicate_horizon = Gauge(
            "membrane_duplicate_horizon_seconds",
            "Wall time back to the first day of receipt of which duplicates are still known.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

        self.obligations_held = Gauge(
            "membrane_obligations_held",
            "Obligations owed that are held, because their principle opened too many within an hour.",
            ["principle"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

        self.source_heard = Gauge(
            "membrane_source_last_signal_timestamp_seconds",
            "When the last signal of a source that a tenant names came (wall clock; of several tenants the earliest).",
            ["source"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.customers = Gauge(
            "membrane_customers",
            "Customers by stage, over all tenants.",
            ["stage"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.lifecycles = Gauge(
            "membrane_lifecycles",
            "Customers by lifecycle, over all tenants.",
            ["lifecycle"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.crisis_entries_recent = Gauge(
            "membrane_crisis_entries_last_hour",
            "Customers that entered crisis in the last hour of the stream's clock, backfill left out.",
            ["tenant"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.crisis_entries_expected = Gauge(
            "membrane_crisis_entries_expected",
            "How many usually do in that hour of the week.",
            ["tenant"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.log_lag = Gauge(
            "membrane_log_lag",
            "Records of a partition's log that the stream has not applied.",
            ["partition"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.clock_lag = Gauge(
            "membrane_clock_lag_seconds",
            "How far the stream's clock is behind the moment that decisions are for.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.judged_by = Gauge(
            "membrane_judged_by_offset",
            "Offset of the latest record that changed what customers are judged by.",
            ["partition"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.obligations = Gauge(
            "membrane_obligations",
            "Obligations by what became of them, over all tenants.",
            ["state", "kind"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.paused = Gauge(
            "membrane_paused",
            "Pauses that stand, over all tenants.",
            ["what"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.pause_age = Gauge(
            "membrane_pause_age_seconds",
            "How long the oldest pause has stood; 0: none does.",
            ["what"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.source_silent = Gauge(
            "membrane_source_silent",
            "Tenants of whose sources one of this name has been silent for longer than is usual.",
            ["source"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.disk_free = Gauge(
            "membrane_disk_free_bytes",
            "Room left where the data directory lies.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._models = Gauge(
            "membrane_model_info",
            "1 for each model that answers (champion) or runs beside it (challenger).",
            ["kind", "role", "revision"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._models_told: set[tuple[str, str, str]] = set()

    def models_in_force(self, found: set[tuple[str, str, str]]) -> None:
        """Says which (kind, role, revision) are in force now; what was told before is no more."""
        for labels in self._models_told | found:
            self._models.labels(*labels).set(labels in found)
        self._models_told |= found

    def count(self, counter: Counter, *labels: str) -> None:
        """Counts one of a kind that is counted with every decision; `flush` tells the counters. For the event loop."""
        self._tally[counter, labels] += 1

    def flush(self) -> None:
        """Tells the counters what was counted since the last time. For the event loop."""
        tally, self._tally = self._tally, Tally()
        for (counter, labels), count in tally.items():
            counter.labels(*labels).inc(count)

    def signals(self, outcomes: Iterable[tuple[str, str]]) -> None:
        """Counts signals by (type, outcome); types we do not know share one label."""
        tally = Tally((type_ if type_ in TYPES else "unknown", outcome) for type_, outcome in outcomes)
        for labels, count in tally.items():
            self._signals.labels(*labels).inc(count)

    def exposition(self) -> bytes:
        """The text of /metrics: of every process under the shared directory, else of this one."""
        if DIRECTORY_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
