from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from models.bundle import Bundle, Golden, Manifest
from models.onnx_model import OnnxModel
from models.scorer import CLASSES
from models.trees import Attribution
from training.calibration import fit_head, spread
from training.candidates import CANDIDATES, Setting, fit, raw_scores
from training.export import export, rounded_down

WIDTH = 5


def examples(classes, seed=0, rows=600):
    random = np.random.default_rng(seed)
    values = (random.normal(0, 1, (rows, WIDTH)) * [1, 1e4, 1e-3, 1, 1]).astype(np.float32).astype(float)
    score = values[:, 0] + np.sin(values[:, 3] * 2) + random.normal(0, 0.3, rows)
    return values, np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))


@cache
def exported(candidate, kind, *, present=None):
    classes = len(CLASSES[kind]) if present is None else len(present)
    values, labels = examples(classes)
    with threadpool_limits(1):
        fitted = fit(Setting(candidate, 10 * (candidate != "linear")), values, labels, None, balanced=False, seed=1)
        raw = raw_scores(fitted, values)
    head = spread(fit_head(raw, labels, None), np.array(present or tuple(range(classes))), len(CLASSES[kind]))
    made = export(fitted, head, WIDTH)
    manifest = Manifest(
        name="t", kind=kind, revision="1", created="now", fingerprint="f", features=tuple("abcde"), metrics={},
        classes=CLASSES[kind], provenance="tenant", linear=made.linear,
    )  # fmt: skip
    return values, raw, head, OnnxModel(Bundle("", manifest, Golden((), ()), made.model, made.trees)), made


@pytest.mark.parametrize("kind", ["churn", "stage"])
@pytest.mark.parametrize("candidate", CANDIDATES)
def test_an_export_answers_as_its_source(candidate, kind):
    values, raw, head, model, _ = exported(candidate, kind)
    found = model.probabilities(values.astype(np.float32))
    assert np.abs(found - head.probabilities(raw)).max() < 1e-6


def test_stages_without_a_label_are_there_with_next_to_no_probability():
    values, raw, head, model, _ = exported("trees", "stage", present=(0, 2, 5))
    found = model.probabilities(values.astype(np.float32))
    assert found == pytest.approx(head.probabilities(raw), abs=1e-6)
    assert found[:, [1, 3, 4]].max() < 1e-3


@pytest.mark.parametrize("kind", ["churn", "stage"])
@pytest.mark.parametrize("candidate", CANDIDATES)
def test_contributions_add_up_to_the_logit(candidate, kind):
    """Differences between two rows, for a line's intercept is in the graph alone."""
    values, raw, head, model, _ = exported(candidate, kind)
    logits = raw @ head.scale + head.shift
    chosen = logits.argmax(axis=1)
    said = model.contributions(values.astype(np.float32), chosen).sum(axis=1)
    logit = (logits - logits.mean(axis=1, keepdims=True))[np.arange(len(chosen)), chosen]
    for one in np.unique(chosen):
        rest = (logit - said)[chosen == one]
        assert rest - rest[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["churn", "stage"])
def test_the_nodes_that_are_kept_are_the_model(kind):
    values, raw, head, model, made = exported("trees", kind)
    attribution = Attribution(made.trees)
    found = attribution.expected + attribution.contributions(values).sum(axis=2)
    assert found == pytest.approx(raw, abs=1e-6)
    assert attribution.probabilities(values) == pytest.approx(head.probabilities(raw), abs=1e-9)
    assert any(model.drivers(values[:3].astype(np.float32), np.zeros(3, int)))


@given(st.floats(-1e38, 1e38), st.floats(width=32, allow_nan=False))
def test_a_float_is_at_most_a_threshold_exactly_where_it_is_at_most_the_rounded_one(threshold, value):
    rounded = rounded_down(np.array([threshold]))[0]
    assert (value <= threshold) == (value <= rounded)
    assert np.float32(rounded) == rounded


def test_a_value_on_a_threshold_goes_the_same_way_in_the_runtime():
    _, _, _, model, made = exported("trees", "churn")
    rows = np.zeros((200, WIDTH), np.float32)
    for i, (feature, threshold) in enumerate(list(zip(made.trees.feature, made.trees.threshold, strict=True))[:100]):
        rows[2 * i, feature] = threshold
        rows[2 * i + 1, feature] = np.nextafter(np.float32(threshold), np.float32(np.inf))
    assert model.probabilities(rows) == pytest.approx(Attribution(made.trees).probabilities(rows), abs=1e-6)
