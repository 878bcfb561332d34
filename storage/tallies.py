"""How many obligations of each kind are in each state, in one partition's store: counted by whoever writes obligations,
in the same transaction, so that nobody has to count rows.

A store of before there were these counts is counted by its reader each time, and once and for all by its next writer.
"""

from __future__ import annotations

from typing import Final

import apsw

from storage.sqlite import select

_TABLE: Final = """
CREATE TABLE obligation_tallies(
    state TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (state, kind)
) WITHOUT ROWID
"""
_KEY: Final = "state, coalesce(CAST(body AS TEXT) ->> 'kind', '')"
_COUNTED: Final = f"SELECT {_KEY}, count(*) FROM obligations GROUP BY 1, 2"
_COUNT: Final = f"""
INSERT INTO obligation_tallies SELECT {_KEY}, :sign FROM obligations WHERE id = :id
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_TALLIES: Final = "SELECT state, kind, count FROM obligation_tallies"


def make(connection: apsw.Connection) -> None:
    """The counts of a store that is opened for writing."""
    if not _has(connection):
        connection.execute(_TABLE).fetchall()
        connection.execute(f"INSERT INTO obligation_tallies {_COUNTED}").fetchall()


def count(connection: apsw.Connection, obligation: str, sign: int) -> None:
    """Counts an obligation as it is in the store: -1 before it is replaced, 1 after."""
    connection.execute(_COUNT, {"id": obligation, "sign": sign})


def tallies(connection: apsw.Connection) -> list[tuple[str, str, int]]:
    """(state, kind, how many)."""
    return select(connection, _TALLIES if _has(connection) else _COUNTED)


def _has(connection: apsw.Connection) -> bool:
    return bool(select(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'obligation_tallies'"))
