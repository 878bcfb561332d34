from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss, roc_auc_score

from training.evaluation import expected_calibration_error
from training.measures import Measures, Ranking, with_intervals


def drawn(seed, classes, rows=200):
    random = np.random.default_rng(seed)
    probabilities = np.round(random.dirichlet(np.ones(classes), rows), 2) + 1e-3  # rounded, so that there are ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.concatenate((np.arange(classes), random.integers(0, classes, rows - classes)))
    return labels, probabilities, random.integers(0, 4, rows).astype(float)


@given(st.integers(0, 1_000))
def test_the_figures_of_two_classes_are_scikit_learns(seed):
    labels, probabilities, weights = drawn(seed, 2)
    weights[:2] = 1  # both outcomes are there
    found = Measures(labels, probabilities).figures(weights)
    said = probabilities[:, 1]
    assert found["auc"] == pytest.approx(roc_auc_score(labels, said, sample_weight=weights))
    assert found["pr_auc"] == pytest.approx(average_precision_score(labels, said, sample_weight=weights))
    assert found["log_loss"] == pytest.approx(log_loss(labels, probabilities, sample_weight=weights))
    assert found["brier"] == pytest.approx(brier_score_loss(labels, said, sample_weight=weights))


@given(st.integers(0, 1_000))
def test_the_figures_of_six_classes_are_scikit_learns(seed):
    labels, probabilities, _ = drawn(seed, 6)
    found = Measures(labels, probabilities).figures(np.ones(len(labels)))
    chosen = probabilities.argmax(axis=1)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert found["log_loss"] == pytest.approx(log_loss(labels, probabilities))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, chosen, average="macro", zero_division=0.0))
    assert found["accuracy"] == pytest.approx(np.mean(labels == chosen))


def test_the_calibration_error_is_the_one_of_the_seed_models():
    labels, probabilities, _ = drawn(1, 2)
    found = Measures(labels, probabilities).figures(np.ones(len(labels)))
    assert found["ece"] == pytest.approx(expected_calibration_error(labels == 1, probabilities[:, 1]))


def test_intervals_hold_the_figure_and_are_wider_where_the_rows_of_a_customer_are_alike():
    labels, probabilities, _ = drawn(3, 2, 100)
    many = [np.repeat(one, 10, axis=0) for one in (labels, probabilities)]
    groups = np.repeat(np.arange(100).astype(str), 10)
    measures, weights = Measures(*many), np.ones(1000)
    apart = with_intervals(measures, weights, None, resamples=100, seed=1)["log_loss"]
    together = with_intervals(measures, weights, groups, resamples=100, seed=1)["log_loss"]
    assert together.low < together.value < together.high
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_the_same_seed_gives_the_same_intervals():
    labels, probabilities, _ = drawn(3, 6)
    one, two = (
        with_intervals(Measures(labels, probabilities), np.ones(200), None, resamples=20, seed=4) for _ in range(2)
    )
    assert one == two


def test_a_curve_goes_from_corner_to_corner_and_never_down():
    labels, probabilities, _ = drawn(5, 2)
    curve = Ranking(probabilities[:, 1], labels == 1).curve(30)
    assert curve[0] == (0.0, 0.0)
    assert curve[-1] == (1.0, 1.0)
    assert curve == sorted(curve)
