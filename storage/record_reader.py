"""Records for those who only read: the decision API over all partitions, and whoever compares stores.

A store may be missing, truncated, damaged or replaced by `rebuild` at any moment: the reader answers with an error
then (RecordUnreadable or StoreUnavailable), drops its connection, and opens the store anew at the next call.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NoReturn

import apsw

from membrane.errors import MembraneError, RecordUnreadable, StoreRefused
from membrane.ports import Effect, PartitionMeta, partition_of
from storage import openings, tallies
from storage.directory import DataDir
from storage.keys import customer_key
from storage.slots import Hash, find
from storage.sqlite import connect_readonly, read_error, select, snapshot

_FAILURES: Final = (apsw.Error, UnicodeDecodeError, OSError, MembraneError)
_BUSY_MS: Final = 50
_CACHE_KIB: Final = 4_096
SAME_SECONDS: Final = 0.1
"""A store that was replaced is noticed within this time; until then the old one is read."""
_EFFECT_COLUMNS: Final = "id, offset, kind, tenant, customer, time_ms, body"
_EFFECTS: Final = (
    f"SELECT {_EFFECT_COLUMNS} FROM effects WHERE customer_key = ? AND tenant = ? AND customer = ? AND offset < ?"
    " ORDER BY offset DESC, seq DESC LIMIT ?"
)
_EFFECTS_AFTER: Final = f"SELECT seq, {_EFFECT_COLUMNS} FROM effects WHERE seq > ? ORDER BY seq LIMIT ?"
_LATEST_EFFECTS: Final = f"SELECT {_EFFECT_COLUMNS} FROM effects ORDER BY seq DESC LIMIT ?"
_SAMPLE: Final = "SELECT body FROM (SELECT tenant, body FROM records ORDER BY key LIMIT ?) WHERE tenant = ? LIMIT ?"
_ALL_EFFECTS: Final = f"SELECT {_EFFECT_COLUMNS} FROM effects ORDER BY offset, id"
_ALL_LEARNED: Final = (
    "SELECT * FROM examples ORDER BY offset",
    "SELECT * FROM labelled ORDER BY number",
)
HAS_LEARNED: Final = "SELECT 1 FROM sqlite_master WHERE name = 'labelled'"
_OBLIGATIONS: Final = (
    "SELECT id, tenant, customer, state, owner, due_ms, body FROM obligations"
    " WHERE tenant = :tenant AND (:state IS NULL OR state = :state) AND (:owner IS NULL OR owner = :owner)"
    " AND (:customer IS NULL OR customer = :customer)"
    " ORDER BY due_ms, id LIMIT :limit"
)
_OBLIGATION: Final = (
    "SELECT id, tenant, customer, state, owner, due_ms, body FROM obligations WHERE id = ? AND tenant = ?"
)
_NO_LIMIT: Final = 2**62


@dataclass(frozen=True, slots=True)
class StoredObligation:
    """The latest state of an obligation; `body` is the JSON that the stream wrote."""

    id: str
    tenant: str
    customer: str
    state: str
    owner: str
    due_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Openings:
    """What a principle opened within an hour (`2026-11-14T09`, UTC), and how much of it is owed still."""

    tenant: str
    principle: str
    hour: str
    opened: int
    owed: int


@dataclass(frozen=True, slots=True)
class PartitionSnapshot:
    """One partition at one moment; good only inside the `with` that made it."""

    meta: PartitionMeta
    _connection: apsw.Connection

    def records(self) -> Iterator[tuple[int, bytes]]:
        """(key, record bytes) in key order."""
        rows: Iterator[Any] = self._connection.execute("SELECT key, body FROM records ORDER BY key")
        return rows

    def effects(self) -> Iterator[Effect]:
        """The outbox by (offset, id): an order that does not depend on how the log was split into batches."""
        effects: Iterator[Any] = self._connection.execute(_ALL_EFFECTS)
        return (Effect(*row) for row in effects)

    def learned(self) -> Iterator[tuple[Any, ...]]:
        """The rows of examples by offset, then those of labelled examples by number."""
        if select(self._connection, HAS_LEARNED):
            for statement in _ALL_LEARNED:
                yield from self._connection.execute(statement)


@dataclass(slots=True)
class _Open:
    connection: apsw.Connection
    file: tuple[int, int]  # device and inode, by which a replaced store is noticed
    seen: float  # when they were looked at last, on the monotonic clock


class RecordReader:
    """Reads every partition's store, each thread over connections of its own. Never writes, never waits for long."""

    def __init__(self, directory: DataDir, *, key_of: Hash = customer_key) -> None:
        self.directory = directory
        self._key_of = key_of
        self._paths = [directory.records_path(partition) for partition in range(directory.partitions)]
        self._names = [str(path) for path in self._paths]
        self._local = threading.local()
        self._all: list[_Open] = []

    def close(self) -> None:
        """Closes every thread's connections. Nobody may be reading."""
        while self._all:
            self._all.pop().connection.close()
        self._local = threading.local()

    def get(self, tenant: str, customer: str) -> bytes | None:
        """The bytes of a customer's record as they are stored, None for a customer never seen."""
        return self.get_due(tenant, customer)[0]

    def get_due(self, tenant: str, customer: str) -> tuple[bytes | None, int | None]:
        """The same, and the moment from which time may change the record (`membrane.engine.next_due`; 0: at once)."""
        partition = partition_of(tenant, customer, len(self._paths))
        try:
            return find(self._connection(partition), tenant, customer, self._key_of)[1:]
        except _FAILURES as error:
            self._fail(partition, error)

    def meta(self, partition: int) -> PartitionMeta:
        """How far the stream has come in a partition, and its own words beside it."""
        try:
            return _meta(self._connection(partition))
        except _FAILURES as error:
            self._fail(partition, error)

    def effects(self, tenant: str, customer: str, before: int | None, limit: int) -> list[Effect]:
        """The customer's effects of log offsets below `before` (None: all), newest first, at most `limit`."""
        values = (customer_key(tenant, customer), tenant, customer, _NO_LIMIT if before is None else before, limit)
        with self._reading(partition_of(tenant, customer, self.directory.partitions)) as connection:
            return [Effect(*row) for row in select(connection, _EFFECTS, values)]

    def effects_after(self, partition: int, seq: int, limit: int) -> list[tuple[int, Effect]]:
        """A partition's effects behind a number, each with its own, in the order they were written."""
        with self._reading(partition) as connection:
            return [(row[0], Effect(*row[1:])) for row in select(connection, _EFFECTS_AFTER, (seq, limit))]

    def latest_effects(self, partition: int, limit: int) -> list[Effect]:
        """A partition's effects that were written last, newest first, at most `limit`."""
        with self._reading(partition) as connection:
            return [Effect(*row) for row in select(connection, _LATEST_EFFECTS, (limit,))]

    def sample(self, partition: int, tenant: str, limit: int) -> list[bytes]:
        """The records of some of a tenant's customers. Keys are hashes, so the first are as good as any; at most ten
        times `limit` are looked at."""
        with self._reading(partition) as connection:
            return [body for (body,) in select(connection, _SAMPLE, (10 * limit, tenant, limit))]

    def last_effect(self, partition: int) -> int:
        """The number of a partition's latest effect, 0 before the first."""
        with self._reading(partition) as connection:
            return int(select(connection, "SELECT coalesce(max(seq), 0) FROM effects")[0][0])

    def obligations(
        self,
        tenant: str,
        *,
        state: str | None = None,
        owner: str | None = None,
        customer: str | None = None,
        limit: int = 1_000,
    ) -> list[StoredObligation]:
        """A tenant's obligations over all partitions, by due time, at most `limit`; None means any."""
        values = {"tenant": tenant, "state": state, "owner": owner, "customer": customer, "limit": limit}
        rows = self._over_all(lambda connection: select(connection, _OBLIGATIONS, values))
        found = [StoredObligation(*row) for row in rows]
        return sorted(found, key=lambda obligation: (obligation.due_ms, obligation.id))[:limit]

    def obligation(self, tenant: str, obligation: str) -> StoredObligation | None:
        """One obligation by its id, None if the tenant has none of that id."""
        rows = self._over_all(lambda connection: select(connection, _OBLIGATION, (obligation, tenant)))
        return next((StoredObligation(*row) for row in rows), None)

    def obligation_tallies(self) -> Counter[tuple[str, str]]:
        """How many obligations of each (state, kind) there are, over all tenants."""
        found: Counter[tuple[str, str]] = Counter()
        for state, kind, count in self._over_all(tallies.tallies):
            found[state, kind] += count
        return found

    def opened(self, tenant: str, principle: str, hour: str) -> int:
        """How many obligations a tenant's principle opened within an hour (`2026-11-14T09`, UTC), whatever became of
        them."""
        return sum(one.opened for one in self._among({(tenant, principle, hour)}))

    def opening_principles(self) -> set[tuple[str, str]]:
        """The principles (tenant, principle) that ever opened an obligation."""
        return set(self._over_all(openings.principles))

    def openings_over(self, limits: Mapping[tuple[str, str], int]) -> list[Openings]:
        """The hours in which a principle (tenant, principle) opened more than its limit over all partitions. One of
        these then opened more than its share."""
        partitions = self.directory.partitions
        shares = {name: limit // partitions for name, limit in limits.items()}
        crowded = set(self._over_all(lambda connection: openings.crowded(connection, shares)))
        return [one for one in self._among(crowded) if one.opened > limits[one.tenant, one.principle]]

    def _among(self, hours: set[openings.Hour]) -> list[Openings]:
        found: dict[openings.Hour, tuple[int, int]] = {}
        rows = self._over_all(lambda connection: openings.among(connection, hours))
        for tenant, principle, hour, opened, owed in rows:
            others = found.get((tenant, principle, hour), (0, 0))
            found[tenant, principle, hour] = (others[0] + opened, others[1] + owed)
        return [Openings(*hour, *counts) for hour, counts in found.items()]

    @contextmanager
    def snapshot(self, partition: int) -> Iterator[PartitionSnapshot]:
        """One partition at one moment, beside a running writer."""
        with self._reading(partition) as connection, snapshot(connection):
            yield PartitionSnapshot(_meta(connection), connection)

    def _over_all(self, ask: Callable[[apsw.Connection], list[Any]]) -> Iterator[Any]:
        for partition in range(self.directory.partitions):
            with self._reading(partition) as connection:
                rows = ask(connection)
            yield from rows

    @contextmanager
    def _reading(self, partition: int) -> Iterator[apsw.Connection]:
        try:
            yield self._connection(partition)
        except _FAILURES as error:
            self._fail(partition, error)

    def _fail(self, partition: int, error: Exception) -> NoReturn:
        self._forget(partition)
        if isinstance(error, MembraneError):
            raise error
        raise read_error(error, self._paths[partition]) from error

    def _connection(self, partition: int) -> apsw.Connection:
        held, now = self._mine().get(partition), monotonic()
        if held is not None and now - held.seen < SAME_SECONDS:
            return held.connection
        status = os.stat(self._names[partition])  # noqa: PTH116 - once in many reads; a Path costs as much again
        file = (status.st_dev, status.st_ino)
        if held is None or held.file != file:
            self._forget(partition)
            held = self._mine()[partition] = _Open(self._connect(partition), file, now)
            self._all.append(held)
        held.seen = now
        return held.connection

    def _connect(self, partition: int) -> apsw.Connection:
        connection = connect_readonly(self._paths[partition], cache_kib=_CACHE_KIB, busy_ms=_BUSY_MS)
        try:
            self.directory.check_store(connection, partition)
        except StoreRefused as refused:
            connection.close()
            raise RecordUnreadable(str(refused)) from refused
        except BaseException:
            connection.close()
            raise
        return connection

    def _forget(self, partition: int) -> None:
        held = self._mine().pop(partition, None)
        if held is not None:
            self._all.remove(held)
            with suppress(apsw.Error):
                held.connection.close()

    def _mine(self) -> dict[int, _Open]:
        mine: dict[int, _Open] | None = getattr(self._local, "open", None)
        if mine is None:
            mine = self._local.open = {}
        return mine


def _meta(connection: apsw.Connection) -> PartitionMeta:
    rows = select(connection, "SELECT next_offset, meta FROM store")
    if not rows:
        raise RecordUnreadable("the store's own row is missing")
    return PartitionMeta(*rows[0])
