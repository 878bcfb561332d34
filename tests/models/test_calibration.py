from __future__ import annotations

import numpy as np
import pytest

from models.calibration import Calibration, fit, neutral


def sample(slope, shifts, count=4_000, seed=4):
    """Logs (n, classes) of a model whose truth is softmax(slope * logs + shifts), with labels drawn from that."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, len(shifts)))
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth = Calibration(slope, tuple(shifts)).apply(logs)
    labels = (truth.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return logs, labels, truth


@pytest.mark.parametrize("shifts", [[0.0, 0.0], [0.5, -0.5], [0.0, 1.0, -1.0]])
@pytest.mark.parametrize("slope", [0.3, 1.0, 2.5])
def test_the_line_that_the_labels_follow_is_found(slope, shifts):
    logs, labels, truth = sample(slope, shifts)
    assert fit(logs, labels, np.ones(len(labels))).apply(logs) == pytest.approx(truth, abs=0.06)


def test_few_labels_change_little():
    logs, labels, _ = sample(0.2, [0.0, 0.0], count=3)
    found = fit(logs, labels, np.ones(3))
    assert 0.5 < found.slope < 1.5


def test_what_weighs_nothing_is_not_heard():
    logs, labels, _ = sample(2.0, [0.0, 0.0])
    assert fit(logs, labels, np.zeros(len(labels))) == neutral(2)


def test_a_model_that_is_wrong_throughout_is_not_turned_round():
    logs, labels, _ = sample(2.0, [0.0, 0.0])
    assert fit(logs, 1 - labels, np.ones(len(labels))) == neutral(2)
