"""What each labelling function says, of which moment, with which weight, and when it abstains."""

from __future__ import annotations

from typing import Any

import pytest

from membrane.examples import CHURN, STAGE
from membrane.labelling import FUNCTIONS, is_synthetic, label
from membrane.record import Label
from membrane.signals import typed
from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import STAGES
from tests.membrane.customer import Customer
from tests.strategies import START, signal

OPEN = {"case": "A", "category": "net", "severity": 3}


def say(customer: Customer, kind: str, t: int, /, *, clock: int = 0, **data: Any) -> Label | None:
    """What a signal says of a customer, whose clock is then at least `clock`."""
    item = signal(900, kind, t, data)
    payload = typed(item)
    assert payload is not None
    record = customer.meet(item)
    return label(record, payload, item, max(record.clock, t, clock))


def told(found: Label | None) -> tuple[str, float, int] | None:
    """(stage, weight, the moment)."""
    if found is None:
        return None
    assert found.target == STAGE
    return str(STAGES[found.label]), found.weight / 10_000, found.about


@pytest.fixture
def troubled() -> Customer:
    """A case opened at START, an interaction about it that ended an hour later."""
    customer = Customer()
    customer.tell("case.opened", START, **OPEN)
    customer.tell("interaction.ended", START + HOUR, interaction="I", channel="phone")
    return customer


@pytest.fixture
def solved(troubled: Customer) -> Customer:
    """The case was fixed a day later."""
    troubled.tell("case.resolved", START + DAY, case="A", resolution_code="fixed")
    return troubled


def test_a_person_says_the_stage_of_a_moment() -> None:
    customer, about = Customer(), format_time(START - DAY)
    given = {"target": "stage", "value": "strained", "by": "ana"}
    assert told(say(customer, "label.given", START, **given)) == ("strained", 1.0, START)
    assert told(say(customer, "label.given", START, **given, about_time=about)) == ("strained", 1.0, START - DAY)
    later = format_time(START + DAY)
    assert told(say(customer, "label.given", START, **given, about_time=later)) == ("strained", 1.0, START)
    assert told(say(customer, "label.given", START, **given, confidence=0.5)) == ("strained", 0.5, START)
    assert say(customer, "label.given", START, **given | {"value": "furious"}) is None
    assert say(customer, "label.given", START, **given | {"value": 2}) is None


@pytest.mark.parametrize(("value", "label"), [(True, 1), (1, 1), ("closes", 1), (False, 0), (0, 0), ("stays", 0)])
def test_a_person_says_who_leaves(value: object, label: int) -> None:
    found = say(Customer(), "label.given", START, target="churn", value=value, by="ana")
    assert found is not None
    assert (found.target, found.label, found.by) == (CHURN, label, "ana")
    assert say(Customer(), "label.given", START, target="churn", value=0.3, by="ana") is None


def test_what_is_found_out_after_48_hours_has_half_the_weight() -> None:
    given = {"target": "stage", "value": "steady", "by": "ana"}
    for late, weight in ((48 * HOUR, 1.0), (48 * HOUR + 1, 0.5)):
        about = format_time(START - late)
        assert told(say(Customer(), "label.given", START, **given, about_time=about)) == (
            "steady",
            weight,
            START - late,
        )
        assert told(say(Customer(), "label.given", START, clock=START + late, **given)) == ("steady", weight, START)


@pytest.mark.parametrize("instrument", ["csat", "ces"])
def test_a_bad_score_for_an_interaction_with_an_open_case_is_strain(troubled: Customer, instrument: str) -> None:
    answer = {"instrument": instrument, "score": 2}
    ended = START + HOUR
    assert told(say(troubled, "survey.answered", START + DAY, **answer)) == ("strained", 0.7, ended)
    assert told(say(troubled, "survey.answered", START + DAY, **answer, interaction="I")) == ("strained", 0.7, ended)
    assert told(say(troubled, "survey.answered", START + 3 * DAY, **answer)) == ("strained", 0.35, ended)
    assert say(troubled, "survey.answered", START + 9 * DAY, **answer) is None
    assert say(troubled, "survey.answered", START + DAY, **answer, interaction="another") is None
    assert say(troubled, "survey.answered", START + DAY, **answer | {"score": 3}) is None
    assert say(Customer(), "survey.answered", START + DAY, **answer) is None


def test_it_is_crisis_where_that_was_in_force() -> None:
    customer = Customer()
    customer.tell("case.opened", START, **OPEN | {"severity": 1})
    customer.tell("interaction.ended", START + HOUR, interaction="I", channel="phone")
    found = say(customer, "survey.answered", START + DAY, instrument="csat", score=1)
    assert told(found) == ("crisis", 0.7, START + HOUR)


def test_a_case_that_was_open_at_the_interaction_counts_after_it_was_solved(solved: Customer) -> None:
    found = say(solved, "survey.answered", START + 30 * HOUR, instrument="csat", score=1)
    assert told(found) == ("strained", 0.7, START + HOUR)


def test_a_good_score_after_a_resolution_is_steady_or_recovering(solved: Customer) -> None:
    good, resolved = {"instrument": "csat", "score": 4}, START + DAY
    assert told(say(solved, "survey.answered", START + 2 * DAY, **good)) == ("steady", 0.5, resolved)
    assert told(say(solved, "survey.answered", START + 4 * DAY, **good)) == ("steady", 0.25, resolved)
    assert say(solved, "survey.answered", START + 9 * DAY, **good) is None
    assert say(solved, "survey.answered", START + 2 * DAY, instrument="ces", score=7) is None
    solved.tell("case.opened", START + 2 * DAY, **OPEN | {"case": "B"})
    assert say(solved, "survey.answered", START + 3 * DAY, **good) is None
    crisis = Customer()
    crisis.tell("case.opened", START, **OPEN | {"severity": 1})
    crisis.tell("case.resolved", START + HOUR, case="A")
    assert told(say(crisis, "survey.answered", START + 2 * HOUR, **good)) == ("recovering", 0.5, START + HOUR)


def test_a_case_that_was_closed_without_being_solved_says_nothing(troubled: Customer) -> None:
    troubled.tell("case.resolved", START + DAY, case="A", resolution_code="auto_closed")
    assert say(troubled, "survey.answered", START + 2 * DAY, instrument="csat", score=5) is None


@pytest.mark.parametrize(("score", "stage"), [(0, "at_risk"), (6, "at_risk"), (7, None), (8, None), (9, "thriving")])
def test_a_recommendation_counts_with_nothing_open(troubled: Customer, score: int, stage: str | None) -> None:
    customer = Customer()
    customer.tell("order.placed", START)
    found = told(say(customer, "survey.answered", START + DAY, instrument="nps", score=score))
    assert found == (None if stage is None else (stage, 0.5, START + DAY))
    assert say(troubled, "survey.answered", START + DAY, instrument="nps", score=score) is None


def test_who_closes_was_at_risk() -> None:
    assert told(say(Customer(), "account.closed", START)) == ("at_risk", 0.4, START)
    assert told(say(Customer(), "account.closed", START, clock=START + 3 * DAY)) == ("at_risk", 0.2, START)


def test_only_these_signals_say_anything() -> None:
    assert set(FUNCTIONS) == {f"cx.{name}.v1" for name in ("label.given", "survey.answered", "account.closed")}


@pytest.mark.parametrize(
    ("data", "made_up"),
    [
        ({"synthetic": True}, True),
        ({"synthetic": False}, False),
        ({"note": "synthetic"}, False),
        ({"synthetic": 1}, False),
    ],
)
def test_what_is_made_up_says_so(data: dict[str, Any], made_up: bool) -> None:
    assert is_synthetic(signal(1, "order.placed", START, data)) is made_up
