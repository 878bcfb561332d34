from __future__ import annotations

import numpy as np
import pytest

from membrane.times import DAY, HOUR
from training import arrivals, rates
from training.latent import Segments

MONDAY = 4 * DAY  # 1970-01-05


def segments(stage, customers, begin, end):
    column = np.full(customers, begin), np.full(customers, end)
    return Segments(np.arange(customers), np.full(customers, stage, np.int8), *column)


def drawn(stage, customers=20_000, begin=MONDAY, end=MONDAY + 7 * DAY, active=1.0):
    whole = segments(stage, customers, begin, end)
    return arrivals.draw(whole, MONDAY, MONDAY + 7 * DAY, np.full(customers, active), np.random.default_rng(1))


def count(found, kind):
    return sum(index == rates.ARRIVALS.index(kind) for _, _, index in found)


@pytest.mark.parametrize("stage", range(len(rates.INITIAL_SHARE)))
def test_over_a_week_every_kind_comes_at_its_rate(stage):
    found = drawn(stage)
    for kind, per_day in rates.RATES_PER_DAY.items():
        expected = per_day[stage] * 7 * 20_000
        assert count(found, kind) == pytest.approx(expected, abs=5 * expected**0.5)


def test_who_is_absent_does_nothing():
    assert drawn(rates.ABSENT) == []


def test_arrivals_stay_within_their_stretch_and_come_in_order():
    found = drawn(rates.CRISIS, begin=MONDAY + DAY, end=MONDAY + 2 * DAY)
    times = [t for t, _, _ in found]
    assert times == sorted(times)
    assert MONDAY + DAY <= min(times) <= max(times) < MONDAY + 2 * DAY


def test_half_as_active_customers_do_half_as_much():
    assert len(drawn(rates.STEADY, active=0.5)) == pytest.approx(len(drawn(rates.STEADY)) / 2, rel=0.02)


def test_departments_work_by_day_and_machines_always():
    found = drawn(rates.STEADY)
    hours = {kind: [] for kind in rates.ARRIVALS}
    for t, _, index in found:
        hours[rates.ARRIVALS[index]].append(t // HOUR % 24)
    office, machine = np.array(hours["marketing"]), np.array(hours["usage"])
    assert np.mean((office >= 7) & (office < 19)) > 0.9
    assert np.mean((machine >= 7) & (machine < 19)) == pytest.approx(0.5, abs=0.02)
