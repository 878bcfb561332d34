from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import Bundle, Golden, Manifest
from models.linear_graph import Affine
from models.online import OnlineModel, Parameters, untaught
from models.onnx_model import OnnxModel
from models.scorer import CLASSES

WIDTH = 7
KINDS = ("stage", "churn")


def stream(kind, count, seed=1):
    random = np.random.default_rng(seed)
    rows = (random.normal(0, 1, (count, WIDTH)) * random.lognormal(0, 2, WIDTH)).astype(np.float32)
    rows[:, 3] = 4  # a column that never moves
    return list(zip(rows.tolist(), random.integers(0, len(CLASSES[kind]), count).tolist(), strict=True))


def kept(parameters):
    return msgspec.json.decode(msgspec.json.encode(parameters), type=Parameters)


@pytest.mark.parametrize("kind", KINDS)
@given(cuts=st.sets(st.integers(0, 120), max_size=8), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_a_model_made_again_from_its_parameters_goes_on_to_the_same_bits(kind, cuts, seed):
    clean, again = OnlineModel(kind, untaught(kind, WIDTH)), OnlineModel(kind, untaught(kind, WIDTH))
    for number, (row, label) in enumerate(stream(kind, 120, seed)):
        if number in cuts:
            again = OnlineModel(kind, kept(again.parameters()))
        clean.learn(row, label, 0.7)
        again.learn(row, label, 0.7)
    assert msgspec.json.encode(again.parameters()) == msgspec.json.encode(clean.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_known_before_the_first_label_and_asking_changes_nothing(kind):
    model = OnlineModel(kind, untaught(kind, WIDTH))
    classes = len(CLASSES[kind])
    assert model.probabilities([1.0] * WIDTH) == pytest.approx([1 / classes] * classes)
    assert model.parameters() == untaught(kind, WIDTH)


@pytest.mark.parametrize("kind", KINDS)
def test_what_weighs_nothing_moves_no_weight(kind):
    model = OnlineModel(kind, untaught(kind, WIDTH))
    for row, label in stream(kind, 30):
        model.learn(row, label, 0.0)
    assert not np.any(model.parameters().weights)


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_in_double_gives_what_river_gives(kind):
    model = OnlineModel(kind, untaught(kind, WIDTH))
    rows = stream(kind, 400)
    for row, label in rows:
        model.learn(row, label, 1.0)
    parameters = model.parameters()
    coef, intercept = parameters.logits()
    inputs = np.array([row for row, _ in rows], np.float32)
    scale = np.sqrt(parameters.variances)
    mean = np.array(parameters.means)
    bound = 5 * np.where(scale == 0, np.inf, scale)
    affine = Affine(mean, scale, mean - bound, mean + bound, coef, intercept)
    exported = OnnxModel(bundle(kind, affine)).probabilities(inputs)
    assert exported == pytest.approx(np.array([model.probabilities(row) for row, _ in rows]), abs=1e-6)


def test_a_row_of_the_graph_gives_the_same_bytes_in_any_batch():
    random = np.random.default_rng(2)
    ones = np.ones(94)
    affine = Affine(0 * ones, ones, -9 * ones, 9 * ones, random.normal(0, 1, (6, 94)), random.normal(0, 1, 6))
    model = OnnxModel(bundle("stage", affine))
    rows = random.normal(0, 1, (600, 94)).astype(np.float32)
    whole = model.probabilities(rows)
    for size in (1, 2, 7, 256):
        parts = [model.probabilities(rows[at : at + size]) for at in range(0, 600, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_the_graph_clips_to_the_range_that_was_seen():
    affine = Affine(np.zeros(1), np.ones(1), np.array([-1.0]), np.array([2.0]), np.array([[-1.0], [1.0]]), np.zeros(2))
    model = OnnxModel(bundle("churn", affine))
    low, edge_low, edge_high, high = model.probabilities(np.array([[-99], [-1], [2], [99]], np.float32))
    assert low.tolist() == edge_low.tolist()
    assert high.tolist() == edge_high.tolist()


def bundle(kind, affine):
    manifest = Manifest(
        name="test", kind=kind, revision="1", created="1", fingerprint="f", metrics={}, provenance="tenant",
        features=tuple(f"f{i}" for i in range(len(affine.mean))), classes=CLASSES[kind], linear=affine.weights(),
    )  # fmt: skip
    return Bundle("", manifest, Golden((), ()), affine.to_onnx())
