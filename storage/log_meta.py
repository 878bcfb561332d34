"""The numbers that log.db keeps by name."""

from __future__ import annotations

from typing import Final

import apsw

from storage.sqlite import select

_SET: Final = "INSERT INTO meta VALUES(?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"


def number(connection: apsw.Connection, name: str) -> int | None:
    """The number of a name, None where there is none yet."""
    rows = select(connection, "SELECT value FROM meta WHERE name = ?", (name,))
    return rows[0][0] if rows else None


def set_number(connection: apsw.Connection, name: str, value: int) -> None:
    """Keeps a number under a name, in the running transaction."""
    connection.execute(_SET, (name, value))
