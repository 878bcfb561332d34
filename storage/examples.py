"""What there is to learn from, in the tables `examples` and `labelled` of each partition's store.

A labelled example holds its vector itself, so that it outlives the example. Both are written in the stream's own
commit (`storage.records`); learners tail the labelled ones by number.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from membrane.errors import RecordUnreadable
from membrane.examples import WHOLE, Served
from membrane.labelled import TARGETS, Labelled
from membrane.ports import Learned
from storage.record_reader import HAS_LEARNED, RecordReader
from storage.schema import EXAMPLES
from storage.sqlite import select

_HORIZONS: Final = "SELECT due, offset, time_ms FROM examples WHERE due <= ?"
_EXAMPLE: Final = "INSERT OR IGNORE INTO examples VALUES(?, ?, ?, ?, ?, ?)"
_LABEL: Final = """
INSERT OR IGNORE INTO labelled
SELECT ?, ?, ?, ?, ?, ?, ?, offset, tenant, customer, time_ms, body FROM examples
WHERE offset = ? AND time_ms > ?
"""
_DECIDED: Final = "UPDATE examples SET due = NULL WHERE offset IN (SELECT value FROM carray(?))"
_DROP_EXAMPLES: Final = "DELETE FROM examples WHERE offset <= ? OR time_ms <= ?"
_DROP_LABELS: Final = "DELETE FROM labelled WHERE number <= ?"
_LABELLED: Final = (
    "number, target, label, weight, said_by, about_ms, found_ms, offset, tenant, customer, time_ms, body FROM labelled"
)
_AFTER: Final = f"SELECT {_LABELLED} WHERE number > ? ORDER BY number LIMIT ?"
_EXAMPLES: Final = (
    "SELECT offset, tenant, customer, time_ms, body FROM examples WHERE offset > ? ORDER BY offset LIMIT ?"
)
_COUNTS: Final = (
    "SELECT target, label, said_by, count(*), sum(weight) FROM labelled GROUP BY target, label, said_by"
    " ORDER BY target, label, said_by"
)
_DELAYS: Final = "SELECT target, found_ms - time_ms FROM labelled ORDER BY target, 2"
_served: Final = msgspec.msgpack.Decoder(Served)


def make(connection: apsw.Connection) -> None:
    """The tables of a store that is opened for writing. Examples were once numbered, and this column has to go."""
    if select(connection, "SELECT 1 FROM pragma_table_info('examples') WHERE name = 'number'"):
        connection.execute("ALTER TABLE examples DROP COLUMN number").fetchall()
    connection.execute(EXAMPLES).fetchall()


def horizons(connection: apsw.Connection, t: int) -> list[tuple[int, int, int]]:
    """The examples whose horizon ends at or before t: its end, their offset and time. Raises apsw's errors."""
    return select(connection, _HORIZONS, (t,))


def write_learned(connection: apsw.Connection, learned: Learned) -> None:
    """Inside the transaction of a commit. Raises apsw's errors."""
    connection.executemany(_EXAMPLE, learned.examples)
    connection.executemany(_LABEL, learned.labels)
    if learned.decided:
        connection.execute(_DECIDED, (apsw.carray(array("q", learned.decided)),))
    connection.execute(_DROP_EXAMPLES, (learned.offset_bound, learned.time_bound))
    connection.execute(_DROP_LABELS, (learned.labels_bound,))


class _Meta(msgspec.Struct):
    unmatched: int = 0


_meta: Final = msgspec.json.Decoder(_Meta)


class Example(NamedTuple):
    """A kept vector: the offset of its log record, whose it is, when it was served (epoch ms), and what was served."""

    offset: int
    tenant: str
    customer: str
    time: int
    served: Served


class LabelledReader(RecordReader):
    """Reads examples and labels of every partition, beside a running stream. Raises what `RecordReader` raises; a store
    that no stream of this version has opened yet has none."""

    def after(self, partition: int, number: int, limit: int) -> list[Labelled]:
        """A partition's labelled examples behind a number, in order, at most `limit`."""
        return [_labelled(partition, row) for row in self._rows(partition, _AFTER, (number, limit))]

    def examples(self, partition: int, after: int = -1, limit: int = 1_000) -> list[Example]:
        """A partition's kept vectors behind a log offset, in order, at most `limit`."""
        rows = self._rows(partition, _EXAMPLES, (after, limit))
        return [Example(row[0], row[1], row[2], row[3], _decoded(row[4])) for row in rows]

    def every(self) -> Iterator[Labelled]:
        """Every labelled example, by partition and number."""
        for partition in range(self.directory.partitions):
            number = 0
            while found := self.after(partition, number, 1_000):
                yield from found
                number = found[-1].number

    def kept(self) -> int:
        """How many vectors are kept."""
        return sum(
            self._rows(partition, "SELECT count(*) FROM examples", ())[0][0]
            for partition in range(self.directory.partitions)
            if self._rows(partition, HAS_LEARNED, ())
        )

    def counts(self) -> dict[tuple[str, int, str], tuple[int, float]]:
        """(target, label, labelling function or person) -> how many there are, and the sum of their weights."""
        found: dict[tuple[str, int, str], tuple[int, float]] = {}
        for partition in range(self.directory.partitions):
            for target, label, by, count, weight in self._rows(partition, _COUNTS, ()):
                key = TARGETS[target], label, by
                before = found.get(key, (0, 0.0))
                found[key] = before[0] + count, before[1] + weight / WHOLE
        return found

    def unmatched(self) -> list[int]:
        """By partition, how many labels ever came that found no vector."""
        metas = (self.meta(partition).meta for partition in range(self.directory.partitions))
        return [_meta.decode(meta).unmatched if meta else 0 for meta in metas]

    def delays(self) -> dict[str, list[int]]:
        """Target -> how long after each vector its label was found out (ms), in order."""
        found: dict[str, list[int]] = {}
        for partition in range(self.directory.partitions):
            for target, delay in self._rows(partition, _DELAYS, ()):
                found.setdefault(TARGETS[target], []).append(delay)
        return {target: sorted(delays) for target, delays in found.items()}

    def _rows(self, partition: int, sql: str, values: tuple[int, ...]) -> list[Any]:
        with self._reading(partition) as connection:
            return select(connection, sql, values) if select(connection, HAS_LEARNED) else []


def _labelled(partition: int, row: tuple[Any, ...]) -> Labelled:
    number, target, label, weight, by, about, found_at, offset, tenant, customer, time, body = row
    served = _decoded(body)
    features = array("f")
    features.frombytes(served.features)
    return Labelled(
        partition=partition,
        number=number,
        tenant=tenant,
        customer=customer,
        offset=offset,
        time=time,
        fingerprint=served.fingerprint,
        features=tuple(features),
        target=TARGETS[target],
        label=label,
        weight=weight / WHOLE,
        by=by,
        about=about,
        labelled_at=found_at,
        scores=served.scores,
        revisions=served.revisions,
    )


def _decoded(body: bytes) -> Served:
    try:
        return _served.decode(body)
    except msgspec.MsgspecError as error:
        raise RecordUnreadable(f"a kept vector was required: {error}") from error
