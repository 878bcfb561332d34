from __future__ import annotations

import numpy as np
import pytest

from membrane.errors import InvalidBundle
from membrane.ports import Scorer
from models.bundle import read_bundle
from models.scorer import OnnxScorer, RulesOnly, unusable


def scorer(maker, **which):
    return OnnxScorer(fingerprint=maker.fingerprint, **which)


@pytest.fixture
def both(maker):
    stage = read_bundle(maker.write("stage", linear=True))
    churn = read_bundle(maker.write("churn", kind="churn"))
    return scorer(maker, stage=stage, churn=churn)


def test_it_is_a_scorer_of_six_stages_and_one_risk(maker, both):
    port: Scorer = both
    stage, churn = port.score(maker.rows(5))
    assert (stage.shape, churn.shape) == ((5, 6), (5,))
    assert (stage.dtype, churn.dtype) == (np.float64, np.float64)
    assert stage.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 7, 256])
def test_scores_are_the_same_bytes_whatever_the_batches(maker, both, batch):
    rows = maker.rows(1_003)
    stage, churn = both.score(rows)
    parts = [both.score(rows[i : i + batch]) for i in range(0, len(rows), batch)]
    assert np.concatenate([part[0] for part in parts]).tobytes() == stage.tobytes()
    assert np.concatenate([part[1] for part in parts]).tobytes() == churn.tobytes()


def test_a_missing_model_answers_nan_and_the_other_one_still_answers(maker):
    churn = read_bundle(maker.write("churn", kind="churn"))
    found = scorer(maker, churn=churn)
    stage, risk = found.score(maker.rows(3))
    assert unusable(stage).all()
    assert not unusable(risk).any()
    assert (found.stage_revision, found.churn_revision) == (None, churn.revision)
    assert found.stage_drivers(maker.rows(3), np.array([0, 1, 2])) == [[], [], []]


def test_rules_only_answers_nothing_but_nan(maker):
    stage, churn = RulesOnly().score(maker.rows(3))
    assert unusable(stage).all()
    assert unusable(churn).all()
    assert RulesOnly().stage_drivers(maker.rows(1), np.array([0])) == [[]]


def test_a_row_that_makes_nan_is_told_apart(maker, both):
    rows = maker.rows(3)
    rows[1] = np.nan
    stage, churn = both.score(rows)
    assert unusable(stage).tolist() == unusable(churn).tolist() == [False, True, False]


def test_a_bundle_in_the_wrong_place_is_refused(maker):
    stage = read_bundle(maker.write())
    with pytest.raises(InvalidBundle, match="kind churn required, got stage"):
        scorer(maker, churn=stage)


def test_churn_is_advisory_until_it_learned_from_the_tenants_labels(maker, both):
    tenant = read_bundle(maker.write("t", kind="churn", provenance="tenant"))
    assert both.churn_is_advisory
    assert RulesOnly().churn_is_advisory
    assert not scorer(maker, churn=tenant).churn_is_advisory


def test_a_stage_model_is_advisory_until_it_learned_from_the_tenants_labels(maker, both):
    tenant = read_bundle(maker.write("t", kind="stage", provenance="tenant"))
    assert both.stage_is_advisory
    assert RulesOnly().stage_is_advisory
    assert not scorer(maker, stage=tenant).stage_is_advisory


def test_drivers_of_a_stage_come_from_its_bundle(maker, both):
    (drivers,) = both.stage_drivers(maker.rows(1), np.array([0]))
    assert 0 < len(drivers) <= 3
    assert {name for name, _ in drivers} <= set(maker.features)
