"""When each source that a tenant names was last heard, and whether it ever sent a case or message: kept in log.db by
the very transactions that store its signals, so that every process knows it, after a restart, too."""

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
SERVING: Final = "service_sources"
"""The number of the sources that ever sent a case or message; there is none, and no table, before one did."""
SERVICE: Final = """
CREATE TABLE IF NOT EXISTS service_sources(tenant TEXT, source TEXT, PRIMARY KEY (tenant, source)) WITHOUT ROWID;
"""
_SERVED: Final = "SELECT tenant, source FROM service_sources"
_SERVES: Final = "INSERT INTO service_sources VALUES(?, ?)"
_SERVES_NO_MORE: Final = "DELETE FROM service_sources WHERE tenant = ? AND source = ?"
_ADD: Final = "INSERT OR IGNORE INTO sources VALUES(?, ?, ?, NULL)"
_HEARD: Final = "UPDATE sources SET heard_ms = max(coalesce(heard_ms, 0), ?) WHERE tenant = ? AND source = ?"
_REMOVE: Final = "DELETE FROM sources WHERE tenant = ? AND source = ?"

Named = tuple[str, str]
"""(tenant, source)"""


@dataclass(frozen=True, slots=True)
class Source:
    """A source that a tenant names since `since_ms`, and when it was last heard (None: not since then), by the wall
    clock of receipt. `is_service`: a case or message came of it since then."""

    tenant: str
    source: str
    since_ms: int
    heard_ms: int | None
    is_service: bool = False


def sources(connection: apsw.Connection) -> list[Source]:
    """Every source that is named."""
    if number(connection, NAMED) is None:
        return []
    serving = _serving(connection)
    rows = select(connection, "SELECT tenant, source, since_ms, heard_ms FROM sources ORDER BY tenant, source")
    return [Source(one, source, since, heard, (one, source) in serving) for one, source, since, heard in rows]


def _serving(connection: apsw.Connection) -> set[Named]:
    return set() if number(connection, SERVING) is None else set(select(connection, _SERVED))


def name_sources(connection: apsw.Connection, tenants: Mapping[str, Any], now_ms: int) -> None:
    """From now on those are heeded that the tenants' settings (as JSON) name; what is known of them stays."""
    named = {(tenant, source) for tenant, settings in tenants.items() for source in settings.get("sources", ())}
    known = {(one.tenant, one.source) for one in sources(connection)}
    if named == known:
        return
    connection.execute(SOURCES)
    connection.executemany(_ADD, [(*one, now_ms) for one in sorted(named - known)])
    connection.executemany(_REMOVE, sorted(known - named))
    _keep(connection, _serving(connection) & named)
    set_number(connection, NAMED, (number(connection, NAMED) or 0) + 1)


def _keep(connection: apsw.Connection, serving: set[Named]) -> None:
    """Notes that these and no others are known to send cases or messages."""
    before = _serving(connection)
    if serving == before:
        return
    connection.execute(SERVICE)
    connection.executemany(_SERVES, sorted(serving - before))
    connection.executemany(_SERVES_NO_MORE, sorted(before - serving))
    set_number(connection, SERVING, len(serving))


class Listener:
    """Notes which of the named sources were heard; every call belongs into the transaction that appends the signals."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._named: frozenset[Named] = frozenset()

    def hear(self, connection: apsw.Connection, heard: Mapping[Named, bool], received_ms: int) -> None:
        """Signals of these sources were accepted at `received_ms`; true: one of a case or message among them."""
        now = number(connection, NAMED)
        if now != self._number:
            self._number = now
            self._named = frozenset((one.tenant, one.source) for one in sources(connection))
        if self._named:
            connection.executemany(_HEARD, self._rows(heard, received_ms))
            if serving := self._named.intersection(pair for pair, is_service in heard.items() if is_service):
                _keep(connection, _serving(connection) | serving)

    def _rows(self, heard: Iterable[Named], received_ms: int) -> Iterator[tuple[int, str, str]]:
        return ((received_ms, *one) for one in sorted(self._named.intersection(heard)))
