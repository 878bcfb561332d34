"""The gate before a promotion: what a challenger must show on the labelled examples that judge the champion, too.

Pure: rows, probabilities and measured times come in, checks with their figures come out. Nothing here decides alone: a
person may force a promotion, and then the checks that failed stand in the history.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct

from models.figures import Floats, Sample, calibration_error, compare, log_loss

CONFIDENCE: Final = 0.95
DRAWS: Final = 2_000
LEAST_LABELS: Final = 200
LEAST_OF_A_CLASS: Final = 20
LEAST_CUSTOMERS: Final = 30
ECE_MAY_GROW_BY: Final = 0.005
ECE_WITHOUT_CHAMPION: Final = 0.05
SERVED_WITHIN: Final = 1e-6
BATCH_ROW_MICROS: Final = 20.0
"""For a row in a batch of 256: a quarter of what a signal may cost at the 12,000 a second that the stream must do."""
ONE_ROW_MICROS: Final = 500.0


class Check(Struct, frozen=True):
    """One check: its figure, what was required of it, and whether it holds. No figure: it could not be measured."""

    name: str
    passed: bool
    figure: float | None
    required: str
    note: str = ""


class Latency(Struct, frozen=True):
    """What a model was measured to take, in microseconds: a row in a batch of 256, and a row alone."""

    batch_row: float
    one_row: float


def check_labels(sample: Sample, classes: int) -> list[Check]:
    """Whether there is enough to judge by: labels, of at least two classes, of enough customers."""
    labels, customers = len(sample.labels), len(np.unique(sample.groups))
    counts = np.sort(np.bincount(sample.labels, minlength=classes))
    return [
        Check("labels", labels >= LEAST_LABELS, labels, f">= {LEAST_LABELS}"),
        Check(
            "labels of a class", bool(counts[-2] >= LEAST_OF_A_CLASS), float(counts[-2]), f">= {LEAST_OF_A_CLASS}",
            "of the class that has the second most",
        ),
        Check("customers", customers >= LEAST_CUSTOMERS, customers, f">= {LEAST_CUSTOMERS}"),
    ]  # fmt: skip


def check_loss(champion: Floats, challenger: Floats, sample: Sample, confidence: float = CONFIDENCE) -> Check:
    """Whether the log-loss is better at this (one-sided) confidence, by a bootstrap over customers. Probabilities
    (n, classes) of the same rows, all of them numbers."""
    loss = compare(log_loss, champion, challenger, sample, 2 * confidence - 1, DRAWS)
    figures = f"{loss.second:.4f} against {loss.first:.4f}, difference {loss.difference:+.4f}"
    return Check("log-loss", loss.high < 0, loss.high, f"< 0 at {confidence:.0%} confidence", figures)


def check_calibration(champion: Floats | None, challenger: Floats, sample: Sample) -> Check:
    """Whether the calibration error is not worse than the champion's, or without one is small."""
    after = calibration_error(challenger, sample.labels, sample.weights)
    if champion is None:
        return Check("calibration", after <= ECE_WITHOUT_CHAMPION, after, f"<= {ECE_WITHOUT_CHAMPION}")
    before = calibration_error(champion, sample.labels, sample.weights)
    figures = f"ECE {after:.4f} against {before:.4f}"
    return Check("calibration", after <= before + ECE_MAY_GROW_BY, after - before, f"<= {ECE_MAY_GROW_BY}", figures)


def check_latency(found: Latency) -> list[Check]:
    """Whether the model is fast enough for the stream."""
    return [
        Check("latency in a batch", found.batch_row <= BATCH_ROW_MICROS, found.batch_row, f"<= {BATCH_ROW_MICROS} µs"),
        Check("latency of one row", found.one_row <= ONE_ROW_MICROS, found.one_row, f"<= {ONE_ROW_MICROS} µs"),
    ]


def check_golden(worst: float, within: float) -> Check:
    """Whether the golden rows give their outputs, from the greatest difference."""
    return Check("golden rows", worst <= within, worst, f"<= {within}")


def check_answers(probabilities: Floats) -> Check:
    """Whether the model gives probabilities for every example."""
    without = float(np.isnan(probabilities).any(axis=1).sum())
    return Check("rows without numbers", without == 0, without, "0")


def check_served(difference: float) -> Check:
    """Whether the model gives now what it gave when it scored these rows in the stream (NaN: it never did)."""
    note = "it has not run beside the champion" if difference != difference else ""  # noqa: PLR0124 - NaN
    figure = None if note else difference
    return Check("scores as served", figure is None or figure <= SERVED_WITHIN, figure, f"<= {SERVED_WITHIN}", note)


def check_provenance(challenger: str, champion: str | None) -> Check:
    """Whether a model that learned from invented customers would replace one that learned from real ones."""
    passed = challenger == "tenant" or champion != "tenant"
    advisory = "stays advisory: it learned from invented customers" if challenger == "simulated" else ""
    return Check("provenance", passed, None, "tenant, where the champion is", advisory or challenger)


def passes(checks: list[Check]) -> bool:
    """Whether all of them hold."""
    return all(one.passed for one in checks)
