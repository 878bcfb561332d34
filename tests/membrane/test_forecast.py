"""The moves of stage and lifecycle that time will bring, against the engine that lets time pass."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.decide import decide
from membrane.dictionary import any_move
from membrane.engine import Rules
from membrane.forecast import Forecast
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, parse_time
from membrane.tracker import Score
from membrane.view import View
from membrane.vocabulary import STAGES, Stage
from tests.fakes import default_pack
from tests.membrane.customer import Customer
from tests.membrane.fakes_principles import candidate, request
from tests.strategies import START, signals

RULES = Rules(default_pack())


def shown(view):
    facts = view.facts()
    return facts.get("stage.name"), facts.get("lifecycle"), facts.get("stage.p_crisis"), facts.anchor("stage.age")


def by_the_engine(view, days=400):
    """Every moment at which the engine itself changes what is shown, with what it shows then."""
    found, before, end = [], shown(view), view.t + days * DAY
    while (moment := view.next_due()) is not None and moment <= end:
        view = view.at(moment)
        if shown(view) != before:
            found.append((moment, shown(view)))
            before = shown(view)
    return found


def by_the_forecast(view, days=400):
    found, at, end = [], view.t, view.t + days * DAY
    while (moment := view.foresee(at).facts().next_move(any_move)) is not None and moment <= end:
        found.append((moment, shown(view.foresee(moment))))
        at = moment
    return found


def told(customer, items):
    for item in items:
        customer.hear(item)
    return View(customer.record, customer.record.clock, customer.rules)


@settings(max_examples=150)
@given(signals())
def test_a_forecast_is_what_the_engine_does_when_nothing_happens(items):
    view = told(Customer(RULES), items)
    assert by_the_forecast(view) == by_the_engine(view)


@settings(max_examples=50)
@given(signals(), st.lists(st.integers(1, 100), min_size=6, max_size=6), st.floats(0, 1))
def test_it_is_so_with_a_model_too(items, weights, churn):
    customer = Customer(Rules(default_pack(), churn_threshold=0.5))
    customer.score = Score(tuple(weight / sum(weights) for weight in weights), churn)
    view = told(customer, items)
    assert by_the_forecast(view) == by_the_engine(view)


def happy(customer):
    customer.tell("survey.answered", START, instrument="nps", score=10)
    for day in range(3):
        customer.tell("message.received", START + day * DAY, channel="chat", sentiment=0.9)


def cross(customer):
    for day in range(3):
        customer.tell("message.received", START + day * DAY, channel="chat", sentiment=-0.6)


def using_less(customer):
    for day, value in ((0, 100), (20, 10), (24, 10), (26, 20)):
        customer.tell("usage.measured", START + day * DAY, metric="m", value=value)


def using_more(customer):
    customer.tell("survey.answered", START, instrument="nps", score=10)
    for day, value in ((0, 100), (1, 100), (20, 150), (26, 160)):
        customer.tell("usage.measured", START + day * DAY, metric="m", value=value)


def relapsing(customer):
    for day in range(3):
        opened = START + day * DAY
        customer.tell("case.opened", opened, case=f"A{day}", category="net", severity=3, product="T1")
        customer.tell("case.resolved", opened + HOUR, case=f"A{day}", resolution_code="fixed")


@pytest.mark.parametrize(
    ("happens", "stage"),
    [
        (happy, "thriving"),
        (cross, "strained"),
        (using_less, "at_risk"),
        (using_more, "thriving"),
        (relapsing, "at_risk"),
    ],
)
def test_what_windows_made_true_they_make_untrue_again(happens, stage):
    customer = Customer(RULES)
    customer.tell("account.opened", START - 400 * DAY)
    happens(customer)
    view = told(customer, [])
    assert shown(view)[0] == stage
    assert "steady" in [now[0] for _, now in by_the_engine(view)]
    assert by_the_forecast(view) == by_the_engine(view)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("mn"), st.integers(0, 100)), max_size=8),
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([-0.9, -0.3, 0.0, 0.4, 0.9])), max_size=5),
)
def test_it_is_so_for_days_of_usage_and_messages(measured, messages):
    customer = Customer(RULES)
    customer.tell("account.opened", START - 400 * DAY)
    for day, metric, value in measured:
        customer.tell("usage.measured", START + day * DAY, metric=metric, value=value)
    for day, sentiment in messages:
        customer.tell("message.received", START + day * DAY, channel="chat", sentiment=sentiment)
    view = told(customer, [])
    assert by_the_forecast(view) == by_the_engine(view)


def test_a_crisis_whose_case_is_open_has_no_end_by_time():
    customer = Customer(RULES)
    customer.tell("account.opened", START - 400 * DAY)
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    assert Forecast(customer.record, START).next_move(START) is None


def test_recovering_ends_after_14_days_and_the_record_given_stays_as_it_was():
    customer = Customer(RULES)
    customer.tell("account.opened", START - 400 * DAY)
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    customer.tell("case.resolved", START + HOUR, case="A", resolution_code="fixed")
    forecast = Forecast(customer.record, START + HOUR)
    quiet = START + DAY
    assert customer.stage in {"crisis", "recovering"}
    left = forecast.next_move(START + HOUR)
    assert left is not None
    later = forecast.record_at(quiet + 15 * DAY)
    assert later.tracker.stage == STAGES.index(Stage.STEADY)
    assert later.state is customer.record.state
    assert customer.stage in {"crisis", "recovering"}


@pytest.mark.parametrize("t", [START, START + 500 * DAY])
def test_a_record_at_a_moment_without_a_move_is_the_record(t):
    customer = Customer(RULES)
    customer.tell("account.opened", START - 400 * DAY)
    assert Forecast(customer.record, START).record_at(t) == customer.record


def verdicts(view, *candidates):
    return decide(request(*candidates), view, default_pack(), TenantSettings(), t=view.t).verdicts


@settings(max_examples=40)
@given(signals(max_size=20))
def test_until_is_the_first_flip_of_a_real_customer(items):
    view = told(Customer(RULES), items)
    asked = [
        candidate("sales", "rescue_offer", "phone", id="rescue"),
        candidate("sales", "upsell", id="upsell"),
        candidate("marketing", "win_back", "sms", id="win-back"),
        candidate("survey", "csat", id="survey"),
        candidate("billing", "suspension", id="suspension"),
    ]
    for place, one in enumerate(verdicts(view, *asked)):
        promised = parse_time(one.until) if one.until else None
        end = min(promised or view.t + 20 * DAY, view.t + 20 * DAY)
        for moment in range(view.t, end, 31 * HOUR):
            assert verdicts(view.at(moment), *asked)[place].verdict == one.verdict
        if promised is not None:
            assert verdicts(view.at(promised - 1), *asked)[place].verdict == one.verdict
            assert verdicts(view.at(promised), *asked)[place].verdict != one.verdict
