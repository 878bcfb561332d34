from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from training.calibration import Head, fit_head, softmax, spread


@pytest.fixture(scope="module")
def scores():
    random = np.random.default_rng(3)
    raw = random.normal(0, 1.5, (4_000, 3))
    return raw, (raw + random.gumbel(0, 1, raw.shape)).argmax(axis=1)


def test_a_head_mends_what_is_too_sure_and_what_leans_to_one_class(scores):
    raw, labels = scores
    best = log_loss(labels, softmax(raw))
    wrong = raw * 3 + np.array([2.0, -1.0, 0.0])
    head = fit_head(wrong, labels, None)
    assert log_loss(labels, head.probabilities(wrong)) == pytest.approx(best, abs=2e-3)
    assert head.scale[0, 0] == pytest.approx(1 / 3, abs=0.02)


def test_of_two_classes_the_head_is_platts(scores):
    raw, _ = scores
    random = np.random.default_rng(4)
    labels = (random.random(len(raw)) < 1 / (1 + np.exp(-raw[:, 0]))).astype(int)
    head = fit_head(raw[:, :1] * 4 + 1, labels, None)
    truth = softmax(np.column_stack((np.zeros(len(raw)), raw[:, 0])))
    assert head.probabilities(raw[:, :1] * 4 + 1) == pytest.approx(truth, abs=0.05)


def test_rows_count_as_much_as_their_weights(scores):
    raw, labels = scores
    weights = np.zeros(len(labels))
    weights[:1000] = 0.5
    half, alone = fit_head(raw, labels, weights), fit_head(raw[:1000], labels[:1000], None)
    assert half.shift == pytest.approx(alone.shift, abs=1e-3)


def test_a_class_without_labels_gets_next_to_nothing_and_says_nothing_of_any_feature():
    head = spread(Head(np.eye(2) * 2.0, np.array([0.5, -0.5])), np.array([0, 3]), 6)
    found = head.probabilities(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert found.sum(axis=1) == pytest.approx(1)
    assert found[:, [1, 2, 4, 5]].max() < 1e-3
    assert head.scale[:, 1] == pytest.approx(head.scale[:, [0, 3]].mean(axis=1))
