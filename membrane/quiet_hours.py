"""Quiet hours: a stretch of the local day in which nobody is disturbed; right over midnight and clock changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from membrane.scope import Scope
from membrane.times import HOUR

_A_DAY: Final = timedelta(days=1)
_MOST_DAYS: Final = 41


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Quiet from `start` to `end` of local days (over midnight when start > end, the whole day when they are equal);
    start is in, end is out. On the weekdays `days` (0 is Monday) and on the `holidays`; on every day if neither is
    given."""

    id: str
    scope: Scope
    start: time
    end: time
    text: dict[str, str] = field(hash=False)
    days: frozenset[int] = frozenset()
    holidays: frozenset[date] = frozenset()
    locked: bool = False

    def includes(self, other: QuietHours) -> bool:
        """Whether it is quiet whenever it is by the other, as far as days and times of the day tell."""
        minutes = [time(*divmod(minute, 60)) for minute in range(24 * 60)]
        if not (self.days or self.holidays):
            return all(self._is_quiet_daily(at) for at in minutes if other._is_quiet_daily(at))
        some_days = bool(other.days or other.holidays)
        begun = all(self._begun(at) for at in minutes if other._begun(at))
        lasts = all(self._lasts(at) for at in minutes if other._lasts(at))
        return some_days and other.days <= self.days and other.holidays <= self.holidays and begun and lasts

    def _is_quiet_daily(self, now: time) -> bool:
        return self._begun(now) or self._lasts(now)

    def holds(self, zone: ZoneInfo, t: int) -> bool:
        """Whether it is quiet at `t` (epoch ms) in that zone."""
        now = local(zone, t)
        if not (self.days or self.holidays):
            return self._begun(now.time()) or self._lasts(now.time())
        today = now.date()
        return (self._is_on(today) and self._begun(now.time())) or (
            self._is_on(today - _A_DAY) and self._lasts(now.time())
        )

    def next_change(self, zone: ZoneInfo, t: int) -> int | None:
        """The first moment after `t`, within 40 days, at which quiet begins or ends."""
        quiet, today = self.holds(zone, t), local(zone, t).date()
        for ahead in range(_MOST_DAYS):
            for moment, then in _states(self, zone, today + ahead * _A_DAY):
                if moment > t and then != quiet:
                    return moment
        return None

    def _is_on(self, day: date) -> bool:
        return not (self.days or self.holidays) or day.weekday() in self.days or day in self.holidays

    def _begun(self, now: time) -> bool:
        """Whether it is quiet of the quiet hours that begin on the day itself."""
        return self.start <= now and (now < self.end or self.end <= self.start)

    def _lasts(self, now: time) -> bool:
        """Whether it is quiet of those that began the day before."""
        return now < self.end < self.start


@lru_cache(maxsize=4096)  # a day of a zone is asked for again and again
def _states(quiet: QuietHours, zone: ZoneInfo, day: date) -> tuple[tuple[int, bool], ...]:
    """Whether it is quiet from each moment of a local day on at which that may change: its ends and midnight, in both
    folds of a repeated hour, and a clock change itself. A local time that a change at midnight leaves out is one of
    another day in one of its folds."""
    midnight, following = min(_moments(zone, day, time())), min(_moments(zone, day + _A_DAY, time()))
    moments = {moment for edge in (time(), quiet.start, quiet.end) for moment in _moments(zone, day, edge)}
    change = clock_change(zone, midnight - HOUR, following)
    if change is not None:
        moments.add(change)
    return tuple((one, quiet.holds(zone, one)) for one in sorted(moments) if local(zone, one).date() == day)


def _moments(zone: ZoneInfo, day: date, at: time) -> tuple[int, int]:
    """A local time as epoch ms, in both folds."""
    local_time = datetime.combine(day, at, zone)
    return round(local_time.timestamp() * 1000), round(local_time.replace(fold=1).timestamp() * 1000)


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
