"""Quiet hours: a stretch of the local day in which nobody is disturbed; right over midnight and clock changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from membrane.scope import Scope
from membrane.times import DAY, HOUR

_AHEAD_MS: Final = 2 * DAY + 4 * HOUR  # two local days and the greatest clock change


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Quiet from `start` to `end` of each local day (over midnight when start > end); start is in, end is out."""

    id: str
    scope: Scope
    start: time
    end: time
    text: dict[str, str]
    locked: bool = False

    def includes(self, other: QuietHours) -> bool:
        """Whether it is quiet at each minute of the day at which it is by the other."""
        minutes = (time(*divmod(minute, 60)) for minute in range(24 * 60))
        return all(_quiet(self.start, self.end, at) for at in minutes if _quiet(other.start, other.end, at))

    def holds(self, zone: ZoneInfo, t: int) -> bool:
        """Whether it is quiet at `t` (epoch ms) in that zone."""
        return _quiet(self.start, self.end, local(zone, t).time())

    def next_change(self, zone: ZoneInfo, t: int) -> int | None:
        """The first moment after `t` at which quiet begins or ends."""
        quiet = self.holds(zone, t)
        changes = _states(self.start, self.end, zone, local(zone, t).date())
        return next((moment for moment, then in changes if moment > t and then != quiet), None)


def _quiet(start: time, end: time, now: time) -> bool:
    if start < end:
        return start <= now < end
    return now >= start or now < end


@lru_cache(maxsize=4096)  # a day of a zone is asked for again and again
def _states(start: time, end: time, zone: ZoneInfo, day: date) -> tuple[tuple[int, bool], ...]:
    """Whether it is quiet from each moment on at which that may change: both ends on that day and the next, in both
    folds of a repeated hour, and a clock change itself."""
    edges = [
        datetime.combine(on, edge, zone).replace(fold=fold).timestamp()
        for on in (day, day + timedelta(days=1))
        for edge in (start, end)
        for fold in (0, 1)
    ]
    moments = {round(seconds * 1000) for seconds in edges}
    midnight = round(datetime.combine(day, time(), zone).timestamp() * 1000)
    change = clock_change(zone, midnight - HOUR, midnight + _AHEAD_MS)
    if change is not None:
        moments.add(change)
    return tuple((moment, _quiet(start, end, local(zone, moment).time())) for moment in sorted(moments))


@lru_cache(maxsize=1024)  # one decision asks several times
def local(zone: ZoneInfo, t: int) -> datetime:
    """The local time of an epoch ms."""
    return datetime.fromtimestamp(t // 1000, UTC).replace(microsecond=t % 1000 * 1000).astimezone(zone)


def clock_change(zone: ZoneInfo, start: int, end: int) -> int | None:
    """The moment in (start, end] at which the zone's offset changes, if it differs between the two."""
    before = local(zone, start).utcoffset()
    if local(zone, end).utcoffset() == before:
        return None
    low, high = start, end
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if local(zone, middle).utcoffset() == before else (low, middle)
    return high
