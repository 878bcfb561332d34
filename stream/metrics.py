"""What the stream counts, shared with the API's /metrics through files in DIR/run/metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from membrane.labelled import TARGETS
from storage.metric_files import use_directory
from stream.steps import Applied, Dropped

LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)


class StreamMetrics:
    """Counters of one stream process. `prometheus_client` reads where to share them when it is first imported.
    StoreUnavailable if the disk has no room for them."""

    def __init__(self, directory: Path) -> None:
        use_directory(directory, ["counter", "histogram"])
        from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: PLC0415 - after the variable is set

        registry = CollectorRegistry()
        self._transitions = Counter(
            "membrane_stage_transitions",
            "Stage changes.",
            ["from", "to", "tenant", "backfill"],
            registry=registry,
        )
        self._entries = Counter(
            "membrane_crisis_entries", "Customers that entered crisis.", ["tenant", "backfill"], registry=registry
        )
        self._opened = Counter(
            "membrane_obligations_opened", "Obligations opened, by principle.", ["principle"], registry=registry
        )
        self._challenged = Counter(
            "membrane_challenger_rows",
            "Rows that a challenger was given beside the champion, by whether it scored them.",
            ["kind", "revision", "outcome"],
            registry=registry,
        )
        self._dead_letters = Counter("membrane_dead_letters", "Signals set aside.", ["reason"], registry=registry)
        self._kept = Counter("membrane_examples_kept", "Served vectors kept to learn from.", registry=registry)
        self._labels = Counter("membrane_labels_joined", "Labels that found a vector.", ["target"], registry=registry)
        self._lag = Histogram(
            "membrane_signal_lag_seconds",
            "Time from the receipt of a batch's first signal until what came of the batch is written.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )

    def written(self, partition: int, applied: Applied, dropped: list[Dropped]) -> None:
        """Count what a commit told."""
        for (before, after, tenant, backfill), count in applied.transitions.items():
            self._transitions.labels(before, after, tenant, str(backfill).lower()).inc(count)
            if after == "crisis":
                self._entries.labels(tenant, str(backfill).lower()).inc(count)
        for principle, count in applied.opened.items():
            self._opened.labels(principle).inc(count)
        for labels, count in applied.challenged.items():
            self._challenged.labels(*labels).inc(count)
        learned = applied.commit.learned
        if learned is not None:
            self._kept.inc(len(learned.examples))
            for _, target, *_ in learned.labels:
                self._labels.labels(TARGETS[target]).inc()
        for lost in dropped:
            self._dead_letters.labels(lost.reason.split(":")[0]).inc()

    def waited(self, seconds: float) -> None:
        """Observe how long the first record of a block waited."""
        self._lag.observe(seconds)


def leave_skew(directory: Path, checked: int, mismatches: int) -> None:
    """Leaves the outcome of a check of skew for /metrics; it stays until the next one, or until `up` starts anew.
    StoreUnavailable if the disk has no room for it."""
    use_directory(directory, ["gauge_mostrecent"])
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415 - after the variable is set

    registry = CollectorRegistry()
    Gauge(
        "membrane_feature_skew_checked",
        "Kept vectors that the last `membrane skew` made again from the log.",
        registry=registry,
        multiprocess_mode="mostrecent",
    ).set(checked)
    Gauge(
        "membrane_feature_skew_mismatches",
        "Those of them of which a bit was another.",
        registry=registry,
        multiprocess_mode="mostrecent",
    ).set(mismatches)
