from __future__ import annotations

import numpy as np
import pytest

from training.belief import Belief, Grid, Hypothesis
from training.rates import AT_RISK, STEADY


def belief_of(levels, activities=2):
    """A belief that is sure of one hypothesis, with these shares by level of use."""
    belief = Belief(Grid(levels=len(levels), activities=activities))
    shape = belief.prior.shape
    belief.replace({Hypothesis(STEADY, 0): np.broadcast_to(levels, shape) / np.prod(shape[:2])})
    return belief


def bell(belief, mean, spread=0.12):
    share = np.exp(-0.5 * ((belief.levels - mean) / spread) ** 2)
    return share / share.sum()


def test_the_prior_is_that_of_the_simulator():
    belief = Belief(Grid())
    assert belief.prior.sum() == pytest.approx(1.0)
    assert belief.prior.sum(axis=(1, 2)) == pytest.approx([0.85, 0.15])
    assert (belief.prior.sum(axis=(0, 2)) * belief.activity).sum() == pytest.approx(4 / 5.5)
    assert (belief.prior.sum(axis=(0, 1)) * belief.levels).sum() == pytest.approx(3.7)


def test_a_finer_grid_keeps_the_mean_and_nearly_the_spread():
    blank = Belief(Grid(levels=60))
    belief = belief_of(bell(blank, 3.5))
    before = belief.levels[1] - belief.levels[0]
    belief.refine()
    share = belief.weights.sum(axis=(0, 1, 2))
    share /= share.sum()
    mean = (share * belief.levels).sum()
    assert belief.levels[1] - belief.levels[0] < 0.7 * before
    assert mean == pytest.approx(3.5, abs=0.005)
    assert np.sqrt((share * (belief.levels - mean) ** 2).sum()) == pytest.approx(0.12, rel=0.05)


def test_a_finer_grid_gives_no_level_up_that_is_only_improbable():
    """The level may be far from its mean: a low use for long is a low level, or a customer at risk."""
    blank = Belief(Grid(levels=60))
    far = 0.999 * bell(blank, 3.4, 0.05) + 0.001 * bell(blank, 4.4, 0.05)
    belief = belief_of(far)
    for _ in range(3):
        belief.refine()
    share = belief.weights.sum(axis=(0, 1, 2))
    assert share[belief.levels > 4].sum() / share.sum() == pytest.approx(0.001, rel=0.2)


def test_taking_light_beginnings_together_loses_no_weight():
    belief = Belief(Grid(levels=4, activities=2))
    weights = {Hypothesis(AT_RISK, day): belief.prior * (1e-6 if day % 3 else 0.1) for day in range(1, 40)}
    belief.replace({Hypothesis(STEADY, 0): belief.prior, **weights})
    before = belief.weights.sum(), belief.by_stage()
    belief.tidy()
    assert len(belief.keys) < 20
    assert belief.weights.sum() == pytest.approx(before[0])
    assert belief.by_stage() == pytest.approx(before[1])
