from __future__ import annotations

import msgspec
import numpy as np
import pytest

from membrane.labelled import RULES
from membrane.vocabulary import STAGES
from tests.training.learning import COLUMNS, examples
from training.prequential import (
    LEARNER,
    MAJORITY,
    NO_CHANGE,
    Answered,
    TargetLearner,
    TargetState,
    figures_of,
    first_state,
)


def learner(kind="stage"):
    return TargetLearner(kind, COLUMNS.names, first_state(kind, COLUMNS.names, COLUMNS.fingerprint), [])


def of(kind, count, **more):
    return [one for one in examples(count, **more) if one.target == kind]


def taught(kind, rows):
    target, previous = learner(kind), {}
    for row in rows:
        target.test_and_learn(row, previous.get(row.customer))
        previous[row.customer] = row.label
    return target


def test_an_example_is_tested_before_it_is_learned():
    target = taught("stage", of("stage", 300))
    one = of("stage", 340)[-1]
    before = target.probabilities(np.array([one.features], np.float32))[0]
    outcome = target.test_and_learn(one, None)
    assert outcome.answered.answers[LEARNER] == pytest.approx(before)
    assert target.probabilities(np.array([one.features], np.float32))[0] != pytest.approx(before)


def test_a_label_cannot_change_what_was_answered_for_it():
    """The same row with each of the labels it could have: the answers are the same, whatever comes out."""
    rows = of("stage", 300)
    answers = [
        taught("stage", rows).test_and_learn(msgspec.structs.replace(rows[0], label=label), 2).answered.answers
        for label in range(len(STAGES))
    ]
    assert all(one == answers[0] for one in answers)


@pytest.mark.parametrize("kind", ["stage", "churn"])
def test_what_there_is_to_learn_is_learned(kind):
    target = taught(kind, of(kind, 2_600))
    learned, majority = figures_of(target.window, LEARNER), figures_of(target.window, MAJORITY)
    assert learned["log_loss"] < 0.85 * majority["log_loss"]
    assert learned["accuracy"] > majority["accuracy"]
    assert len(target.window) == 1_000


def test_nothing_is_learned_where_there_is_nothing():
    random = np.random.default_rng(1)
    rows = [msgspec.structs.replace(one, label=int(random.integers(2))) for one in of("churn", 2_000)]
    target = taught("churn", rows)
    assert figures_of(target.window, LEARNER)["log_loss"] > 0.69


def test_majority_says_the_shares_and_no_change_the_label_of_before():
    target = learner("churn")
    rows = of("churn", 100)[:20]
    for row in rows[:10]:
        target.test_and_learn(msgspec.structs.replace(row, label=0, weight=1.0), None)
    answers = target.test_and_learn(rows[10], 1).answered.answers
    assert answers[MAJORITY] == pytest.approx((11 / 12, 1 / 12))
    assert np.argmax(answers[NO_CHANGE]) == 1 or answers[NO_CHANGE][1] == pytest.approx(0.5)


def test_the_rules_and_the_models_that_served_are_measured_where_they_spoke():
    rows = of("stage", 200)
    right = [
        msgspec.structs.replace(one, scores={RULES: tuple(float(one.label == k) for k in range(6)), "m": (1 / 6,) * 6})
        for one in rows
    ]
    target = taught("stage", [*right, msgspec.structs.replace(rows[0], scores={"m": (float("nan"),) * 6})])
    rules, model = figures_of(target.window, RULES), figures_of(target.window, "m")
    assert rules["rows"] == model["rows"] == len(right)
    assert rules["accuracy"] == 1
    assert model["log_loss"] == pytest.approx(np.log(6), abs=1e-4)
    assert figures_of(target.window, "nobody") is None


def test_a_drift_is_told():
    rows = of("stage", 2_400, turns_at=1_600)
    target, found = learner(), []
    for number, row in enumerate(rows):
        found += [number for name in target.test_and_learn(row, None).drifted if name == "error"]
    turned = sum(one.offset < 1_600 for one in rows)
    assert found
    assert turned <= found[0] < turned + 150


@pytest.mark.parametrize("kind", ["stage", "churn"])
def test_a_learner_made_again_from_what_it_keeps_goes_on_to_the_same_bits(kind):
    rows = of(kind, 700)
    clean = taught(kind, rows)
    again, previous = learner(kind), {}
    for number, row in enumerate(rows):
        if number % 67 == 0:
            state = msgspec.json.decode(msgspec.json.encode(again.state()), type=TargetState) if number else None
            window = [msgspec.json.decode(msgspec.json.encode(one), type=Answered) for one in again.window]
            again = TargetLearner(kind, COLUMNS.names, state, window) if state else again
        again.test_and_learn(row, previous.get(row.customer))
        previous[row.customer] = row.label
    assert msgspec.json.encode(again.state()) == msgspec.json.encode(clean.state())
    assert list(again.window) == list(clean.window)
