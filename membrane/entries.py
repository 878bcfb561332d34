"""How many customers entered crisis in the last hour, and how many usually do in that hour of the week.

Counted by event time for each tenant: a function of the entries (where in the log, whose, when) and of the last tick,
so that the batches of the log do not show. What is usual is learned from whole hours alone: a mean for each hour of the
week in which a week weighs a quarter. An hour that stands out is learned as far as it is unremarkable, so that a storm
does not hide the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum
from typing import Final

from msgspec import Struct, field

from membrane.times import HOUR, MINUTE

TILE: Final = 5 * MINUTE
FLOOR: Final = 10
"""Fewer entries in an hour are no spike, whatever is usual."""
TIMES: Final = 3
"""So many times what is usual are one."""
MAX_TENANTS: Final = 32
OTHERS: Final = "(others)"
"""The name under which all tenants beyond MAX_TENANTS are counted."""
_WEEK: Final = 168
_WEIGHT: Final = 0.25
_KEPT_WEEKS: Final = 8
"""What was learned longer ago is forgotten: a tenth of it would be left."""

Entry = tuple[int, str, int]
"""The offset of the log record that let a customer enter crisis, its tenant, its clock then."""


class Entries(Struct, omit_defaults=True):
    """One tenant's entries into crisis: the `first` one's offset in the log, those of the latest `tiles` (numbers of 5
    minutes), those of the `hours` (numbers since the epoch) that are not over, and the means of hours since `since`
    that are: of those in which anybody entered, the latest of each hour of the week."""

    first: int
    since: int | None = None
    tiles: dict[int, int] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)
    means: dict[int, float] = field(default_factory=dict)

    def usual(self, hour: int) -> float:
        """How many entered in such an hour before; of one that was never seen, as many as in any hour. No hour behind
        it is over."""
        if self.since is None or hour <= self.since:
            return 0.0
        if hour - _WEEK < self.since:
            return (fsum(self.means.values()) - self.means.get(hour, 0.0)) / (hour - self.since)
        weeks = self._weeks_since(hour)
        return self.means[hour - weeks * _WEEK] * (1 - _WEIGHT) ** (weeks - 1) if weeks else 0.0

    def recent(self, t: int) -> int:
        """How many entered in the hour before t, exact at tile resolution."""
        return sum(count for tile, count in self.tiles.items() if (t - HOUR) // TILE < tile <= t // TILE)

    def expected(self, t: int) -> float:
        """How many usually do: by the parts that two hours of the clock have in it."""
        hour, passed = divmod(t, HOUR)
        return (passed * self.usual(hour) + (HOUR - passed) * self.usual(hour - 1)) / HOUR

    def add(self, tiles: Mapping[int, int], hours: Mapping[int, int]) -> None:
        """So many more entered in these tiles and hours, none of which is over."""
        for mine, more in ((self.tiles, tiles), (self.hours, hours)):
            for number, count in more.items():
                mine[number] = mine.get(number, 0) + count

    def pass_to(self, t: int) -> None:
        """Nobody enters before t any more."""
        now = t // HOUR
        for hour in sorted(hour for hour in self.hours if hour < now):
            self._forget(hour)
            self._learn(hour, self.hours.pop(hour))
        self._forget(now)
        self.tiles = {tile: count for tile, count in self.tiles.items() if tile > (t - 2 * HOUR) // TILE}

    def _forget(self, hour: int) -> None:
        """What no hour from `hour` on is compared with. When nothing is left, the first week begins anew."""
        self.means = {known: mean for known, mean in self.means.items() if known >= hour - _KEPT_WEEKS * _WEEK}
        if not self.means:
            self.since = min(self.hours, default=None)

    def _learn(self, hour: int, count: int) -> None:
        usual, weeks = self.usual(hour), self._weeks_since(hour)
        seen = min(float(count), FLOOR + TIMES * usual)
        of_old = self.since is not None and hour - _WEEK >= self.since
        self.means.pop(hour - weeks * _WEEK, None)
        self.means[hour] = round(usual + (seen - usual) * _WEIGHT if of_old else seen, 3)

    def _weeks_since(self, hour: int) -> int:
        """So many weeks before `hour` anybody entered in such an hour; 0: not in the weeks that are kept."""
        return next((weeks for weeks in range(1, _KEPT_WEEKS + 1) if hour - weeks * _WEEK in self.means), 0)


def carry(entries: dict[str, Entries], entered: Iterable[Entry], last_tick: int) -> None:
    """Takes in the entries of a stretch of the log up to where its last tick was `last_tick`. Whoever enters has passed
    the ticks before, so that nobody enters an hour that is over."""
    for offset, tenant, t in sorted(entered):
        one = entries.get(tenant) or entries.setdefault(tenant, Entries(offset))
        one.add({t // TILE: 1}, {t // HOUR: 1})
        _keep_the_first(entries)
    for one in entries.values():
        one.pass_to(last_tick)


def _keep_the_first(entries: dict[str, Entries]) -> None:
    """Counts a tenant too many among the others: the last by its first offset and its name, because the entries of one
    tick may come in any order. Nothing was learned of it yet."""
    named = [name for name in entries if name != OTHERS]
    if len(named) > MAX_TENANTS:
        gone = entries.pop(max(named, key=lambda name: (entries[name].first, name)))
        entries.setdefault(OTHERS, Entries(gone.first)).add(gone.tiles, gone.hours)


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
