from __future__ import annotations

import dataclasses
from collections import defaultdict

import numpy as np
import pytest

from membrane.errors import InvalidBundle
from membrane.times import DAY, parse_time
from models.bundle import read_bundle
from models.scorer import OnnxScorer
from training.seed_bundles import Recipe, make_seed_bundles

FEATURES = ("messages", "tone", "cases", "usage", "answers")
RECIPE = Recipe(
    features=FEATURES, fingerprint="f" * 64, revision="2026-11-22.1", created="2026-11-22T00:00:00Z",
    start_ms=parse_time("2026-01-01T00:00:00Z"), customers=300, days=100, warm_up_days=20,
)  # fmt: skip


def fading_sums(events):
    """A small stand-in for the fold: sums that fade with each signal of the customer."""
    state = defaultdict(lambda: np.zeros(len(FEATURES), np.float32))
    rows, customers, times = [], [], []
    for event in events:
        row, data = state[event["subject"]], event["data"]
        name = event["type"].split(".")[1]
        row *= 0.9
        row += (
            name == "message", data.get("sentiment", 0), name == "case", data.get("value", 0), name == "contact"
        )  # fmt: skip
        rows.append(row.copy())
        customers.append(event["subject"])
        times.append(parse_time(event["time"]))
    return np.array(rows), customers, times


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("seed")
    return directory, make_seed_bundles(fading_sums, directory, RECIPE)


def test_both_bundles_are_written_small_and_may_answer(made):
    directory, _ = made
    scorer = OnnxScorer(
        fingerprint="f" * 64, stage=read_bundle(directory / "stage"), churn=read_bundle(directory / "churn")
    )
    stage, churn = scorer.score(np.ones((3, 5), np.float32))
    assert np.isfinite(stage).all()
    assert np.isfinite(churn).all()
    assert scorer.churn_is_advisory
    for kind in ("stage", "churn"):
        assert sum(file.stat().st_size for file in (directory / kind).iterdir()) < 60_000


def test_the_models_beat_their_priors(made):
    _, metrics = made
    assert metrics["stage"]["log_loss"] < 0.9 * metrics["stage"]["log_loss_prior"]
    assert metrics["stage"]["macro_f1"] > metrics["stage"]["macro_f1_prior"]
    assert metrics["churn"]["auc"] > 0.5


def test_the_manifest_tells_what_it_is_and_how_good(made):
    directory, metrics = made
    manifest = read_bundle(directory / "stage").manifest
    assert manifest.features == FEATURES
    assert (manifest.provenance, manifest.revision, manifest.name) == ("simulated", "2026-11-22.1", "seed-stage")
    assert manifest.metrics == metrics["stage"]


def test_the_same_recipe_makes_the_same_bundles(made, tmp_path):
    directory, _ = made
    make_seed_bundles(fading_sums, tmp_path, RECIPE)
    for kind in ("stage", "churn"):
        assert read_bundle(tmp_path / kind).digest == read_bundle(directory / kind).digest


def test_a_simulation_too_small_to_learn_from_is_refused_and_writes_nothing(tmp_path):
    small = dataclasses.replace(RECIPE, customers=3, days=25)
    with pytest.raises(ValueError, match="classes required"):
        make_seed_bundles(fading_sums, tmp_path, small)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_differs_is_refused_and_writes_nothing(tmp_path, monkeypatch):
    def refuse(exported, source):
        raise InvalidBundle("export: differs")

    monkeypatch.setattr("training.seed_bundles.require_equal", refuse)
    with pytest.raises(InvalidBundle, match="differs"):
        make_seed_bundles(fading_sums, tmp_path, RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_progress_reaches_the_end(tmp_path):
    seen = []
    make_seed_bundles(fading_sums, tmp_path, RECIPE, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100 * DAY, 100 * DAY)
