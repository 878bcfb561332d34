"""What the stream counts, shared with the API's /metrics through files in DIR/run/metrics."""

from __future__ import annotations

from pathlib import Path

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
        for lost in dropped:
            self._dead_letters.labels(lost.reason.split(":")[0]).inc()
