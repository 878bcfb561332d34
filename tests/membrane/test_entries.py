"""Entries into crisis: how many of late, and how many are usual in that hour of the week."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.entries import MAX_TENANTS, OTHERS, TILE, Entries, latest, note, told
from membrane.times import DAY, HOUR, MINUTE
from tests.strategies import START

WEEK = 7 * DAY
HOUR_ZERO = START // HOUR * HOUR


def passed(counts, start=HOUR_ZERO):
    """The entries of a tenant of whom so many entered in each hour from `start` on, all of it over."""
    entries = {"t": Entries(start // HOUR, start // HOUR)}
    for number, count in enumerate(counts):
        for _ in range(count):
            note(entries, "t", start + number * HOUR)
        entries["t"].pass_to(start + (number + 1) * HOUR)
    return entries["t"]


def test_the_last_hour_slides_by_tiles():
    entries = {}
    for minutes in (0, 5, 30, 62):
        note(entries, "t", HOUR_ZERO + minutes * MINUTE)
    found = [told([entries], HOUR_ZERO + minutes * MINUTE)["t"][0] for minutes in (0, 59, 60, 64, 65, 90, 119, 120)]
    assert found == [1, 3, 3, 3, 2, 1, 1, 0]
    assert latest(entries) == HOUR_ZERO + 65 * MINUTE - 1


def test_an_hour_of_the_week_is_expected_to_be_as_it_was_and_nothing_else_is():
    busy = [8 if hour % 24 == 9 else 0 for hour in range(168)]
    one = passed(busy)
    nine = HOUR_ZERO + WEEK + 10 * HOUR - 1
    assert one.expected(nine) == pytest.approx(8, abs=0.01)
    assert one.expected(nine + 12 * HOUR) == pytest.approx(0, abs=0.01)
    assert one.expected(nine - HOUR // 2) == pytest.approx(4, abs=0.01)


def test_an_hour_never_seen_is_expected_to_be_like_any_other():
    assert passed([3] * 10).expected(HOUR_ZERO + 11 * HOUR) == pytest.approx(3)


def test_a_week_weighs_a_quarter_and_a_storm_no_more_than_what_alarms():
    steady = passed([4] * 168)
    at = HOUR_ZERO + WEEK
    stormy = passed([4] * 168 + [500])
    assert steady.usual(at // HOUR) == 4
    assert stormy.usual(at // HOUR + 168) == 4 + (10 + 3 * 4 - 4) / 4
    calm = passed([4] * 168 + [0])
    assert calm.usual(at // HOUR + 168) == 3


def test_what_was_usual_is_forgotten_after_eight_weeks_of_which_nothing_is_known():
    one = passed([4] * 200)
    one.pass_to(HOUR_ZERO + 10 * WEEK)
    assert (one.mean, one.means, one.since) == (0.0, {}, (HOUR_ZERO + 10 * WEEK) // HOUR)


@given(
    times=st.lists(st.integers(0, 30 * HOUR), max_size=40),
    cuts=st.lists(st.integers(0, 30 * HOUR), max_size=6),
    seed=st.randoms(),
)
def test_neither_the_order_nor_the_blocks_show(times, cuts, seed):
    """As long as nobody enters in an hour that is over, which is what ticks see to."""
    at_once, in_blocks = ({"t": Entries(HOUR_ZERO // HOUR, HOUR_ZERO // HOUR)} for _ in range(2))
    for t in seed.sample(times, len(times)):
        note(at_once, "t", HOUR_ZERO + t)
    before = 0
    for cut in [*sorted(cuts), 31 * HOUR]:
        for t in times:
            if before <= t < cut:
                note(in_blocks, "t", HOUR_ZERO + t)
        in_blocks["t"].pass_to(HOUR_ZERO + cut)
        before = max(before, cut)
    at_once["t"].pass_to(HOUR_ZERO + 31 * HOUR)
    assert in_blocks == at_once


def test_what_is_kept_is_bounded_over_any_time():
    one = passed([hour % 5 for hour in range(3000)])
    assert len(one.means) <= 168
    assert len(one.tiles) <= 2 * HOUR // TILE
    assert not one.hours


def test_tenants_beyond_the_most_are_counted_together():
    entries = {}
    for number in range(MAX_TENANTS + 5):
        note(entries, f"t-{number}", HOUR_ZERO)
    assert len(entries) == MAX_TENANTS + 1
    assert told([entries], HOUR_ZERO)[OTHERS][0] == 5


def test_partitions_are_added_up():
    first, second = {}, {}
    note(first, "t", HOUR_ZERO)
    note(second, "t", HOUR_ZERO)
    note(second, "u", HOUR_ZERO)
    assert {tenant: recent for tenant, (recent, _) in told([first, second], HOUR_ZERO).items()} == {"t": 2, "u": 1}
