from __future__ import annotations

import numpy as np
import pytest

from training.evaluation import churn_metrics, expected_calibration_error, previous_labels, stage_metrics


def test_probabilities_that_come_true_as_often_as_they_say_have_no_calibration_error():
    probability = np.repeat([0.2, 0.8], 100)
    happened = np.concatenate((np.arange(100) < 20, np.arange(100) < 80))
    assert expected_calibration_error(happened, probability) == pytest.approx(0.0)


def test_being_sure_and_wrong_is_the_greatest_calibration_error():
    assert expected_calibration_error(np.zeros(10, bool), np.ones(10)) == 1.0


def test_the_no_change_baseline_sees_each_customers_own_last_label():
    found = previous_labels(["a", "b", "a", "b", "a"], np.array([1, 2, 3, 4, 5]), first=0)
    assert found.tolist() == [0, 0, 1, 2, 3]


def test_a_perfect_model_is_perfect_and_its_baselines_are_not():
    truth = np.array([0, 1, 2, 2])
    metrics = stage_metrics(truth, np.eye(3)[truth], np.array([0.25, 0.25, 0.5]), np.array([0, 0, 1, 2]))
    assert (metrics["macro_f1"], metrics["accuracy"], metrics["ece"]) == (1.0, 1.0, 0.0)
    assert metrics["log_loss"] < metrics["log_loss_prior"]
    assert metrics["accuracy_no_change"] == 0.5


def test_the_best_single_column_counts_either_way_round():
    truth = np.array([0, 0, 1, 1])
    rows = np.array([[4, 0], [3, 1], [2, 0], [1, 1]], np.float32)
    metrics = churn_metrics(truth, np.array([0.1, 0.4, 0.3, 0.9]), 0.5, rows)
    assert metrics["auc_single_feature"] == 1.0
    assert metrics["auc"] == 0.75
    assert metrics["rate"] == 0.5
