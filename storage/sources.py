"""When each source that a tenant names was last heard: kept in log.db by the very transactions that store its signals,
so that every process knows it, after a restart, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import apsw

from storage.log_meta import number, set_number
from storage.sqlite import select

NAMED: Final = "sources"
"""The number that changes whenever other sources are named; there is none, and no table, before any was."""
LISTENING: Final = "listening_ms"
"""The number that says since when (wall clock) the service has been taking signals."""

SOURCES: Final = """
CREATE TABLE IF NOT EXISTS sources(
    tenant TEXT, source TEXT, since_ms INTEGER NOT NULL, heard_ms INTEGER, PRIMARY KEY (tenant, source)
) WITHOUT ROWID;
"""
"""Made when the first source is named: log.db of before there were any has no such table."""
_ADD: Final = "INSERT OR IGNORE INTO sources VALUES(?, ?, ?, NULL)"
_HEARD: Final = "UPDATE sources SET heard_ms = max(coalesce(heard_ms, 0), ?) WHERE tenant = ? AND source = ?"
_REMOVE: Final = "DELETE FROM sources WHERE tenant = ? AND source = ?"

Named = tuple[str, str]
"""(tenant, source)"""


@dataclass(frozen=True, slots=True)
class Source:
    """A source that a tenant names since `since_ms`, and when it was last heard (None: not since then), by the wall
    clock of receipt."""

    tenant: str
    source: str
    since_ms: int
    heard_ms: int | None


def sources(connection: apsw.Connection) -> list[Source]:
    """Every source that is named."""
    if number(connection, NAMED) is None:
        return []
    return [Source(*row) for row in select(connection, "SELECT * FROM sources ORDER BY tenant, source")]


def name_sources(connection: apsw.Connection, tenants: Mapping[str, Any], now_ms: int) -> None:
    """From now on those are heeded that the tenants' settings (as JSON) name; what is known of them stays."""
    named = {(tenant, source) for tenant, settings in tenants.items() for source in settings.get("sources", ())}
    known = {(one.tenant, one.source) for one in sources(connection)}
    if named == known:
        return
    connection.execute(SOURCES)
    connection.executemany(_ADD, [(*one, now_ms) for one in sorted(named - known)])
    connection.executemany(_REMOVE, sorted(known - named))
    set_number(connection, NAMED, (number(connection, NAMED) or 0) + 1)


class Listener:
    """Notes which of the named sources were heard; every call belongs into the transaction that appends the signals."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._named: frozenset[Named] = frozenset()

    def hear(self, connection: apsw.Connection, heard: Iterable[Named], received_ms: int) -> None:
        """Signals of these sources were accepted at `received_ms`."""
        now = number(connection, NAMED)
        if now != self._number:
            self._number = now
            self._named = frozenset((one.tenant, one.source) for one in sources(connection))
        if self._named:
            connection.executemany(_HEARD, self._rows(heard, received_ms))

    def _rows(self, heard: Iterable[Named], received_ms: int) -> Iterator[tuple[int, str, str]]:
        return ((received_ms, *one) for one in sorted(self._named.intersection(heard)))
