"""How many obligations a principle opened within an hour, and how many of them are owed still: counted by whoever
writes obligations, in the same transaction, so that nobody has to count rows.

What is here speaks of one partition's store. One that was last written by a version without these counts is counted by
its reader each time, and once and for all by the next writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

import apsw

from storage.sqlite import select

Hour = tuple[str, str, str]
"""A tenant, a principle, and an hour of UTC (`2026-11-14T09`)."""
_OLD_INDEX: Final = "obligations_opened"
_TABLE: Final = """
CREATE TABLE openings(
    tenant TEXT NOT NULL, principle TEXT NOT NULL, hour TEXT NOT NULL, opened INTEGER NOT NULL, owed INTEGER NOT NULL,
    UNIQUE (tenant, principle, hour)
);
CREATE INDEX openings_crowded ON openings(tenant, principle, opened);
"""
_KEY: Final = (
    "tenant, coalesce(CAST(body AS TEXT) ->> 'principle', '') AS principle,"
    " coalesce(substr(CAST(body AS TEXT) ->> 'opened_at', 1, 13), '') AS hour"
)
_OWED: Final = "state IN ('open', 'breached')"
_COUNTED: Final = f"SELECT {_KEY}, count(*) AS opened, sum({_OWED}) AS owed FROM obligations GROUP BY 1, 2, 3"
_COUNT: Final = f"""
INSERT INTO openings SELECT {_KEY}, :sign, :sign * ({_OWED}) FROM obligations WHERE id = :id
ON CONFLICT DO UPDATE SET opened = opened + excluded.opened, owed = owed + excluded.owed
"""
_PRINCIPLES: Final = """
WITH RECURSIVE each(row) AS (
    SELECT (SELECT rowid FROM openings ORDER BY tenant, principle LIMIT 1)
    UNION ALL
    SELECT coalesce(
        (SELECT next.rowid FROM openings AS next WHERE next.tenant = one.tenant AND next.principle > one.principle
         ORDER BY next.principle LIMIT 1),
        (SELECT next.rowid FROM openings AS next WHERE next.tenant > one.tenant ORDER BY next.tenant, next.principle
         LIMIT 1)
    )
    FROM each JOIN openings AS one ON one.rowid = each.row
)
SELECT tenant, principle FROM each JOIN openings ON openings.rowid = each.row
"""
_CROWDED: Final = """
SELECT one.tenant, one.principle, one.hour FROM json_each(:limits) AS asked CROSS JOIN {openings} AS one
ON one.tenant = asked.value ->> 0 AND one.principle = asked.value ->> 1 AND one.opened > asked.value ->> 2
"""
_AMONG: Final = """
SELECT one.tenant, one.principle, one.hour, one.opened, one.owed FROM json_each(:hours) AS asked
CROSS JOIN {openings} AS one
ON one.tenant = asked.value ->> 0 AND one.principle = asked.value ->> 1 AND one.hour = asked.value ->> 2
"""


def make(connection: apsw.Connection) -> None:
    """The counts of a store that is opened for writing. Where the index lies that older versions counted by, one of
    these has written last, and all is counted anew."""
    if _has(connection, "openings") and not _has(connection, _OLD_INDEX):
        return
    connection.execute(f"DROP INDEX IF EXISTS {_OLD_INDEX}; DROP TABLE IF EXISTS openings; {_TABLE}").fetchall()
    connection.execute(f"INSERT INTO openings {_COUNTED}")


def count(connection: apsw.Connection, obligation: str, sign: int) -> None:
    """Counts an obligation as it is in the store: -1 before it is replaced, 1 after."""
    connection.execute(_COUNT, {"id": obligation, "sign": sign})


def principles(connection: apsw.Connection) -> list[tuple[str, str]]:
    """The principles (tenant, principle) that ever opened anything."""
    if not _has(connection, "openings"):
        return select(connection, f"SELECT DISTINCT tenant, principle FROM ({_COUNTED})")
    return select(connection, _PRINCIPLES)


def crowded(connection: apsw.Connection, limits: Mapping[tuple[str, str], int]) -> list[Hour]:
    """The hours in which a principle (tenant, principle) opened more than its limit."""
    asked = json.dumps([[*name, limit] for name, limit in limits.items()])
    return select(connection, _CROWDED.format(openings=_source(connection)), {"limits": asked})


def among(connection: apsw.Connection, hours: Iterable[Hour]) -> list[tuple[str, str, str, int, int]]:
    """What was opened in each of the hours, and what is owed of it still."""
    return select(connection, _AMONG.format(openings=_source(connection)), {"hours": json.dumps(list(hours))})


def _source(connection: apsw.Connection) -> str:
    return "openings" if _has(connection, "openings") else f"({_COUNTED})"


def _has(connection: apsw.Connection, name: str) -> bool:
    return bool(select(connection, "SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)))
