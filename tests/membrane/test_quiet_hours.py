"""Quiet hours in the customer's zone."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.quiet_hours import QuietHours, clock_change, local
from membrane.scope import Scope
from membrane.times import DAY, HOUR, MINUTE, parse_time

MADRID = ZoneInfo("Europe/Madrid")
NIGHTS = QuietHours("nights", Scope(), time(21), time(9), {})
SIESTA = QuietHours("siesta", Scope(), time(14), time(16, 30), {})
SMALL_HOURS = QuietHours("small-hours", Scope(), time(22), time(2, 30), {})
ZONES = ["UTC", "Europe/Madrid", "America/Bogota", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
ZONES += ["America/Santiago", "Africa/Cairo", "America/Havana"]  # their clocks change at midnight


def ms(text):
    return parse_time(text)


@pytest.mark.parametrize(
    ("at", "quiet"),
    [
        ("2026-01-10T20:59:59.999+01:00", False),
        ("2026-01-10T21:00:00+01:00", True),
        ("2026-01-11T00:00:00+01:00", True),
        ("2026-01-11T08:59:59.999+01:00", True),
        ("2026-01-11T09:00:00+01:00", False),
    ],
)
def test_a_night_runs_over_midnight_its_start_in_its_end_out(at, quiet):
    assert NIGHTS.holds(MADRID, ms(at)) is quiet


def test_hours_within_a_day_hold_between_their_ends_only():
    day = "2026-01-10T{}+01:00"
    held = [SIESTA.holds(MADRID, ms(day.format(at))) for at in ("13:59:59", "14:00:00", "16:29:59", "16:30:00")]
    assert held == [False, True, True, False]


def test_the_zone_decides():
    at = ms("2026-01-10T20:30:00Z")
    assert NIGHTS.holds(MADRID, at)
    assert not NIGHTS.holds(ZoneInfo("America/Bogota"), at)


@pytest.mark.parametrize(
    ("quiet", "at", "change"),
    [
        (NIGHTS, "2026-01-10T22:00:00+01:00", "2026-01-11T09:00:00+01:00"),
        (NIGHTS, "2026-01-10T12:00:00+01:00", "2026-01-10T21:00:00+01:00"),
        # In spring 02:00 jumps to 03:00: the night is an hour shorter.
        (NIGHTS, "2026-03-28T22:00:00+01:00", "2026-03-29T09:00:00+02:00"),
        # 02:30 does not exist that night: quiet ends with the jump itself.
        (SMALL_HOURS, "2026-03-28T23:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        # The day before that is over before the clock jumps.
        (QuietHours("q", Scope(), time(0), time(3, 30), {}), "2026-03-28T03:30:00+01:00", "2026-03-29T00:00:00+01:00"),
        # In autumn 03:00 falls back to 02:00: quiet ends at the first 02:30, comes back, and ends at the second.
        (SMALL_HOURS, "2026-10-24T23:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        (SMALL_HOURS, "2026-10-25T02:45:00+02:00", "2026-10-25T02:00:00+01:00"),
        (SMALL_HOURS, "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_the_next_change_is_right_over_midnight_and_clock_changes(quiet, at, change):
    assert quiet.next_change(MADRID, ms(at)) == ms(change)


@given(
    st.sampled_from(ZONES),
    st.integers(ms("2026-01-01T00:00:00Z") // 60_000, ms("2026-12-31T00:00:00Z") // 60_000),
    st.integers(0, 47),
    st.integers(1, 47),
)
def test_nothing_changes_before_the_next_change_and_something_does_then(zone, minute, start, length):
    end = (start + length) % 48
    quiet = QuietHours("q", Scope(), time(start // 2, start % 2 * 30), time(end // 2, end % 2 * 30), {})
    where, t = ZoneInfo(zone), minute * MINUTE
    held = quiet.holds(where, t)
    change = quiet.next_change(where, t)
    assert change is not None
    assert quiet.holds(where, change) is not held
    between = range(t, change, 15 * MINUTE)
    assert all(quiet.holds(where, moment) is held for moment in (*between, change - 1))


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("America/Santiago", "2026-09-05T23:30:00-04:00"),  # at 24:00 it is 01:00
        ("Africa/Cairo", "2026-04-23T23:30:00+02:00"),
        ("America/Santiago", "2026-04-04T23:30:00-03:00"),  # at 24:00 it is 23:00 again
    ],
)
def test_quiet_begins_in_the_last_hour_before_a_clock_change_at_midnight(zone, begins):
    late = QuietHours("late", Scope(), time(23, 30), time(2, 30), {})
    assert late.next_change(ZoneInfo(zone), ms(begins) - 5 * HOUR) == ms(begins)


WEEKEND = QuietHours("weekend", Scope(), time(), time(), {}, frozenset({5, 6}), frozenset({date(2026, 1, 6)}))
FRIDAY_NIGHT = QuietHours("friday", Scope(), time(21), time(9), {}, frozenset({4}))


@pytest.mark.parametrize(
    ("quiet", "at", "held"),
    [
        (WEEKEND, "2026-01-09T23:59:59+01:00", False),
        (WEEKEND, "2026-01-10T00:00:00+01:00", True),
        (WEEKEND, "2026-01-11T23:59:59+01:00", True),
        (WEEKEND, "2026-01-12T00:00:00+01:00", False),
        (WEEKEND, "2026-01-06T12:00:00+01:00", True),
        (FRIDAY_NIGHT, "2026-01-09T08:00:00+01:00", False),
        (FRIDAY_NIGHT, "2026-01-09T22:00:00+01:00", True),
        (FRIDAY_NIGHT, "2026-01-10T08:59:00+01:00", True),
        (FRIDAY_NIGHT, "2026-01-10T22:00:00+01:00", False),
    ],
)
def test_weekdays_and_holidays_are_the_days_on_which_quiet_begins(quiet, at, held):
    assert quiet.holds(MADRID, ms(at)) is held


@pytest.mark.parametrize(
    ("quiet", "at", "change"),
    [
        (WEEKEND, "2026-01-12T12:00:00+01:00", "2026-01-17T00:00:00+01:00"),
        (WEEKEND, "2026-01-10T12:00:00+01:00", "2026-01-12T00:00:00+01:00"),
        (WEEKEND, "2026-01-05T12:00:00+01:00", "2026-01-06T00:00:00+01:00"),
        (FRIDAY_NIGHT, "2026-01-10T12:00:00+01:00", "2026-01-16T21:00:00+01:00"),
        (FRIDAY_NIGHT, "2026-01-09T22:00:00+01:00", "2026-01-10T09:00:00+01:00"),
    ],
)
def test_the_next_change_is_found_days_ahead(quiet, at, change):
    assert quiet.next_change(MADRID, ms(at)) == ms(change)


def test_what_is_always_quiet_never_changes():
    always = QuietHours("always", Scope(), time(), time(), {})
    assert always.holds(MADRID, ms("2026-01-10T12:00:00Z"))
    assert always.next_change(MADRID, ms("2026-01-10T12:00:00Z")) is None


@given(
    st.sampled_from(ZONES),
    st.integers(ms("2026-01-01T00:00:00Z") // 60_000, ms("2026-12-31T00:00:00Z") // 60_000),
    st.integers(0, 47),
    st.integers(0, 47),
    st.frozensets(st.integers(0, 6), max_size=4),
    st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=4),
)
def test_on_some_days_too_nothing_changes_before_the_next_change(zone, minute, start, length, days, holidays):
    end = (start + length) % 48
    quiet = QuietHours("q", Scope(), time(start // 2, start % 2 * 30), time(end // 2, end % 2 * 30), {}, days, holidays)
    where, t = ZoneInfo(zone), minute * MINUTE
    held = quiet.holds(where, t)
    change = quiet.next_change(where, t)
    assert change is None or quiet.holds(where, change) is not held
    between = range(t, min(change or t + 40 * DAY, t + 9 * DAY), 30 * MINUTE)
    assert all(quiet.holds(where, moment) is held for moment in between)


def test_a_clock_change_is_found_to_the_millisecond():
    start = ms("2026-03-29T00:00:00Z")
    assert clock_change(MADRID, start - DAY, start + DAY) == ms("2026-03-29T01:00:00Z")
    assert clock_change(MADRID, start + DAY, start + 2 * DAY) is None
    assert clock_change(MADRID, start, start + HOUR) == start + HOUR


def test_local_time_keeps_the_milliseconds():
    assert local(ZoneInfo("UTC"), 1_001) == datetime(1970, 1, 1, 0, 0, 1, 1000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "base", "included"),
    [
        (QuietHours("a", Scope(), time(20), time(10), {}), NIGHTS, True),
        (QuietHours("a", Scope(), time(22), time(10), {}), NIGHTS, False),
        (QuietHours("a", Scope(), time(), time(), {}), WEEKEND, True),
        (QuietHours("a", Scope(), time(), time(), {}, frozenset({4, 5, 6}), WEEKEND.holidays), WEEKEND, True),
        (QuietHours("a", Scope(), time(), time(), {}, frozenset({5, 6})), WEEKEND, False),
        (QuietHours("a", Scope(), time(20), time(9), {}, frozenset({4, 5})), FRIDAY_NIGHT, True),
        (QuietHours("a", Scope(), time(), time(), {}, frozenset({4})), FRIDAY_NIGHT, False),
        (FRIDAY_NIGHT, NIGHTS, False),
    ],
)
def test_what_includes_others_is_quiet_whenever_they_are(own, base, included):
    assert own.includes(base) is included
