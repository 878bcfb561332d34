from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from membrane.times import DAY, HOUR, format_time, parse_time
from membrane.vocabulary import STAGES
from training.belief import Grid
from training.forward_filter import stage_posteriors
from training.labels import UNLABELLED, TruthTable
from training.rates import AT_RISK, CRISIS, RECOVERING, STEADY, STRAINED, THRIVING
from training.simulator import simulate

START = parse_time("2026-01-01T00:00:00Z")
COARSE = Grid(levels=24, activities=6, step_ms=DAY, bin_ms=3 * DAY)


def posteriors_of(customers, days, seed, grid=COARSE):
    """Of each customer, the posteriors at its signals and the truth then."""
    events, truths = defaultdict(list), []
    for step in simulate(customers, days=days, seed=seed, start_ms=START):
        truths += step.truths
        for event in step.signals:
            events[event["subject"]].append(event)
    table = TruthTable(truths, START + days * DAY)
    for customer, own in events.items():
        moments = [parse_time(event["time"]) for event in own]
        truth = table.stages([customer] * len(moments), moments)
        found, surprises = stage_posteriors(own, moments, START, grid)
        assert surprises == 0
        yield found[truth != UNLABELLED], truth[truth != UNLABELLED]


@pytest.fixture(scope="module")
def judged():
    return [pair for pair in posteriors_of(120, 40, seed=21) if len(pair[1])]


def z_score(sums):
    """How many standard errors the mean of independent customers' sums is away from nought."""
    sums = np.array(sums)
    return sums.mean(axis=0) / (sums.std(axis=0) / len(sums) ** 0.5)


def test_each_stage_is_the_truth_as_often_as_the_posterior_says(judged):
    gaps = z_score([(np.eye(6)[truth] - found).sum(axis=0) for found, truth in judged])
    assert np.abs(gaps).max() < 4


def test_the_log_loss_is_what_the_posterior_itself_expects(judged):
    """A calibrated posterior expects its own entropy; one that is too sure loses more, too vague a one less."""
    surplus = []
    for found, truth in judged:
        logs = np.log(np.maximum(found, 1e-300))
        surplus.append((-logs[np.arange(len(truth)), truth] + (found * logs).sum(axis=1)).sum())
    assert abs(z_score(surplus)) < 4


def test_it_knows_far_more_than_the_shares_of_the_stages(judged):
    found, truth = (np.concatenate(part) for part in zip(*judged, strict=True))
    shares = np.bincount(truth, minlength=6) / len(truth)
    loss = -np.log(found[np.arange(len(truth)), truth]).mean()
    assert loss < 0.4 * -np.log(shares[truth]).mean()


def test_a_finer_grid_says_nearly_the_same():
    coarse, fine = (
        np.concatenate([found for found, _ in posteriors_of(4, 60, seed=5, grid=grid)]) for grid in (COARSE, Grid())
    )
    assert np.abs(coarse - fine).mean() < 0.01


def signal(t, name, **data):
    return {"type": f"cx.{name}.v1", "time": format_time(t), "subject": "c-1", "data": data}


def opened(t, case, severity):
    return signal(t, "case.opened", case=case, severity=severity, category="hardware")


def resolved(t, case):
    return signal(t, "case.resolved", case=case, resolution_code="fixed")


def at(moment, *events):
    found, surprises = stage_posteriors(events, [moment], START)
    assert surprises == 0
    return found[0]


PROFILE = signal(START + HOUR, "profile.updated")
NOON = START + 40 * DAY + 12 * HOUR


def test_there_is_no_posterior_before_the_first_signal_or_after_the_account_closed():
    assert np.isnan(at(START, PROFILE)).all()
    assert np.isnan(at(NOON, PROFILE, signal(NOON, "account.closed", reason="moved_on"))).all()


def test_a_newcomer_without_a_case_is_in_no_trouble_and_one_with_a_case_is():
    account = signal(NOON, "account.opened")
    calm, troubled = at(NOON, account), at(NOON, account, opened(NOON, "a", 1))
    assert calm[[CRISIS, STRAINED]] == pytest.approx([0, 0])
    assert troubled[CRISIS] > troubled[STRAINED] > 0
    assert troubled[[RECOVERING, AT_RISK, THRIVING, STEADY]].sum() == 0


def test_a_grave_case_at_noon_is_mostly_a_crisis_and_its_solution_the_end_of_one():
    before, case = at(NOON, PROFILE), opened(NOON, "a", 1)
    during, after = at(NOON, PROFILE, case), at(NOON + 3 * DAY, PROFILE, case, resolved(NOON + 3 * DAY, "a"))
    assert before[CRISIS] < 0.05
    assert during[CRISIS] > 0.5
    assert after[CRISIS] == 0
    assert after[RECOVERING] > 0.5


def test_anger_is_evidence_of_a_crisis_and_silence_is_evidence_against_one():
    case = opened(NOON, "a", 2)
    words = [
        signal(NOON + hour * HOUR, "message.received", channel="phone", sentiment=-0.8, interaction=f"i-{hour}")
        for hour in (1, 2)
    ]
    silent, angry = at(NOON + 3 * HOUR, PROFILE, case), at(NOON + 3 * HOUR, PROFILE, case, *words)
    assert angry[CRISIS] > 0.9 > silent[CRISIS] > at(NOON + 40 * HOUR, PROFILE, case)[CRISIS]


def test_what_no_stage_allows_is_counted_and_changes_nothing():
    events = [PROFILE, opened(NOON, "a", 4), opened(NOON + HOUR, "b", 4)]
    both = [resolved(NOON + DAY, name) for name in "ab"]
    both[0]["data"]["resolution_code"] = both[1]["data"]["resolution_code"] = "rejected"  # ends no crisis
    found, surprises = stage_posteriors([*events, *both], [NOON + DAY], START)
    assert surprises == 1
    assert found[0].sum() == pytest.approx(1.0)
    assert len(STAGES) == found.shape[1]
