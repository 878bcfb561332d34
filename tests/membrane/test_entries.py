"""Entries into crisis: how many of late, and how many are usual in that hour of the week."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.entries import MAX_TENANTS, OTHERS, TILE, carry, latest, told
from membrane.times import DAY, HOUR, MINUTE
from tests.strategies import START

WEEK = 7 * DAY
HOUR_ZERO = START // HOUR * HOUR


def entered(*times, tenant="t"):
    """The entries of customers of a tenant at these times, and no tick yet."""
    entries = {}
    carry(entries, [(number, tenant, t) for number, t in enumerate(times)], 0)
    return entries


def passed(counts):
    """A tenant of whom so many entered in each hour from HOUR_ZERO on, all of it over."""
    hours = [HOUR_ZERO + number * HOUR for number, count in enumerate(counts) for _ in range(count)]
    entries = entered(*hours)
    carry(entries, [], HOUR_ZERO + len(counts) * HOUR)
    return entries["t"]


def test_the_last_hour_slides_by_tiles():
    entries = entered(*(HOUR_ZERO + minutes * MINUTE for minutes in (0, 5, 30, 62)))
    found = [told([entries], HOUR_ZERO + minutes * MINUTE)["t"][0] for minutes in (0, 59, 60, 64, 65, 90, 119, 120)]
    assert found == [1, 3, 3, 3, 2, 1, 1, 0]
    assert latest(entries) == HOUR_ZERO + 65 * MINUTE - 1


def test_an_hour_of_the_week_is_expected_to_be_as_it_was_and_nothing_else_is():
    one = passed([8 if hour % 24 == 9 else 0 for hour in range(192)])
    nine = HOUR_ZERO + 8 * DAY + 10 * HOUR - 1
    assert one.expected(nine) == pytest.approx(8, abs=0.01)
    assert one.expected(nine + 12 * HOUR) == pytest.approx(0, abs=0.01)
    assert one.expected(nine - HOUR // 2) == pytest.approx(4, abs=0.01)


def test_an_hour_never_seen_is_expected_to_be_like_any_other():
    assert passed([3] * 10).expected(HOUR_ZERO + 11 * HOUR) == pytest.approx(3)
    assert passed([2, 8]).usual(HOUR_ZERO // HOUR + 1) == 2


def test_a_week_weighs_a_quarter_and_a_storm_no_more_than_what_alarms():
    next_week = HOUR_ZERO // HOUR + 2 * 168
    assert passed([4] * 168).usual(next_week - 168) == 4
    assert passed([4] * 168 + [500]).usual(next_week) == 4 + (10 + 3 * 4 - 4) / 4
    assert passed([4] * 168 + [0]).usual(next_week) == 3


def test_what_was_usual_is_forgotten_after_eight_weeks_without_an_entry():
    entries = {"t": passed([4] * 200)}
    last = HOUR_ZERO + 199 * HOUR
    carry(entries, [], last + 8 * WEEK)
    assert entries["t"].usual((last + 8 * WEEK) // HOUR) == pytest.approx(4 * 0.75**7, abs=0.01)
    carry(entries, [], last + 8 * WEEK + HOUR)
    assert (entries["t"].means, entries["t"].since) == ({}, None)


NAMES = [f"t-{number}" for number in range(5)]


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(NAMES), st.sampled_from([0, MINUTE, 50 * MINUTE, 3 * HOUR, WEEK, 9 * WEEK])),
            st.sampled_from([MINUTE, 20 * MINUTE, HOUR, DAY, WEEK - HOUR, WEEK, 8 * WEEK, 9 * WEEK]),
        ),
        max_size=60,
    ),
    data=st.data(),
)
def test_neither_the_cut_of_the_log_nor_the_order_within_a_stretch_shows(steps, data):
    """A step of the log is a tick so much later than the last one, or an entry of a tenant so long behind it."""
    at_once, in_stretches = {}, {}
    whole, stretch, clock = [], [], HOUR_ZERO
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("membrane.entries.MAX_TENANTS", 3)
        for offset, step in enumerate(steps):
            if isinstance(step, int):
                clock += step
            else:
                whole.append((offset, step[0], clock + step[1]))
                stretch.append(whole[-1])
            if data.draw(st.booleans()):
                carry(in_stretches, data.draw(st.permutations(stretch)), clock)
                stretch = []
        carry(in_stretches, stretch, clock)
        carry(at_once, whole, clock)
    assert in_stretches == at_once


@given(names=st.permutations(NAMES), cuts=st.sets(st.integers(1, 4)))
def test_the_entries_of_one_tick_may_come_in_any_order_and_number(names, cuts):
    """As they do where a tick is due to more customers than one commit holds."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("membrane.entries.MAX_TENANTS", 3)
        for first, end in pairwise([0, *sorted(cuts), len(names)]):
            carry(found, [(7, name, HOUR_ZERO) for name in names[first:end]], HOUR_ZERO)
        carry(found, [(8, "t-4", HOUR_ZERO)], HOUR_ZERO + HOUR)
    assert {name: recent for name, (recent, _) in told([found], HOUR_ZERO).items()} == {
        "t-0": 1, "t-1": 1, "t-2": 1, OTHERS: 3
    }  # fmt: skip


def test_what_is_kept_is_bounded_over_any_time():
    one = passed([hour % 5 for hour in range(3000)])
    assert len(one.means) <= 168
    assert len(one.tiles) <= 2 * HOUR // TILE
    assert not one.hours


def test_tenants_beyond_the_most_are_counted_together():
    entries = {}
    carry(entries, [(number, f"t-{number}", HOUR_ZERO) for number in range(MAX_TENANTS + 5)], 0)
    assert len(entries) == MAX_TENANTS + 1
    assert told([entries], HOUR_ZERO)[OTHERS][0] == 5


def test_partitions_are_added_up():
    first = entered(HOUR_ZERO)
    second = entered(HOUR_ZERO) | entered(HOUR_ZERO, tenant="u")
    assert {tenant: recent for tenant, (recent, _) in told([first, second], HOUR_ZERO).items()} == {"t": 2, "u": 1}
