from __future__ import annotations

import numpy as np
import pytest

from bench.quality.simulated import simulated, tracked
from membrane.features import FEATURE_NAMES
from training.labels import UNLABELLED


@pytest.fixture(scope="module")
def part():
    return simulated(12, 45, seed=3)


def test_every_row_has_a_customer_a_time_and_a_truth(part):
    assert part.rows.shape == (len(part.truth), len(FEATURE_NAMES))
    assert (np.diff(part.customers) >= 0).all()
    same = part.customers[1:] == part.customers[:-1]
    assert (np.diff(part.times)[same] >= 0).all()
    assert (part.truth[part.counted] != UNLABELLED).all()
    assert 0 < part.counted.sum() < len(part.truth)
    assert part.calm_days <= 30 * part.customer_months <= 12 * 15


def test_without_a_model_the_rules_are_what_is_served(part):
    served = tracked(part, np.empty((len(part.rows), 0)))
    assert served.stage.tolist() == part.rules.tolist()
    assert served.probabilities.argmax(axis=1).tolist() == part.rules.tolist()


def test_a_model_that_is_sure_of_strain_names_it_where_the_rules_say_nothing(part):
    sure = np.tile([0.01, 0.01, 0.95, 0.01, 0.01, 0.01], (len(part.rows), 1))
    served = tracked(part, sure, advisory=False)
    assert (served.probabilities[:, 2] > 0.3).mean() > 0.9
    assert set(served.stage[part.rules == 5].tolist()) <= {2, 5}
    assert (served.stage[part.rules == 0] == 0).all()
