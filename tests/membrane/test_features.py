"""The derived features, their neutral values, and the fingerprint of the registry."""

from __future__ import annotations

import dataclasses
import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.features import (
    AGE_CAP_DAYS,
    DERIVED,
    FEATURE_NAMES,
    REGISTRY,
    SUMMED,
    Reading,
    features,
    fingerprint,
    open_cases,
    usage_ratio,
)
from membrane.record import Metric, State
from membrane.signals import StoredSignal
from membrane.times import DAY, HOUR
from tests.membrane.customer import Customer
from tests.membrane.windows import total
from tests.strategies import START, signals

NOON = START // DAY * DAY + 12 * HOUR


def row(customer: Customer, t: int) -> dict[str, float]:
    """The row at t, by name."""
    return dict(zip(FEATURE_NAMES, features(customer.state, t), strict=True))


def told(*items: tuple[str, int, dict[str, object]]) -> Customer:
    """A customer with that history."""
    customer = Customer()
    for kind, t, data in items:
        customer.tell(kind, t, **data)
    return customer


def test_a_customer_of_whom_nothing_is_known_has_the_neutral_values() -> None:
    found = dict(zip(FEATURE_NAMES, features(State(), NOON), strict=True))
    neutral = {"usage_ratio_7d_30d": 1.0, "nps_last": 8.0, "csat_last": 4.0, "ces_last": 5.0}
    never = ("order_recency", "nps_age", "csat_age", "ces_age", "complaint_age", "negative_message_age", "silence")
    neutral |= dict.fromkeys(never, AGE_CAP_DAYS) | {"tenure": 3650.0}
    assert {name: value for name, value in found.items() if value} == neutral


@given(signals(), st.integers(0, 400 * DAY))
def test_a_row_is_always_whole_and_finite_and_reading_it_changes_nothing(
    stream: list[StoredSignal], later: int
) -> None:
    customer = Customer()
    for item in stream:
        customer.hear(item)
    t = customer.record.clock + later
    first = features(customer.state, t)
    assert len(first) == len(FEATURE_NAMES)
    assert all(math.isfinite(value) for value in first)
    assert features(customer.state, t) == first


@given(signals(), st.integers(0, 40 * DAY))
def test_the_row_at_once_is_what_each_derived_feature_says_alone(stream: list[StoredSignal], later: int) -> None:
    customer = Customer()
    for item in stream:
        customer.hear(item)
    state, t = customer.state, customer.record.clock + later
    row, order_value = features(state, t), float(total(state, t, "30d", "order_value"))
    tone = {
        window: (total(state, t, window, "tone_sum"), total(state, t, window, "tone_count"))
        for window in ("24h", "7d", "30d")
    }
    reading = Reading(state, t, tone, [*row[: len(SUMMED)], order_value], open_cases(state))
    assert row[len(SUMMED) :] == [derive(reading) for _, derive in DERIVED]


def test_tone_is_a_mean_over_its_window_and_the_trend_compares_the_week_with_the_month() -> None:
    customer = told(
        ("message.received", NOON - 10 * DAY, {"channel": "chat", "sentiment": 0.5}),
        ("message.received", NOON, {"channel": "chat", "sentiment": -0.7}),
        ("message.received", NOON, {"channel": "chat"}),
    )
    found = row(customer, NOON)
    assert found["toned_messages_30d"] == 2
    assert found["tone_mean_24h"] == found["tone_mean_7d"] == -0.7
    assert found["tone_mean_30d"] == pytest.approx(-0.1)
    assert found["tone_trend"] == pytest.approx(-0.6)
    assert row(customer, NOON + 8 * DAY)["tone_trend"] == 0
    assert (found["negative_message_age"], row(customer, NOON + DAY)["negative_message_age"]) == (0, 1)


def test_open_cases_are_counted_aged_and_ranked() -> None:
    customer = told(
        ("case.opened", NOON - 5 * HOUR, {"case": "A", "category": "net", "severity": 3}),
        ("case.opened", NOON - 2 * HOUR, {"case": "B", "category": "net", "severity": 2}),
        ("case.opened", NOON - 9 * HOUR, {"case": "C", "category": "net", "severity": 1}),
        ("case.resolved", NOON - 8 * HOUR, {"case": "C"}),
        ("case.updated", NOON, {"case": "B", "status": "waiting_on_customer"}),
    )
    found = row(customer, NOON)
    assert (found["open_cases"], found["open_case_severity"], found["open_case_age_hours"]) == (2, 3, 5)
    assert (found["cases_waiting_on_customer"], found["recurrences_30d"]) == (1, 2)
    assert (found["cases_opened_30d"], found["severe_cases_opened_30d"], found["cases_resolved_30d"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("resolved_after", "missed"), [(None, 1), (2 * HOUR, 1), (HOUR, 0)], ids=["never", "too late", "in time"]
)
def test_a_promise_is_missed_when_its_time_passes_unkept(resolved_after: int | None, missed: int) -> None:
    eta = 1_893_456_000_000
    opened = {"case": "A", "category": "net", "severity": 4, "eta": "2030-01-01T00:00:00Z"}
    customer = told(("case.opened", eta - HOUR, opened))
    if resolved_after is not None:
        customer.tell("case.resolved", eta - HOUR + resolved_after, case="A")
    assert row(customer, eta)["promises_missed_30d"] == 0
    assert row(customer, eta + 2 * HOUR)["promises_missed_30d"] == missed
    assert row(customer, eta + 2 * HOUR)["etas_missed_open"] == (resolved_after is None)
    assert row(customer, eta + 30 * DAY)["promises_missed_30d"] == 0


def test_the_response_rate_is_answers_over_contacts_and_at_most_one() -> None:
    customer = told(("contact.made", NOON, {"domain": "sales", "kind": "upsell", "channel": "email", "contact": "k"}))
    assert row(customer, NOON)["response_rate_30d"] == 0
    for outcome in ("opened", "clicked"):
        customer.tell("contact.answered", NOON, contact="k", outcome=outcome)
    assert row(customer, NOON)["response_rate_30d"] == 1
    for n in range(3):
        customer.tell("contact.made", NOON + n, domain="sales", kind="upsell", channel="email")
    assert row(customer, NOON)["response_rate_30d"] == 0.5


def test_orders_count_for_life_and_their_value_by_window() -> None:
    customer = told(
        ("order.placed", NOON - 40 * DAY, {"amount": 10}),
        ("order.placed", NOON, {"amount": 0.5}),
        ("order.placed", NOON, {}),
    )
    found = row(customer, NOON)
    assert (found["orders_total"], found["orders_30d"], found["order_value_30d"]) == (3, 2, 0.5)
    assert found["order_value_mean"] == 3.5
    assert row(customer, NOON + 2 * DAY)["order_recency"] == 2


@pytest.mark.parametrize(("instrument", "score"), [("nps", 3), ("csat", 1.5), ("ces", 7)])
def test_the_last_score_counts_with_its_age_whatever_comes_late(instrument: str, score: float) -> None:
    customer = told(
        ("survey.answered", NOON, {"instrument": instrument, "score": score}),
        ("survey.answered", NOON - DAY, {"instrument": instrument, "score": 5}),
    )
    found = row(customer, NOON + 3 * DAY)
    assert (found[f"{instrument}_last"], found[f"{instrument}_age"]) == (score, 3)


def test_of_two_scores_of_one_moment_the_worse_counts() -> None:
    for order in permutations((2, 4)):
        customer = told(*(("survey.answered", NOON, {"instrument": "csat", "score": score}) for score in order))
        assert row(customer, NOON)["csat_last"] == 2


def test_interactions_count_by_who_handled_them_and_how_they_ended() -> None:
    customer = told(
        ("interaction.ended", NOON, {"interaction": "i", "channel": "ivr", "handled_by": "ivr", "resolved": False}),
        ("interaction.ended", NOON, {"interaction": "j", "channel": "phone", "direction": "outbound", "transfers": 2}),
    )
    found = row(customer, NOON)
    assert (found["contacts_in_1h"], found["in_ivr_30d"], found["in_phone_30d"]) == (1, 1, 0)
    assert (found["machine_handled_30d"], found["unresolved_interactions_30d"], found["transfers_30d"]) == (1, 1, 2)


def metric(name: str, **days: float) -> Metric:
    """One value on each day of the epoch, d<number>."""
    return Metric(name, 0, {int(day[1:]): [round(value * 10_000), 1] for day, value in days.items()})


@pytest.mark.parametrize(
    ("metrics", "ratio"),
    [
        ([], None),
        ([metric("m", d100=1)], None),
        ([metric("m", d80=1, d93=1)], None),  # none of the last 7 days
        ([metric("m", d80=3, d94=1)], 0.5),
        ([metric("m", d70=9, d94=1)], None),  # the other one is older than 30 days
        ([metric("m", d71=3, d94=1)], 0.5),
        ([metric("m", d80=3, d94=1), metric("n", d80=1, d94=1)], 0.5),  # the lowest
        ([metric("m", d80=-3, d94=1)], None),
        ([metric("m", d80=1, d101=9)], None),  # a day to come
    ],
)
def test_the_usage_ratio_is_the_mean_of_7_days_over_the_mean_of_30(metrics: list[Metric], ratio: float | None) -> None:
    assert usage_ratio(State(metrics=metrics), 100 * DAY + HOUR) == ratio


def test_usage_is_clipped_in_the_row() -> None:
    state = State(metrics=[metric("m", d80=-1, d94=1.1)])
    assert usage_ratio(state, 100 * DAY) == pytest.approx(22)
    assert features(state, 100 * DAY)[FEATURE_NAMES.index("usage_ratio_7d_30d")] == 10


def test_every_feature_says_its_unit_window_and_measure() -> None:
    assert all(feature.unit and feature.window and feature.measure for feature in REGISTRY)


@pytest.mark.parametrize("change", ["name", "unit", "window", "measure"])
def test_any_other_word_in_the_registry_gives_another_fingerprint(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = fingerprint()
    other = dataclasses.replace(REGISTRY[-1], **{change: "other"})
    monkeypatch.setattr("membrane.features.REGISTRY", (*REGISTRY[:-1], other))
    assert fingerprint() != ours
