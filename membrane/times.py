"""Times: RFC 3339 text in, integer milliseconds since the epoch inside, RFC 3339 with `Z` out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_402_300_799_999
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,6})(ms|s|m|h)", re.ASCII)
_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR}


def parse_time(text: str) -> int:
    """RFC 3339 text as epoch milliseconds (finer digits are cut off; a leap second reads as the second's last ms).

    >>> parse_time("2026-11-23T10:00:00.5Z") - parse_time("2026-11-23T11:00:00+01:00")
    500

    Raises ValueError for anything else, a missing offset among them.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with an offset")
    date, minutes, seconds, fraction, offset = match.groups()
    leap = seconds == "60"
    if leap:
        seconds, fraction = "59", "999"
    zone = "+00:00" if offset in "Zz" else offset
    if zone[4:] > "59" or zone[1:3] > "23":
        raise ValueError("not a UTC offset")
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes}{seconds}{zone}").astimezone(UTC)
    except OverflowError:  # an offset that leads out of the years 1 to 9999
        raise ValueError("not a time of the years 1 to 9999 UTC") from None
    milliseconds = int((fraction or "0").ljust(3, "0")[:3])
    return (moment - _EPOCH) // timedelta(milliseconds=1) + milliseconds


def parse_date(text: str) -> int:
    """A date as epoch milliseconds of its first moment in UTC. ValueError for anything else.

    >>> parse_date("1970-01-02") == DAY
    True
    """
    if _DATE.fullmatch(text) is None:
        raise ValueError("not a date such as 2026-11-23")
    return parse_time(f"{text}T00:00:00Z")


def format_time(t: int) -> str:
    """Epoch milliseconds as RFC 3339 UTC with `Z`; milliseconds are shown only where there are some. What lies beyond
    the year 9999 (a promise for its last moment, missed a millisecond later) shows as its last millisecond.

    >>> format_time(0)
    '1970-01-01T00:00:00Z'
    >>> format_time(1)
    '1970-01-01T00:00:00.001Z'
    """
    day, rest = divmod(min(t, _LAST_MS), DAY)
    second, millisecond = divmod(rest, SECOND)
    text = f"{_date(day)}T{_MINUTES[second // 60]}:{_SECONDS[second % 60]}"
    return f"{text}.{millisecond:03d}Z" if millisecond else text + "Z"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


_SECONDS: Final = tuple(f"{number:02d}" for number in range(60))
_MINUTES: Final = tuple(f"{hour:02d}:{minute}" for hour in range(24) for minute in _SECONDS)


def format_optional(t: int | None) -> str | None:
    """`format_time`, where there is a time."""
    return None if t is None else format_time(t)


def parse_duration(text: str) -> int:
    """A duration like `72h`, `30m`, `10s` or `5ms` in milliseconds (no days: CEL has none). ValueError for others.

    >>> parse_duration("72h") == 3 * DAY
    True
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("not a duration such as 72h, 30m or 10s")
    return int(match[1]) * _UNITS[match[2]]


def format_duration(ms: int) -> str:
    """A duration in the words of conditions: hours, minutes, seconds and milliseconds, as far as there are any.

    >>> format_duration(3 * DAY + 12 * MINUTE), format_duration(0)
    ('72h12m', '0s')
    """
    parts = []
    for unit, size in (("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)):
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
