"""The breaker: of what a principle opens too much within an hour all is held, so that who carries it out waits for a
person.

It changes no obligation: what is owed is owed. It is a function of the obligations that there are and of the principles
in force, whatever the order in which they were opened, so a file with a greater `breaker` lets go what it held.
"""

from __future__ import annotations

from collections import Counter

from membrane.principles import BREAKER, PrincipleSet
from serving.principle_sets import PrincipleSets
from storage.log_reader import LogReader
from storage.record_reader import RecordReader


class Breakers:
    """Which obligations of a tenant are held; each principle's hours are counted once."""

    def __init__(self, records: RecordReader, tenant: str, principles: PrincipleSet | None) -> None:
        self._records = records
        self._tenant = tenant
        self._principles = principles
        self._known: dict[tuple[str, str], bool] = {}

    def holds(self, principle: str, opened_at: str) -> bool:
        """Whether the principle opened too much in the hour (UTC) of that RFC 3339 time."""
        key = principle, opened_at[:13]
        if key not in self._known:
            self._known[key] = self._records.opened(self._tenant, *key) > _limit(self._principles, principle)
        return self._known[key]


def held_by_principle(records: RecordReader, log: LogReader, sets: PrincipleSets) -> Counter[str]:
    """How many of what is owed are held, over all tenants; 0 for a principle that opened some and holds none."""
    names = records.opening_principles()
    in_force = {tenant: sets.latest(log, tenant) for tenant in {tenant for tenant, _ in names}}
    limits = {(tenant, principle): _limit(in_force[tenant], principle) for tenant, principle in names}
    found = Counter({principle: 0 for _, principle in sorted(names)})
    for one in records.openings_over(limits):
        found[one.principle] += one.owed
    return found


def _limit(principles: PrincipleSet | None, principle: str) -> int:
    return principles.breaker(principle) if principles is not None else BREAKER
