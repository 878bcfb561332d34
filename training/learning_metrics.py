"""What the learner counts, shared with the API's /metrics through files in DIR/run/metrics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Final, get_args

from membrane.examples import CLOSED, HORIZON_PASSED, QUIET
from membrane.labelling import CONTENT, DISSATISFIED, NPS
from models.bundle import Kind
from storage.metric_files import use_directory
from training.prequential import BASELINES, DETECTORS, LEARNER, TREES

FUNCTIONS: Final = frozenset({DISSATISFIED, CONTENT, NPS, CLOSED, QUIET, HORIZON_PASSED})
GIVEN: Final = "given"
"""In the place of the name of whoever gave a label: no metric names a person."""


class LearnerMetrics:
    """The metrics of the learner's process. `prometheus_client` reads where to share them when it is first imported.
    StoreUnavailable if the disk has no room for them."""

    def __init__(self, directory: Path) -> None:
        use_directory(directory, ["counter", "gauge_livemostrecent"])
        from prometheus_client import CollectorRegistry, Counter, Gauge  # noqa: PLC0415 - after the variable is set

        registry = CollectorRegistry()
        self._labels = Counter(
            "membrane_labels", "Labels learned, by labelling function and target.", ["by", "target"], registry=registry
        )
        self._drift = Counter(
            "membrane_model_drift", "Changes found in errors or features.", ["model", "detector"], registry=registry
        )
        for kind, detector in product(get_args(Kind), DETECTORS):
            self._drift.labels(f"online-{kind}", detector)  # from 0 on: the first change is an increase, too
        self._refused = Counter(
            "membrane_model_refused",
            "Bundles that were not published: the export differed from its source.",
            ["model"],
            registry=registry,
        )
        self._log_loss = Gauge(
            "membrane_model_log_loss",
            "Log-loss over the latest thousand labels, each tested before it was learned.",
            ["model", "role"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )

    def labelled(self, by: str, target: Kind) -> None:
        """A label was learned."""
        self._labels.labels(by if by in FUNCTIONS else GIVEN, target).inc()

    def drifted(self, kind: Kind, detector: str) -> None:
        """A detector found a change."""
        self._drift.labels(f"online-{kind}", detector).inc()

    def refused(self, kind: Kind) -> None:
        """A bundle could not be published."""
        self._refused.labels(f"online-{kind}").inc()

    def tested(self, kind: Kind, figures: Mapping[str, Mapping[str, float]]) -> None:
        """How good everybody's latest answers were."""
        for name, found in figures.items():
            model, role = _named(kind, name)
            self._log_loss.labels(model, role).set(found["log_loss"])


def _named(kind: Kind, name: str) -> tuple[str, str]:
    """The model and its role in a metric."""
    if name in (LEARNER, TREES):
        return f"online-{kind}" if name == LEARNER else f"trees-{kind}", "learner"
    return (f"{kind}-{name}", "baseline") if name in BASELINES else (name, "served")
