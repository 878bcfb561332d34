from __future__ import annotations

import numpy as np
import pytest

from membrane.signals import SCORE_RANGES
from membrane.times import DAY, HOUR, MINUTE
from training import likelihoods as likely
from training import rates

STAGES = np.arange(6)


@pytest.mark.parametrize("instrument", SCORE_RANGES)
def test_the_scores_of_a_survey_have_probabilities_that_sum_to_one(instrument):
    low, high = SCORE_RANGES[instrument]
    assert sum(likely.score(instrument, given) for given in range(low, high + 1)) == pytest.approx(np.ones(6))


def test_the_tones_and_channels_of_a_message_have_probabilities_that_sum_to_one():
    tones = [round(hundredth / 100, 2) for hundredth in range(-100, 101)]
    total = sum(likely.message(channel, tone) for channel in rates.MESSAGE_CHANNELS for tone in tones)
    assert total == pytest.approx(np.ones(6))


def test_the_kind_words_after_a_crisis_have_probabilities_that_sum_to_one():
    assert sum(likely.thanks("email", tone / 100) for tone in range(-100, 101)) == pytest.approx(1.0, abs=0.03)
    assert likely.thanks("phone", 0.5) == 0


@pytest.mark.parametrize("age", [0.5, 3.0, 40.0])
def test_a_hazard_is_what_a_survival_loses(age):
    step = 1e-4
    now, later = (likely.dwell_survival(STAGES, np.full(6, t)) for t in (age, age + step))
    assert (now - later) / now / step == pytest.approx(
        likely.dwell_hazard(STAGES, np.full(6, age + step / 2)), rel=1e-3
    )


def test_dwell_times_have_the_means_of_the_simulator():
    ages = np.linspace(0.05, 900.05, 9_001)
    for stage in range(6):
        sound, fragile = likely.dwell_survival(np.full(len(ages), stage), ages).sum(axis=0) * 0.1
        assert sound == pytest.approx(rates.DWELL_MEAN_DAYS[stage], rel=0.01)
        shorter = rates.FRAGILE_DWELL if stage in (rates.STEADY, rates.THRIVING) else 1.0
        assert fragile == pytest.approx(sound * shorter, rel=0.01)


@pytest.mark.parametrize("slow", [False, True])
def test_what_a_case_survives_is_what_its_hazard_leaves(slow):
    hours = np.arange(1, 60)
    total = sum(likely.case_hazard(2, int(hour * HOUR - HOUR // 2), slow=slow) for hour in hours)
    assert likely.case_survival(2, 1, 59 * HOUR, slow=slow) == pytest.approx(np.exp(-total), rel=0.03)


def test_what_comes_late_or_never_is_less_and_less_probable():
    chance = np.array([0.0, 0.4, 1.0])
    week = likely.still_out(chance, 5 * HOUR, 0, 7 * DAY)
    assert week == pytest.approx([1.0, 0.6, 0.0], abs=1e-6)
    assert likely.still_out(chance, 5 * HOUR, 0, MINUTE) == pytest.approx(np.ones(3))
    assert likely.comes_now(chance, 5 * HOUR, HOUR)[1] > likely.comes_now(chance, 5 * HOUR, 20 * HOUR)[1]


@pytest.mark.parametrize("begin", [0, 4 * DAY + 1, 11 * DAY + 5 * HOUR + 7])
def test_the_exposure_of_any_span_is_the_sum_of_its_hours(begin):
    minutes = np.arange(begin, begin + 9 * DAY, MINUTE)
    for profile, kind in ((rates.PEOPLE, "case"), (rates.OFFICE, "sales"), (rates.MACHINE, "usage")):
        expected = sum(likely.weight_at(int(t), kind) for t in minutes) / 60
        assert likely.exposure(begin, begin + 9 * DAY)[profile] == pytest.approx(expected, rel=1e-3)
