"""When time alone changes a feature."""

from __future__ import annotations

import pytest

from membrane.feature_changes import next_feature_change
from membrane.features import FEATURE_NAMES
from membrane.record import State
from membrane.times import DAY, HOUR, format_time
from tests.membrane.customer import Customer
from tests.strategies import START

DAY_START = START // DAY * DAY


def busy() -> State:
    """One message with a tone, an order, an answered contact, a promise and a measurement, all at START."""
    customer = Customer()
    customer.tell("message.received", START, channel="email", sentiment=0.2)
    customer.tell("order.placed", START, amount=10)
    customer.tell("contact.made", START, domain="sales", kind="upsell", channel="sms", contact="k")
    customer.tell("contact.answered", START, contact="k", outcome="clicked")
    customer.tell("case.opened", START, case="A", category="net", severity=4, eta=format_time(START + 2 * DAY))
    customer.tell("usage.measured", START, metric="m", value=1)
    return customer.state


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("contacts_in_24h", START // HOUR * HOUR + 24 * HOUR),
        ("in_email_30d", DAY_START + 30 * DAY),
        ("in_sms_30d", None),
        ("tone_mean_24h", START // HOUR * HOUR + 24 * HOUR),
        ("tone_trend", DAY_START + 7 * DAY),
        ("toned_messages_30d", DAY_START + 30 * DAY),
        ("response_rate_30d", DAY_START + 30 * DAY),
        ("order_value_30d", DAY_START + 30 * DAY),
        ("usage_ratio_7d_30d", DAY_START + 7 * DAY),
        ("promises_missed_30d", START + 2 * DAY + 1),
        ("etas_missed_open", START + 2 * DAY + 1),
        ("open_case_age_hours", (START // HOUR + 1) * HOUR),
        ("silence", (START // HOUR + 1) * HOUR),
        ("nps_age", None),
        ("open_cases", None),
        ("orders_total", None),
        ("recurrences_30d", None),
    ],
)
def test_each_kind_of_feature_names_its_next_change(name: str, after: int | None) -> None:
    assert next_feature_change(busy(), START, name) == after


def test_a_missed_promise_is_forgotten_after_30_days() -> None:
    assert next_feature_change(busy(), START + 3 * DAY, "promises_missed_30d") == START + 32 * DAY


def test_of_a_customer_of_whom_nothing_is_known_no_feature_changes() -> None:
    assert [name for name in FEATURE_NAMES if next_feature_change(State(), START, name) is not None] == []
