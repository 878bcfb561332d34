"""A challenger against the champion: every check of the gate, on examples that neither has learned from."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.figures import Difference, Floats, Sample, compare, metrics_of
from models.gate import (
    Check,
    Latency,
    check_answers,
    check_calibration,
    check_golden,
    check_labels,
    check_latency,
    check_loss,
    check_provenance,
    check_served,
)
from models.held_out import HeldOut
from models.onnx_model import GOLDEN_TOLERANCE, OnnxModel

DRAWS: Final = 400


def judge(
    challenger: OnnxModel, champion: OnnxModel | None, held_out: HeldOut, latency: Latency, confidence: float
) -> list[Check]:
    """Every check of a promotion. Without a champion the log-loss of the shares of the classes among the labels
    is to be beaten."""
    manifest = challenger.bundle.manifest
    before = None if champion is None else champion.bundle.manifest.provenance
    checks = [
        check_golden(challenger.check_golden(), GOLDEN_TOLERANCE),
        check_provenance(manifest.provenance, before),
        *check_latency(latency),
        *check_labels(held_out.sample, len(manifest.classes)),
    ]
    if not len(held_out):
        return checks
    probabilities = challenger.probabilities(held_out.rows)
    rivals = _shares(held_out.sample, probabilities) if champion is None else champion.probabilities(held_out.rows)
    difference = held_out.differs_from_served(challenger.bundle.revision, probabilities)
    checks += [check_answers(probabilities), check_served(difference)]
    first, second, sample = _numbers(rivals, probabilities, held_out.sample)
    if len(sample.labels):
        checks.append(check_loss(first, second, sample, confidence))
        checks.append(check_calibration(None if champion is None else first, second, sample))
    return checks


def compare_figures(first: OnnxModel, second: OnnxModel, held_out: HeldOut, confidence: float) -> dict[str, Difference]:
    """Every figure of two models on the same examples, with the interval of the difference."""
    a, b, sample = _numbers(first.probabilities(held_out.rows), second.probabilities(held_out.rows), held_out.sample)
    if not len(sample.labels):
        return {}
    metrics = metrics_of(len(first.bundle.manifest.classes))
    return {name: compare(metric, a, b, sample, confidence, DRAWS) for name, metric in metrics.items()}


def _numbers(first: Floats, second: Floats, sample: Sample) -> tuple[Floats, Floats, Sample]:
    """The rows for which both models give numbers."""
    both = ~(np.isnan(first).any(axis=1) | np.isnan(second).any(axis=1))
    _, groups = np.unique(sample.groups[both], return_inverse=True)
    return first[both], second[both], Sample(sample.labels[both], sample.weights[both], groups.astype(np.int64))


def _shares(sample: Sample, like: Floats) -> Floats:
    found = np.bincount(sample.labels, sample.weights, like.shape[1]) / sample.weights.sum()
    return np.tile(found, (len(like), 1))
