"""The read side of the signal log: what the stream tails, what a timeline shows, which consents stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from membrane.errors import MembraneError
from membrane.pauses import PauseRecord
from membrane.ports import LogRecord, RecordKind, partition_of
from storage.dedup import Horizon, horizon
from storage.directory import DataDir
from storage.erasing import Tombstone, tombstone
from storage.keys import customer_key
from storage.log_meta import number
from storage.schema import for_partition
from storage.set_aside import DeadLetter
from storage.sources import LISTENING, Source, sources
from storage.sqlite import READ_FAILURES, PerThread, connect_readonly, read_error, select

_KINDS: Final = {int(kind): kind for kind in RecordKind}
_COLUMNS: Final = "offset, kind, received_ms, tenant, customer, body"
_READ: Final = f"SELECT {_COLUMNS} FROM $log WHERE offset >= ? ORDER BY offset LIMIT ?"
_END: Final = "SELECT coalesce(max(offset) + 1, 0) FROM $log"
_FIRST_SINCE: Final = "SELECT offset FROM $log WHERE received_ms >= ? AND kind != 3 ORDER BY offset LIMIT 1"
_TIMELINE: Final = (
    f"SELECT {_COLUMNS} FROM $log WHERE customer_key = ? AND offset < ? AND tenant = ? AND customer = ? "
    "ORDER BY offset DESC LIMIT ?"
)
_REVISIONS: Final = "SELECT body FROM $log WHERE kind = 3 AND offset <= ? ORDER BY offset"
_EVERY_REVISION: Final = "SELECT offset, body FROM $log WHERE kind = 3 ORDER BY offset"
_CUSTOMERS: Final = (
    "SELECT DISTINCT tenant, customer FROM $log WHERE offset >= ? AND offset < ? AND customer_key IS NOT NULL"
)
_CONCERNS: Final = (
    "SELECT 1 FROM $log WHERE customer_key = ? AND tenant = ? AND customer = ? AND offset >= ? AND offset < ? LIMIT 1"
)
_FOR_EVERYBODY: Final = (
    "SELECT 1 FROM $log WHERE offset >= ? AND offset < ? AND kind IN (3, 6) AND customer_key IS NULL LIMIT 1"
)
_HAS_TYPE: Final = "SELECT 1 FROM $log WHERE offset >= ? AND kind = 1 AND tenant = ? AND instr(body, ?) > 0 LIMIT 1"
_PAUSES: Final = "SELECT body FROM pauses WHERE until_ms > ? AND (? IS NULL OR tenant = ?) ORDER BY seq"
_LETTERS_AFTER: Final = (
    "SELECT seq, reason, received_ms, tenant, position, source, id, payload, partition FROM dead_letters"
    " WHERE seq > ? AND partition IS NULL AND reason != 'erased' ORDER BY seq LIMIT ?"
)
_NO_LIMIT: Final = 2**62

T = TypeVar("T")


class LogReader:
    """Reads log.db, each thread over a connection of its own, beside any number of writers.

    Every method raises StoreUnavailable (missing, busy, I/O) or RecordUnreadable (damaged).
    """

    def __init__(self, directory: DataDir) -> None:
        self.directory = directory
        self.appended_until: int | None = None  # the greatest time of what was appended through this very object
        self._path = directory.log_path
        self._readers = PerThread(lambda: connect_readonly(directory.log_path))

    def close(self) -> None:
        """Closes the connections. Nobody may be reading."""
        self._readers.close()

    def read(self, partition: int, offset: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records of `partition` from `offset` on, in order; empty at the end."""
        return _records(self._all(for_partition(_READ, partition), (offset, limit)))

    def end(self, partition: int) -> int:
        """The offset that the next record of `partition` will get."""
        return int(self._all(for_partition(_END, partition), ())[0][0])

    def first_since(self, partition: int, received_ms: int) -> int:
        """The offset of the first record that was received at that moment or later; of the last one if there is none,
        and 0 in an empty partition."""
        last = max(0, self.end(partition) - 1)
        rows = self._all(for_partition(_FIRST_SINCE, partition), (received_ms,))
        return min([last, *(int(row[0]) for row in rows)])

    def change_counter(self) -> int:
        """Changes whenever anybody has written to log.db: a cheap poll. Compare within one thread only."""
        return int(self._all("PRAGMA data_version", ())[0][0])

    def greatest_time(self) -> int | None:
        """The greatest time of an accepted signal: "now" under `--clock signals`."""
        return self._meta("max_time_ms")

    def last_tick(self) -> int | None:
        """The time of the last tick under `--clock wall`."""
        return self._meta("last_tick_ms")

    def listening_since(self) -> int | None:
        """Since when (wall clock) the service has been taking signals, under `--clock wall`; None: not known."""
        return self._meta(LISTENING)

    def sources(self) -> list[Source]:
        """Every source that a tenant names, with when it was last heard."""
        return self._asking(sources)

    def timeline(self, tenant: str, customer: str, before: int | None, limit: int) -> list[LogRecord]:
        """The customer's own records with offsets below `before` (None: all), newest first, at most `limit`."""
        sql = for_partition(_TIMELINE, self._partition(tenant, customer))
        values = (customer_key(tenant, customer), _NO_LIMIT if before is None else before, tenant, customer, limit)
        return _records(self._all(sql, values))

    def has_type(self, tenant: str, type_: str, limit: int) -> bool:
        """Whether one of the latest `limit` records of any partition is a tenant's signal of a type."""
        needle = msgspec.json.encode(type_)
        partitions = range(self.directory.partitions)
        return any(
            self._all(for_partition(_HAS_TYPE, partition), (max(self.end(partition) - limit, 0), tenant, needle))
            for partition in partitions
        )

    def customers_between(self, partition: int, offset: int, end: int) -> set[tuple[str, str]]:
        """The customers (tenant, customer) with records from `offset` to before `end`."""
        return set(self._all(for_partition(_CUSTOMERS, partition), (offset, end)))

    def concerns(self, tenant: str, customer: str, offset: int, end: int) -> bool:
        """Whether a record from `offset` to before `end` is about a customer, or for everybody."""
        partition = self._partition(tenant, customer)
        values = (customer_key(tenant, customer), tenant, customer, offset, end)
        own = self._all(for_partition(_CONCERNS, partition), values)
        return bool(own) or self.concerns_everybody(partition, offset, end)

    def concerns_everybody(self, partition: int, offset: int, end: int) -> bool:
        """Whether there is a revision, or a pause of more than one customer, from `offset` to before `end`."""
        return bool(self._all(for_partition(_FOR_EVERYBODY, partition), (offset, end)))

    def consents(self, tenant: str, customer: str) -> list[tuple[int, int, bool, int]]:
        """What the customer said of being contacted: (channel index, domain index, granted, time_ms)."""
        rows = self._all(
            "SELECT channel, domain, granted, time_ms FROM consents"
            " WHERE customer_key = ? AND tenant = ? AND customer = ?",
            (customer_key(tenant, customer), tenant, customer),
        )
        return [(channel, domain, bool(granted), time_ms) for channel, domain, granted, time_ms in rows]

    def revisions(self) -> dict[str, Any]:
        """The body (decoded) of the REVISION record that was appended last, by its kind."""
        rows = self._all("SELECT kind, body FROM revisions ORDER BY kind", ())
        return {kind: msgspec.json.decode(body) for kind, body in rows}

    def revisions_at(self, partition: int, offset: int) -> dict[str, Any]:
        """The body (decoded) of the last REVISION record of each kind up to and with `offset` of a partition."""
        bodies = [msgspec.json.decode(body) for (body,) in self._all(for_partition(_REVISIONS, partition), (offset,))]
        return {body["kind"]: body for body in bodies}

    def every_revision(self, partition: int) -> list[tuple[int, dict[str, Any]]]:
        """The offset and body (decoded) of every REVISION record of a partition, in order."""
        rows = self._all(for_partition(_EVERY_REVISION, partition), ())
        return [(offset, msgspec.json.decode(body)) for offset, body in rows]

    def pauses_change(self) -> int | None:
        """Another number after each change of the pauses; None while there never was one."""
        return self._meta("pauses")

    def pauses(self, since_ms: int, tenant: str | None = None) -> list[PauseRecord]:
        """The last word on each pause that was to last longer than `since_ms`, in the order in which they began."""
        if self.pauses_change() is None:
            return []
        rows = self._all(_PAUSES, (since_ms, tenant, tenant))
        return [msgspec.json.decode(body, type=PauseRecord) for (body,) in rows]

    def erasure(self, tenant: str, customer: str) -> Tombstone | None:
        """When a customer was erased, None for one who was not."""
        if self.erasures() is None:
            return None
        return self._asking(lambda connection: tombstone(connection, tenant, customer))

    def erasures(self) -> int | None:
        """Another number after each erasure; None while there never was one."""
        return self._meta("erased")

    def erased_keys(self) -> frozenset[int]:
        """The `customer_key` of everybody who is erased."""
        if self.erasures() is None:
            return frozenset()
        return frozenset(row[0] for row in self._all("SELECT customer_key FROM erased", ()))

    def dead_letters(self, limit: int, before: int | None = None) -> list[DeadLetter]:
        """At most `limit` dead letters with `seq` below `before` (None: all), newest first."""
        rows = self._all(
            "SELECT seq, reason, received_ms, tenant, position, source, id, payload, partition FROM dead_letters"
            " WHERE seq < ? ORDER BY seq DESC LIMIT ?",
            (_NO_LIMIT if before is None else before, limit),
        )
        return [DeadLetter(*row) for row in rows]

    def letters_after(self, seq: int, limit: int) -> list[DeadLetter]:
        """At most `limit` signals that were set aside before they came into the log, with a number above `seq`, oldest
        first; not those of erased customers."""
        rows = self._all(_LETTERS_AFTER, (seq, limit))
        return [DeadLetter(*row) for row in rows]

    def poisoned(self, partition: int) -> set[int]:
        """The offsets of `partition` that were set aside because they killed the process."""
        rows = self._all("SELECT position FROM dead_letters WHERE partition = ?", (partition,))
        return {row[0] for row in rows}

    def horizon(self) -> Horizon:
        """How far back duplicates are known."""
        return self._asking(horizon)

    def _partition(self, tenant: str, customer: str) -> int:
        return partition_of(tenant, customer, self.directory.partitions)

    def _meta(self, name: str) -> int | None:
        return self._asking(lambda connection: number(connection, name))

    def _all(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        return self._asking(lambda connection: select(connection, sql, values))

    def _asking(self, question: Callable[[apsw.Connection], T]) -> T:
        try:
            return question(self._readers.get())
        except READ_FAILURES as error:
            self._readers.forget()
            raise read_error(error, self._path) from error
        except MembraneError:
            self._readers.forget()
            raise


def _records(rows: list[Any]) -> list[LogRecord]:
    return [
        LogRecord(offset, _KINDS[kind], received, tenant, customer, body)
        for offset, kind, received, tenant, customer, body in rows
    ]
