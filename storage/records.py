"""The store of one partition's customer records, outbox, due times and obligations (`membrane.ports.StateStore`).

One writer; the epoch in the store's own row is raised by each that opens it and checked by each commit, so that a
writer which was paused and replaced writes nothing more. synchronous=NORMAL: what a power cut takes, the log has.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from typing import Final, Self

import apsw

from membrane.errors import AnotherWriter
from membrane.ports import Commit, Effect, PartitionMeta
from storage import erasing, examples, openings, tallies
from storage.directory import DataDir
from storage.keys import customer_key
from storage.slots import MAX_PROBES, Hash, after, find, named
from storage.sqlite import connect, select, transaction, writing

CHECKPOINT_BYTES: Final = 16 * 1024 * 1024
_CACHE_KIB: Final = 32_768
_BUSY_MS: Final = 10_000

_ADVANCE: Final = "UPDATE store SET next_offset = ?, meta = ? WHERE epoch = ? RETURNING 1"
_LOAD: Final = "SELECT key, tenant, customer, body, due FROM records WHERE key IN (SELECT value FROM carray(?))"
_WRITE: Final = """
INSERT INTO records(key, tenant, customer, due, body) VALUES(?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET due = excluded.due, body = excluded.body
WHERE tenant = excluded.tenant AND customer = excluded.customer
"""
_SET_DUE: Final = "UPDATE records SET due = ? WHERE tenant = ? AND customer = ?"
_DUE: Final = "SELECT tenant, customer, due FROM records WHERE due <= ? ORDER BY due, tenant, customer LIMIT ?"
_EFFECT: Final = "INSERT OR IGNORE INTO effects VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
_OBLIGATION: Final = "INSERT OR REPLACE INTO obligations VALUES(?, ?, ?, ?, ?, ?, ?)"

_Row = tuple[int, str, str, int | None, bytes]

Failpoint = Callable[[str], None]


def _pass_by(name: str) -> None:
    """No failpoint: goes on."""


FAILPOINTS: Final = ("begun", "records", "effects", "obligations", "learned", "committed")
"""The named points of a commit, in order, at which a test may stop the process."""


class RecordStore:
    """The writing side of one records-<p>.db; make it with `open_for_writing`. For one thread at a time."""

    def __init__(self, directory: DataDir, partition: int, *, key_of: Hash, failpoint: Failpoint) -> None:
        self.partition = partition
        self.epoch = 0
        self._path = directory.records_path(partition)
        self._hint = directory.rebuild_hint
        self._key_of = key_of
        self._failpoint = failpoint
        if not self._path.exists():
            raise directory.missing_store(partition)
        with self._errors():
            self._writer = connect(self._path, cache_kib=_CACHE_KIB, busy_ms=_BUSY_MS)
            self._checkpointer = connect(self._path, cache_kib=1_024, busy_ms=0)

    @classmethod
    def open_for_writing(
        cls,
        directory: DataDir,
        partition: int,
        *,
        key_of: Hash = customer_key,
        failpoint: Failpoint = _pass_by,
    ) -> Self:
        """Opens the store and raises its epoch, which ends the writing of whoever had it open before.

        The lock is the caller's (`storage.lock.partition_lock`); its `takeover` goes past a paused holder, the epoch
        does the rest. StoreRefused for a store that is missing, swapped, from another log, newer or damaged;
        StoreUnavailable when a process that was stopped inside a commit keeps the store locked for ten seconds.
        """
        store = cls(directory, partition, key_of=key_of, failpoint=failpoint)
        try:
            store.raise_epoch(directory)
        except BaseException:
            store.close()
            raise
        return store

    def raise_epoch(self, directory: DataDir) -> None:
        """Makes this the writer of the store, once it is known to be the right one."""
        with self._errors():
            directory.check_store(self._writer, self.partition)
            with transaction(self._writer):
                rows = select(self._writer, "UPDATE store SET epoch = epoch + 1 RETURNING epoch")
                openings.make(self._writer)
                tallies.make(self._writer)
                examples.make(self._writer)
        self.epoch = rows[0][0]

    def close(self) -> None:
        """Closes the store; nothing is held back, so nothing is lost without it."""
        for connection in (self._checkpointer, self._writer):
            with suppress(apsw.Error):
                connection.close()

    def meta(self) -> PartitionMeta:
        """The next offset to apply and the runner's own words beside it."""
        with self._errors():
            return PartitionMeta(*select(self._writer, "SELECT next_offset, meta FROM store")[0])

    def load(self, customers: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bytes, int | None]]:
        """The records of those of the customers (tenant, customer) that have one, bytes as they are, each with its next
        due time (0 where it lies elsewhere than at its hash: it may be due at any time)."""
        names = set(customers)
        homes = {self._key_of(*name): name for name in names}
        found: dict[tuple[str, str], tuple[bytes, int | None]] = {}
        with self._errors():
            rows = select(self._writer, _LOAD, (apsw.carray(array("q", sorted(homes))),)) if homes else []
            for key, tenant, customer, body, due in rows:
                if homes[key] == (tenant, customer) and isinstance(body, bytes):
                    found[tenant, customer] = body, due
            if len(found) < len(rows) or len(homes) < len(names):
                self._load_displaced(names - found.keys(), found)
        return found

    def due_before(self, t: int, limit: int) -> list[tuple[str, str, int]]:
        """At most `limit` customers whose next due time is <= t, and that time, by (due time, tenant, customer)."""
        with self._errors():
            return select(self._writer, _DUE, (t, limit))

    def named(self, customer_key: int) -> list[tuple[str, str]]:
        """The customers that have a record, and names of that hash."""
        with self._errors():
            return named(self._writer, customer_key)

    def commit(self, commit: Commit) -> None:
        """All or nothing. AnotherWriter when a newer writer has taken over, StoreUnavailable when the disk refuses.

        A customer's due time is replaced with its record, so `commit.due` names each customer that is written; those
        without a record in the commit (it cannot be read) get the due time alone.
        """
        with self._errors(), transaction(self._writer):
            if not select(self._writer, _ADVANCE, (commit.next_offset, commit.meta, self.epoch)):
                raise AnotherWriter(f"{self._path}: epoch {self.epoch} was required, a newer writer has taken over")
            self._failpoint("begun")
            if commit.everybody_due:
                self._writer.execute("UPDATE records SET due = 0")
            self._write_records(commit)
            self._failpoint("records")
            self._writer.executemany(_EFFECT, [_effect_row(effect) for effect in commit.effects])
            self._failpoint("effects")
            for row in commit.obligations:
                self._write_obligation(row)
            self._failpoint("obligations")
            if commit.learned is not None:
                examples.write_learned(self._writer, commit.learned)
            self._failpoint("learned")
            for name in commit.erased:  # the number of an effect that goes is not given again: one was written before
                erasing.erase_records(self._writer, *name, self._key_of)
        self._failpoint("committed")

    def horizons(self, t: int) -> list[tuple[int, int, int]]:
        """The examples whose horizon ends at or before t: its end, their offset and time."""
        with self._errors():
            return examples.horizons(self._writer, t)

    def checkpoint(self, min_bytes: int = CHECKPOINT_BYTES) -> bool:
        """Copies the write-ahead log into the store if it has grown to `min_bytes`; never waits for anybody.

        To be called now and then between commits, by the writer's process alone. True if all of it was copied.
        """
        wal = self._path.with_name(self._path.name + "-wal")
        if not wal.exists() or wal.stat().st_size < min_bytes:
            return False
        with self._errors():
            busy, pages, copied = select(self._checkpointer, "PRAGMA wal_checkpoint(PASSIVE)")[0]
        return not busy and bool(pages == copied)

    def mark_all_delivered(self) -> None:
        """Marks every effect as delivered: what `rebuild` does, since the world has had them already."""
        with self._errors(), transaction(self._writer):
            self._writer.execute("UPDATE effects SET delivered = 1 WHERE delivered = 0")

    def _load_displaced(
        self, names: Iterable[tuple[str, str]], found: dict[tuple[str, str], tuple[bytes, int | None]]
    ) -> None:
        """The rare rest of `load`: customers whose key holds somebody else, or bytes that are none."""
        for tenant, customer in names:
            body = find(self._writer, tenant, customer, self._key_of)[1]
            if body is not None:
                found[tenant, customer] = body, 0

    def _write_records(self, commit: Commit) -> None:
        due = {(tenant, customer): t for tenant, customer, t in commit.due}
        rows: list[_Row] = [
            (self._key_of(tenant, customer), tenant, customer, due[tenant, customer], body)
            for tenant, customer, body in commit.records
        ]
        rows.sort(key=_first)
        before = self._writer.total_changes()
        self._writer.executemany(_WRITE, rows)
        if self._writer.total_changes() - before < len(rows):  # some key holds another customer
            for _, tenant, customer, t, body in rows:
                key = find(self._writer, tenant, customer, self._key_of)[0]
                self._writer.execute(_WRITE, (key, tenant, customer, t, body))
        written = {(tenant, customer) for tenant, customer, _ in commit.records}
        for name, t in due.items():
            if name not in written:
                self._set_due(name, t)

    def _write_obligation(self, row: tuple[str, str, str, str, str, int, bytes]) -> None:
        for counts in (openings, tallies):
            counts.count(self._writer, row[0], -1)
        self._writer.execute(_OBLIGATION, row)
        for counts in (openings, tallies):
            counts.count(self._writer, row[0], 1)

    def _set_due(self, name: tuple[str, str], t: int | None) -> None:
        """Of a row whose record cannot be read; where even its names are damaged, it is not where they would be."""
        home = self._key_of(*name)
        keys = array("q", [after(home, steps) for steps in range(MAX_PROBES)])
        self._writer.execute(f"{_SET_DUE} AND key IN (SELECT value FROM carray(?))", (t, *name, apsw.carray(keys)))
        if not self._writer.changes():
            self._writer.execute(f"{_SET_DUE} AND due IS NOT NULL", (t, *name))

    def _errors(self) -> AbstractContextManager[None]:
        return writing(self._path, self._hint)


def _first(row: _Row) -> int:
    return row[0]


def _effect_row(effect: Effect) -> tuple[str, int, str, int, str, str, int, bytes]:
    key = customer_key(effect.tenant, effect.customer)
    return effect.id, effect.offset, effect.kind, key, effect.tenant, effect.customer, effect.time_ms, effect.body
