"""Quiet hours: a stretch of the local day in which nobody is disturbed; right over midnight and clock changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from membrane.scope import Scope
from membrane.times import DAY, HOUR

_AHEAD_MS: Final = DAY + 4 * HOUR  # a local day and the greatest clock change


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Quiet from `start` to `end` of each local day (over midnight when start > end); start is in, end is out."""

    id: str
    scope: Scope
    start: time
    end: time
    text: dict[str, str]

    def holds(self, zone: ZoneInfo, t: int) -> bool:
        """Whether it is quiet at `t` (epoch ms) in that zone."""
        now = local(zone, t).time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def next_change(self, zone: ZoneInfo, t: int) -> int | None:
        """The first moment after `t` at which quiet begins or ends."""
        quiet = self.holds(zone, t)
        moments = sorted({moment for moment in self._edges(zone, t) if moment > t})
        return next((moment for moment in moments if self.holds(zone, moment) != quiet), None)

    def _edges(self, zone: ZoneInfo, t: int) -> Iterator[int]:
        """Both ends today and tomorrow, in both folds of a repeated hour, and a clock change itself."""
        change = clock_change(zone, t, t + _AHEAD_MS)
        if change is not None:
            yield change
        today = local(zone, t).date()
        for day in (today, today + timedelta(days=1)):
            for edge in (self.start, self.end):
                for fold in (0, 1):
                    yield round(datetime.combine(day, edge, zone).replace(fold=fold).timestamp() * 1000)


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
