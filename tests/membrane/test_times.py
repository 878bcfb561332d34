"""RFC 3339 in, integer milliseconds inside, RFC 3339 with Z out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.times import DAY, HOUR, format_duration, format_optional, format_time, parse_duration, parse_time

LAST = 253_402_300_799_999


@given(st.integers(-62_135_596_800_000, LAST))
def test_what_is_written_is_read_back(t: int) -> None:
    assert parse_time(format_time(t)) == t


@given(st.datetimes(), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_offset_only_shifts(moment: object, minutes: int) -> None:
    text = moment.isoformat(timespec="milliseconds")  # type: ignore[attr-defined]
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    try:
        shifted = parse_time(text + offset)
    except ValueError:  # the offset leads out of the years 1 to 9999
        return
    assert shifted == parse_time(text + "Z") - minutes * 60_000


@pytest.mark.parametrize(
    ("text", "t"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T00:00:00.1Z", 100),
        ("1970-01-01T00:00:00.001999999Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        ("2016-12-31T23:59:60.5Z", 1_483_228_799_999),
        ("2016-12-31T18:59:60-05:00", 1_483_228_799_999),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("9999-12-31T23:59:59.999Z", LAST),
    ],
)
def test_times_are_epoch_milliseconds(text: str, t: int) -> None:
    assert parse_time(text) == t


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-23", "2026-11-23T10:00:00", "2026-11-23T10:00Z", "2026-11-23T10:00:00+0100",
        "2026-11-23T10:00:00+01", "2026-11-23T10:00:00+24:00", "2026-11-23T10:00:00+01:60", "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00.1234567890Z", "2026-11-23T10:00:61Z", "2026-11-23T10:60:00Z", "2026-11-23T25:00:00Z",
        "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z", "+2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z ", " 2026-11-23T10:00:00Z",
        "2026-11-23T10:00:00Z\n", "２０２６-11-23T10:00:00Z", "2026-W48-1T10:00:00Z", "1795428000",
        "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a|must be in|out of range"):
        parse_time(text)


def test_a_moment_past_the_calendar_shows_as_its_last_millisecond() -> None:
    assert format_time(LAST + 1) == format_time(LAST) == "9999-12-31T23:59:59.999Z"


def test_milliseconds_are_shown_only_where_there_are_some() -> None:
    assert (format_time(1000), format_time(1001)) == ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01.001Z")
    assert (format_optional(None), format_optional(0)) == (None, "1970-01-01T00:00:00Z")


@pytest.mark.parametrize(("text", "ms"), [("72h", 3 * DAY), ("30m", HOUR // 2), ("10s", 10_000), ("5ms", 5), ("0h", 0)])
def test_durations_have_one_unit(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "3d", "72", "h", "1.5h", "-1h", "1h30m", "1234567h", " 1h", "1h\n"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_a_shown_duration_adds_up(ms: int) -> None:
    text, total = format_duration(ms), 0
    for unit in ("ms", "s", "m", "h"):  # from the right, the longer unit first
        head, found, _ = text.rpartition(unit)
        if found and text.endswith(unit) and head[-1:].isdigit():
            digits = len(head) - len(head.rstrip("0123456789"))
            total += parse_duration(text[len(head) - digits :])
            text = text[: len(head) - digits]
    assert (text, total) == ("", ms)
