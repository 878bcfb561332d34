"""Duplicates (law 3): which signal ids were seen, in segments by day of receipt, 7 days or 50 M ids, whichever is less.

A segment is one table of 64-bit hashes. A new one begins with each day (wall clock of receipt) and with each tenth of
the greatest number of ids, so that what is dropped as too old is always a whole table.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import apsw

from membrane.times import DAY
from storage.sqlite import select

HORIZON_DAYS: Final = 7
MAX_IDS: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far back duplicates are known: since the start of the day of receipt `since_ms`, over `ids` signals."""

    since_ms: int | None
    ids: int


@dataclass(frozen=True, slots=True)
class _Segment:
    number: int
    day: int
    ids: int

    def sql(self, statement: str) -> str:
        return statement.replace("$seen", f"seen_{self.number:d}")


class SeenIds:
    """The ids seen, kept in log.db; every call belongs into the transaction that appends the signals."""

    def __init__(self, max_ids: int = MAX_IDS) -> None:
        self._max_ids = max_ids
        self._segment_ids = max(1, max_ids // 10)

    def admit(self, connection: apsw.Connection, keys: Sequence[int], now_ms: int) -> list[bool]:
        """For each key in order: True if it is new (and now seen), False for a duplicate, also of one before it."""
        segments = _segments(connection)
        seen = _found(connection, segments, keys)
        admitted = []
        for key in keys:
            admitted.append(key not in seen)
            seen.add(key)
        new = sorted(key for key, ok in zip(keys, admitted, strict=True) if ok)
        if new:
            self._remember(connection, segments, new, now_ms // DAY)
        return admitted

    def _remember(self, connection: apsw.Connection, segments: list[_Segment], new: list[int], day: int) -> None:
        current = next((segment for segment in reversed(segments) if segment.day == day), None)
        if current is None or current.ids >= self._segment_ids:
            current = _Segment(segments[-1].number + 1 if segments else 0, day, 0)
            connection.execute(current.sql("CREATE TABLE $seen(id INTEGER PRIMARY KEY)"))
            connection.execute("INSERT INTO seen_segments VALUES(?, ?, 0)", (current.number, day))
            self._forget(connection, segments, day)
        connection.executemany(current.sql("INSERT INTO $seen VALUES(?)"), [(key,) for key in new])
        connection.execute("UPDATE seen_segments SET ids = ids + ? WHERE segment = ?", (len(new), current.number))

    def _forget(self, connection: apsw.Connection, segments: list[_Segment], day: int) -> None:
        """Drops what is past the horizon: by age first, then from the oldest until one more segment fits."""
        room = self._max_ids - self._segment_ids
        kept = sum(segment.ids for segment in segments)
        for segment in sorted(segments, key=lambda segment: (segment.day, segment.number)):
            if segment.day < day - HORIZON_DAYS or kept > room:
                with _quickly(connection):
                    connection.execute(segment.sql("DROP TABLE $seen"))
                connection.execute("DELETE FROM seen_segments WHERE segment = ?", (segment.number,))
                kept -= segment.ids


@contextmanager
def _quickly(connection: apsw.Connection) -> Iterator[None]:
    """Hashes of ids need not be written over when they go: that would hold up a request for seconds."""
    connection.execute("PRAGMA secure_delete = OFF").fetchall()
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = ON").fetchall()


def horizon(connection: apsw.Connection) -> Horizon:
    """The horizon in force."""
    day, ids = select(connection, "SELECT min(day), coalesce(sum(ids), 0) FROM seen_segments")[0]
    return Horizon(None if day is None else day * DAY, ids)


def _segments(connection: apsw.Connection) -> list[_Segment]:
    return [
        _Segment(*row) for row in select(connection, "SELECT segment, day, ids FROM seen_segments ORDER BY segment")
    ]


def _found(connection: apsw.Connection, segments: list[_Segment], keys: Sequence[int]) -> set[int]:
    found: set[int] = set()
    if keys:
        wanted = apsw.carray(array("q", sorted(set(keys))))
        for segment in segments:
            rows = select(
                connection, segment.sql("SELECT id FROM $seen WHERE id IN (SELECT value FROM carray(?))"), (wanted,)
            )
            found.update(row[0] for row in rows)
    return found
