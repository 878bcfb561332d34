"""The lapse rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.lapse import Lapse, read_lapse
from membrane.times import DAY, HOUR

ORDERS = ("cx.order.placed.v1",)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("no order.placed for 30d", Lapse(ORDERS, 30 * DAY)),
        ("  no cx.order.placed.v1   for 720h ", Lapse(ORDERS, 30 * DAY)),
        ("no order.placed or order.placed for 1h", Lapse(ORDERS, HOUR)),
        ("no usage.measured or order.placed for 366d", Lapse(("cx.usage.measured.v1", *ORDERS), 366 * DAY)),
    ],
)
def test_a_rule_names_signals_and_a_time(text, rule):
    assert read_lapse(text) == rule


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("order.placed for 30d", "must be such as 'no order.placed for 30d', came 'order.placed for 30d'"),
        ("no order.placed for a month", "must be such as"),
        ("no order.placed for 30m", "must be such as"),
        ("no order.placed, usage.measured for 30d", "must be such as"),
        ("", "must be such as"),
        ("no order.placed for 0d", "more than nothing and at most 366d, came '0d'"),
        ("no order.placed for 367d", "at most 366d, came '367d'"),
        ("no order.plcaed for 30d", "there is no signal 'order.plcaed'; did you mean 'order.placed'"),
        ("no order.placed or cx.order.sent.v1 for 30d", "there is no signal 'cx.order.sent.v1'"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_was_required(text, told):
    with pytest.raises(ValueError, match=".") as caught:
        read_lapse(text)
    assert told in str(caught.value)


@given(st.lists(st.integers(-50, 150)), st.integers(0, 50), st.integers(0, 150))
def test_a_customer_has_lapsed_when_nothing_came_in_the_time_after(times, cutoff, until):
    rule = Lapse(ORDERS, 60)
    seen = [t for t in times if t <= until]
    came = any(t in range(cutoff + 1, cutoff + 61) for t in seen)
    known = came or until >= cutoff + 60
    assert rule.lapsed(times, cutoff, until) is (not came if known else None)
