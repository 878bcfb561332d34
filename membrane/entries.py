"""How many customers entered crisis in the last hour, and how many usually do in that hour of the week.

Counted by event time for each tenant, in integers by tile and hour, so that the batches of the log do not show. What is
usual is learned from whole hours alone: a mean for each hour of the week in which a week weighs a quarter. An hour that
stands out is learned as far as it is unremarkable, so that a storm does not hide the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from membrane.times import HOUR, MINUTE

TILE: Final = 5 * MINUTE
FLOOR: Final = 10
"""Fewer entries in an hour are no spike, whatever is usual."""
TIMES: Final = 3
"""So many times what is usual are one."""
MAX_TENANTS: Final = 64
OTHERS: Final = "(others)"
"""The name under which all tenants beyond MAX_TENANTS are counted."""
_WEEK: Final = 168
_WEIGHT: Final = 0.25
_FORGOTTEN_HOURS: Final = 8 * _WEEK


class Entries(Struct, omit_defaults=True):
    """One tenant's entries into crisis: those of the latest `tiles` (numbers of 5 minutes), those of the `hours`
    (numbers since the epoch) from `hour` on, which is the first that is not over, and the means of the hours before it:
    by hour of the week, and over all since the hour `since`."""

    since: int
    hour: int
    tiles: dict[int, int] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)
    means: dict[int, float] = field(default_factory=dict)
    mean: float = 0.0

    def usual(self, hour: int) -> float:
        """How many enter in such an hour; of one that was never seen, as many as in any hour."""
        return self.means.get(hour % _WEEK, 0.0) if hour - _WEEK >= self.since else self.mean

    def recent(self, t: int) -> int:
        """How many entered in the hour before t, exact at tile resolution."""
        return sum(count for tile, count in self.tiles.items() if (t - HOUR) // TILE < tile <= t // TILE)

    def expected(self, t: int) -> float:
        """How many usually do: by the parts that two hours of the clock have in it."""
        hour, passed = divmod(t, HOUR)
        return (passed * self.usual(hour) + (HOUR - passed) * self.usual(hour - 1)) / HOUR

    def pass_to(self, t: int) -> None:
        """Nobody enters before t any more."""
        now = t // HOUR
        if now - self.hour > _FORGOTTEN_HOURS:
            self.means, self.mean, self.hours = {}, 0.0, {}
            self.since = self.hour = now
        for hour in range(self.hour, now):
            self._learn(hour, self.hours.pop(hour, 0))
        self.hour = max(self.hour, now)
        self.tiles = {tile: count for tile, count in self.tiles.items() if tile > (t - 2 * HOUR) // TILE}

    def _learn(self, hour: int, count: int) -> None:
        usual, of_week = self.usual(hour), hour % _WEEK
        seen = min(float(count), FLOOR + TIMES * usual)
        weight = _WEIGHT if hour - _WEEK >= self.since else 1.0
        known = self.means.pop(of_week, 0.0)
        mean = round(known + (seen - known) * weight, 3)
        if mean:
            self.means[of_week] = mean
        self.mean = round(self.mean + (seen - self.mean) / min(hour - self.since + 1, _WEEK), 6)


def note(entries: dict[str, Entries], tenant: str, t: int) -> None:
    """A customer of a tenant entered crisis at t. What enters an hour that is over counts as recent, and no more."""
    name = tenant if tenant in entries or len(entries) < MAX_TENANTS else OTHERS
    hour, tile = t // HOUR, t // TILE
    one = entries.setdefault(name, Entries(hour, hour))
    one.tiles[tile] = one.tiles.get(tile, 0) + 1
    if hour >= one.hour:
        one.hours[hour] = one.hours.get(hour, 0) + 1


def told(partitions: Iterable[Mapping[str, Entries]], t: int) -> dict[str, tuple[int, float]]:
    """Over all partitions: tenant -> how many entered in the hour before t, and how many usually do."""
    found: dict[str, tuple[int, float]] = {}
    for entries in partitions:
        for tenant, one in entries.items():
            recent, expected = found.get(tenant, (0, 0.0))
            found[tenant] = recent + one.recent(t), expected + one.expected(t)
    return found


def latest(entries: Mapping[str, Entries]) -> int:
    """The end of the latest tile in which anybody entered; 0 if nobody ever did."""
    return max(((tile + 1) * TILE - 1 for one in entries.values() for tile in one.tiles), default=0)
