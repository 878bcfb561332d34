"""What the stream counts, shared with the API's /metrics through files in DIR/run/metrics."""

from __future__ import annotations

from pathlib import Path

from membrane.labelled import TARGETS
from storage.metric_files import use_directory
from stream.steps import Applied, Dropped


class StreamMetrics:
    """Counters of one stream process. `prometheus_client` reads where to share them when it is first imported.
    StoreUnavailable if the disk has no room for them."""

    def __init__(self, directory: Path) -> None:
        use_directory(directory, ["counter"])
        from prometheus_client import CollectorRegistry, Counter  # noqa: PLC0415 - after the variable is set

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
