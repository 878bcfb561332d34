from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.metrics import log_loss

from membrane.errors import InvalidBundle
from training import linear
from training.equal import require_equal


@pytest.fixture(scope="module")
def examples():
    random = np.random.default_rng(2)
    rows = random.normal(0, 1, (4_000, 5)).astype(np.float32) * np.array([1, 10, 1_000, 1e-3, 0], np.float32)
    return rows, (random.random(4_000) < 1 / (1 + np.exp(-rows[:, 0] * 2 + 1))).astype(np.int64)


def test_an_export_answers_as_its_source(examples):
    pipeline = linear.fit(*examples, 2)
    linear.calibrate_churn(pipeline, *examples)
    session = ort.InferenceSession(linear.to_onnx_bytes(pipeline))
    (exported,) = session.run(["probabilities"], {"features": examples[0]})
    require_equal(exported.astype(float), pipeline.predict_proba(examples[0]))


def test_calibration_mends_a_model_that_is_too_sure(examples):
    rows, labels = examples
    pipeline = linear.fit(rows, labels, 2)
    pipeline[-1].coef_ = pipeline[-1].coef_ * 5
    before = log_loss(labels, pipeline.predict_proba(rows))
    linear.calibrate_churn(pipeline, rows, labels)
    assert log_loss(labels, pipeline.predict_proba(rows)) < 0.9 * before


def test_a_temperature_mends_a_stage_model_that_is_too_sure():
    random = np.random.default_rng(3)
    rows = random.normal(0, 1, (3_000, 3)).astype(np.float32)
    labels = (rows + random.gumbel(0, 1, rows.shape)).argmax(axis=1)
    pipeline = linear.fit(rows, labels, 3)
    best = log_loss(labels, pipeline.predict_proba(rows))
    pipeline[-1].coef_, pipeline[-1].intercept_ = pipeline[-1].coef_ * 3, pipeline[-1].intercept_ * 3
    linear.calibrate_stage(pipeline, rows, labels)
    assert log_loss(labels, pipeline.predict_proba(rows)) == pytest.approx(best, abs=1e-3)


def test_weights_of_two_classes_add_up_to_the_logit(examples):
    rows, labels = examples
    pipeline = linear.fit(rows, labels, 2)
    weights = linear.linear_weights(pipeline)
    standard = (rows - np.array(weights.mean)) / np.array(weights.scale)
    stays, closes = standard @ np.array(weights.coef).T[:, 0], standard @ np.array(weights.coef).T[:, 1]
    assert closes - stays + pipeline[-1].intercept_ == pytest.approx(pipeline.decision_function(rows), abs=1e-5)


def test_a_value_beyond_what_training_saw_counts_as_its_edge(examples):
    rows, labels = examples
    pipeline = linear.fit(rows, labels, 2)
    session = ort.InferenceSession(linear.to_onnx_bytes(pipeline))
    beyond = rows[:4].copy()
    beyond[:, 0] = 1e6
    edge = beyond.copy()
    edge[:, 0] = rows[:, 0].max()
    at_edge, far = (session.run(["probabilities"], {"features": some})[0] for some in (edge, beyond))
    assert far == pytest.approx(at_edge, abs=1e-6)


def test_a_class_without_a_label_or_a_feature_without_a_number_is_refused(examples):
    rows, labels = examples
    with pytest.raises(ValueError, match=r"all 6 classes required, none of \[2, 3, 4, 5\]"):
        linear.fit(rows, labels, 6)
    with pytest.raises(ValueError, match="finite features required"):
        linear.fit(np.full_like(rows, np.nan), labels, 2)


@pytest.mark.parametrize(
    ("exported", "problem"),
    [
        ([[0.6, 0.4]], None),
        ([[0.6001, 0.3999]], "within 1e-05"),
        ([[np.nan, 0.4]], "within 1e-05"),
    ],
)
def test_an_export_that_differs_is_refused(exported, problem):
    source = np.array([[0.6, 0.4]])
    if problem is None:
        require_equal(np.array(exported), source)
    else:
        with pytest.raises(InvalidBundle, match=problem):
            require_equal(np.array(exported), source)


def test_another_greatest_class_is_refused_unless_it_was_a_tie():
    require_equal(np.array([[0.499999, 0.500001]]), np.array([[0.500001, 0.499999]]))
    with pytest.raises(InvalidBundle, match="greatest class"):
        require_equal(np.array([[0.499997, 0.500003]]), np.array([[0.500006, 0.499994]]))
