from __future__ import annotations

import numpy as np
import pytest

from bench.quality.alarms import alarms, threshold_at
from bench.quality.simulated import START, Crisis, Part
from membrane.times import HOUR

CALM, TROUBLED = 5, 0  # indexes of stages


def part(truth, hours, crises=(), customers=None):
    """Rows at these hours, of one customer unless told otherwise, over 1,000 days."""
    owners = np.array(customers or [0] * len(hours))
    return Part(
        seed=1, days=1_000, logs=[None] * (owners.max() + 1), rows=np.empty((len(hours), 0), np.float32),
        customers=owners, times=START + np.array(hours) * HOUR, truth=np.array(truth),
        counted=np.ones(len(hours), bool), rules=np.array(truth),
        crises=[Crisis(0, START + begin * HOUR, START + end * HOUR) for begin, end in crises],
        calm_days=1_000.0, customer_months=1.0,
    )  # fmt: skip


def test_the_delay_runs_from_the_beginning_of_the_crisis_to_the_first_row_that_says_so():
    found = alarms(part([CALM, 0, 0, 0], [0, 10, 14, 20], [(10, 30)]), np.array([False, False, True, True]))
    assert (found.delays.tolist(), found.false_per_1000, found.missed) == ([4.0], 0.0, 0.0)


def test_a_crisis_that_ends_unnoticed_counts_with_its_whole_length():
    found = alarms(part([0, CALM], [10, 40], [(10, 30)]), np.array([False, False]))
    assert (found.delays.tolist(), found.missed) == ([20.0], 1.0)


def test_who_was_alarmed_already_is_not_late_but_the_alarm_was_false():
    found = alarms(part([CALM, 0], [5, 12], [(10, 30)]), np.array([True, True]))
    assert (found.delays.tolist(), found.false_per_1000) == ([0.0], 1.0)


def test_an_alarm_that_ends_with_the_row_at_which_the_crisis_begins_is_none():
    found = alarms(part([CALM, 0, 0], [5, 10, 13], [(10, 30)]), np.array([True, False, True]))
    assert found.delays.tolist() == [3.0]


def test_an_alarm_that_lasts_is_one_and_another_customer_has_its_own():
    found = alarms(
        part([CALM] * 5, [0, 1, 2, 0, 1], customers=[0, 0, 0, 1, 1]), np.array([True, True, False, True, True])
    )
    assert found.false_per_1000 == 2.0


def test_the_threshold_is_the_least_that_keeps_within_the_false_alarms():
    p = np.linspace(0.001, 1.0, 1_000)
    rows = part([CALM] * 1_000, [24 * day for day in range(1_000)], customers=list(range(1_000)))
    threshold = threshold_at(rows, p, 50.0)
    assert alarms(rows, p >= threshold).false_per_1000 <= 50.0
    assert threshold == pytest.approx(0.95, abs=0.01)
    assert threshold_at(rows, np.ones(1_000), 0.0) > 1.0
