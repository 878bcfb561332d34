from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from models import figures
from models.figures import Sample, compare, metrics_of
from training.evaluation import expected_calibration_error


def probabilities(random, rows, classes):
    found = random.gamma(1.0, 1.0, (rows, classes))
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_those_of_the_library_with_weights_and_ties(seed):
    random = np.random.default_rng(seed)
    labels, weights = random.integers(0, 6, 300), random.uniform(0.1, 1, 300)
    stage = probabilities(random, 300, 6)
    chosen = stage.argmax(axis=1)
    assert figures.log_loss(stage, labels, weights) == pytest.approx(log_loss(labels, stage, sample_weight=weights))
    assert figures.accuracy(stage, labels, weights) == pytest.approx(
        accuracy_score(labels, chosen, sample_weight=weights)
    )
    f1 = f1_score(labels, chosen, average="macro", sample_weight=weights)
    assert figures.macro_f1(stage, labels, weights) == pytest.approx(f1)
    risk = np.round(probabilities(random, 300, 2), 2)
    closed = labels % 2
    auc = roc_auc_score(closed, risk[:, 1], sample_weight=weights)
    assert figures.auc(risk, closed, weights) == pytest.approx(auc)
    ones = np.ones(300)
    assert figures.calibration_error(risk, closed, ones) == pytest.approx(
        expected_calibration_error(closed == 1, risk[:, 1])
    )
    assert figures.brier(stage[:, :2], closed, ones) == pytest.approx(
        np.mean((stage[:, 0] - (1 - closed)) ** 2 + (stage[:, 1] - closed) ** 2)
    )


def test_what_is_impossible_to_say_of_one_class_is_no_number():
    labels = np.zeros(4, np.int64)
    assert np.isnan(figures.auc(np.full((4, 2), 0.5), labels, np.ones(4)))


def test_the_interval_of_a_difference_is_seeded_and_of_whole_customers():
    random = np.random.default_rng(1)
    labels, groups = random.integers(0, 2, 400), np.repeat(np.arange(40), 10)
    worse, better = probabilities(random, 400, 2), np.eye(2)[labels] * 0.8 + 0.1
    sample = Sample(labels, np.ones(400), groups)
    one = compare(figures.log_loss, worse, better, sample, 0.9, 200)
    assert one == compare(figures.log_loss, worse, better, sample, 0.9, 200)
    assert one.low < one.difference < one.high < 0
    # A customer's rows come and go together: ten copies of each row are no more evidence than one.
    tenfold = Sample(np.repeat(labels[::10], 10), np.ones(400), groups)
    again = compare(
        figures.log_loss, np.repeat(worse[::10], 10, axis=0), np.repeat(better[::10], 10, axis=0), tenfold, 0.9, 400
    )
    alone = Sample(labels[::10], np.ones(40), np.arange(40))
    single = compare(figures.log_loss, worse[::10], better[::10], alone, 0.9, 400)
    assert (again.low, again.high) == pytest.approx((single.low, single.high))


def test_a_model_is_no_better_than_itself():
    random = np.random.default_rng(2)
    labels = random.integers(0, 6, 100)
    same = probabilities(random, 100, 6)
    sample = Sample(labels, np.ones(100), np.arange(100))
    for name, metric in metrics_of(6).items():
        found = compare(metric, same, same, sample, 0.9, 50)
        assert (found.difference, found.low, found.high) == (0, 0, 0), name


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Two models that are equally good: a difference is found in about a tenth of the trials at 90 %."""
    random = np.random.default_rng(3)
    found = 0
    for _ in range(120):
        labels, groups = random.integers(0, 2, 200), np.arange(200) // 4
        first, second = (probabilities(random, 200, 2) for _ in "ab")
        one = compare(figures.log_loss, first, second, Sample(labels, np.ones(200), groups), 0.9, 150)
        found += not one.low <= 0 <= one.high
    assert 0.03 <= found / 120 <= 0.2
