"""The signal log: one transaction takes signals, dedup ids, consents, ticks and dead letters, and is fsynced before
it is acknowledged.

After an error of the disk the connection is thrown away. A new one is trusted only once a full checkpoint through it
has copied and fsynced all that it can see: an fsync that failed once may succeed the next time without having written
anything, and a retried signal would then be acknowledged as a duplicate of one that is not on the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import apsw
import msgspec

from membrane.pauses import PauseRecord
from membrane.ports import NewSignal, RecordKind, partition_of
from membrane.times import HOUR, SECOND
from storage import erasing, set_aside
from storage.dedup import MAX_IDS, SeenIds
from storage.directory import DataDir
from storage.keys import contact_key, customer_key, signal_key
from storage.log_meta import number, set_number
from storage.log_reader import LogReader
from storage.schema import PAUSES, for_partition
from storage.set_aside import DeadLetter, NewDeadLetter
from storage.sources import LISTENING, Listener, name_sources
from storage.sqlite import BUSY_MS, connect, select, transaction, writing

Clock = Literal["wall", "signals"]

TICK_EVERY_MS: Final = 10 * SECOND
ABSENT_MS: Final = 6 * TICK_EVERY_MS
"""After so long without a tick nobody can have taken signals: the silence of sources counts from the next one on."""
MAX_PAUSES: Final = 10_000
_CHECKPOINT_PAGES: Final = 4_096
_HINT: Final = "restore log.db from a backup"

_LATER: Final = """
ON CONFLICT DO UPDATE SET granted = excluded.granted, time_ms = excluded.time_ms
WHERE (excluded.time_ms, -excluded.granted) > (consents.time_ms, -consents.granted)
"""
_CONSENT: Final = f"INSERT INTO consents VALUES(?, ?, ?, ?, ?, ?, ?){_LATER}"
_OPT_OUT: Final = f"""
INSERT INTO consents SELECT customer_key, ?, ?, channel, domain, 0, ? FROM contacts
WHERE customer_key = ? AND contact_key = ?{_LATER}
"""
_CONTACT: Final = "INSERT OR IGNORE INTO contacts VALUES(?, ?, ?, ?)"
_REVISION: Final = "INSERT INTO revisions VALUES(?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
_PAUSE: Final = (
    "INSERT INTO pauses VALUES(NULL, ?, ?, ?, ?)"
    " ON CONFLICT(id) DO UPDATE SET until_ms = excluded.until_ms, body = excluded.body"
)
_DROP_RECORDS: Final = (
    "DELETE FROM $log WHERE offset IN (SELECT offset FROM $log WHERE offset < ? AND kind != 3 ORDER BY offset LIMIT ?)"
)
_DROP_AT_ONCE: Final = 1_000
_DROP_LETTERS: Final = (
    "DELETE FROM dead_letters WHERE partition IS NULL AND received_ms < ? OR partition = ? AND position < ?"
)

Taken = bool | None
"""What became of a signal: True, it is in the log; False, it is a duplicate; None, it was set aside: its customer is
erased."""
_Row = tuple[int, int, int | None, str, str, bytes]  # kind, received_ms, customer key, tenant, customer, body


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request appends: all of it or nothing."""

    signals: Sequence[NewSignal]
    received_ms: int
    dead_letters: Sequence[NewDeadLetter] = field(default=())


@dataclass(slots=True)
class _Changes:
    """What the signals of one transaction change of contacts and consents, as rows of its statements.

    Contacts come first: an opt-out may stand before its contact in the same request."""

    contacts: list[tuple[Any, ...]] = field(default_factory=list)
    consents: list[tuple[Any, ...]] = field(default_factory=list)
    opt_outs: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, key: int, signal: NewSignal) -> None:
        if signal.contact is not None:
            name, channel, domain = signal.contact
            self.contacts.append((key, contact_key(name), channel, domain))
        if signal.opts_out_of is not None:
            contact = contact_key(signal.opts_out_of)
            self.opt_outs.append((signal.tenant, signal.customer, signal.time_ms, key, contact))
        self.consents += [(key, signal.tenant, signal.customer, *consent) for consent in signal.consents]

    def write(self, connection: apsw.Connection) -> None:
        connection.executemany(_CONTACT, self.contacts)
        connection.executemany(_CONSENT, self.consents)
        connection.executemany(_OPT_OUT, self.opt_outs)


class SignalLog(LogReader):
    """The whole of log.db. Any thread and any process may append; SQLite lets one at a time.

    `clock="signals"` writes a tick into every partition whenever the greatest accepted time crosses an hour, before
    the signal that crosses it. Writing methods raise StoreUnavailable, and then nothing of the call is stored for
    certain and nothing may be acknowledged; a later call tries anew.
    """

    def __init__(self, directory: DataDir, *, clock: Clock = "wall", max_ids: int = MAX_IDS) -> None:
        super().__init__(directory)
        self._clock = clock
        self._seen = SeenIds(max_ids)
        self._listener = Listener()
        self._writing = threading.Lock()
        self._writer: apsw.Connection | None = None

    def close(self) -> None:
        """Closes the connections. Nobody may be reading or writing."""
        super().close()
        self._discard()

    def append(
        self, signals: Sequence[NewSignal], received_ms: int, dead_letters: Sequence[NewDeadLetter] = ()
    ) -> list[Taken]:
        """Appends one batch: what became of each signal."""
        return self.append_batches([Batch(signals, received_ms, dead_letters)])[0]

    def append_batches(self, batches: Sequence[Batch]) -> list[list[Taken]]:
        """Appends several batches in one transaction with one fsync; for each what `append` answers."""
        with self._transaction() as connection:
            answers, greatest = self._append(connection, batches)
        self.appended_until = greatest
        return answers

    def append_record(
        self, kind: RecordKind, body: bytes, received_ms: int, *, customer: tuple[str, str] | None = None
    ) -> bool:
        """Appends one record for a customer (tenant, customer), or for nobody in particular to every partition. False,
        and nothing is stored, for a customer who is erased.

        A REVISION's JSON body names its kind, by which `revisions` finds the last one.
        """
        rows = _rows(self.directory.partitions)
        if customer is not None:
            partition = partition_of(*customer, self.directory.partitions)
            rows[partition].append((int(kind), received_ms, customer_key(*customer), *customer, body))
        else:
            _everywhere(rows, kind, received_ms, body)
        with self._transaction() as connection:
            if customer is not None and _is_erased(connection, *customer):
                return False
            _insert(connection, rows)
            if kind is RecordKind.REVISION:
                _revised(connection, body, received_ms)
        return True

    def replace_revision(self, body: bytes, received_ms: int, *, digest: str | None) -> bool:
        """Appends a REVISION to every partition in the place of the one of its kind that has this digest (None: there
        is none yet). False, and nothing is stored, where another is the last of its kind by now."""
        kind, rows = msgspec.json.decode(body)["kind"], _rows(self.directory.partitions)
        _everywhere(rows, RecordKind.REVISION, received_ms, body)
        with self._transaction() as connection:
            found = select(connection, "SELECT body FROM revisions WHERE kind = ?", (kind,))
            latest = msgspec.json.decode(found[0][0])["digest"] if found else None
            if latest != digest:
                return False
            _insert(connection, rows)
            _revised(connection, body, received_ms)
        return True

    def pause(self, said: PauseRecord, received_ms: int) -> bool:
        """Records that a pause begins or ends early: for its customer, or for a domain or principle in every partition.
        False, and nothing is stored, for the beginning of one more than 10,000 that stand, or of an erased customer."""
        pause, body = said.pause, msgspec.json.encode(said)
        rows = _rows(self.directory.partitions)
        if pause.what == "customer":
            partition = partition_of(pause.tenant, pause.name, len(rows))
            key = customer_key(pause.tenant, pause.name)
            rows[partition].append((int(RecordKind.PAUSE), received_ms, key, pause.tenant, pause.name, body))
        else:
            _everywhere(rows, RecordKind.PAUSE, received_ms, body)
        with self._transaction() as connection:
            if pause.what == "customer" and _is_erased(connection, pause.tenant, pause.name):
                return False
            connection.execute(PAUSES)
            standing = select(connection, "SELECT count(*) FROM pauses WHERE until_ms > ?", (said.time,))[0][0]
            if said.act == "pause" and standing >= MAX_PAUSES:
                return False
            _insert(connection, rows)
            until = pause.until if said.act == "pause" else said.time
            connection.execute(_PAUSE, (pause.id, pause.tenant, until, body))
            set_number(connection, "pauses", (number(connection, "pauses") or 0) + 1)
        return True

    def erase(
        self, tenant: str, customer: str, time_ms: int, received_ms: int
    ) -> tuple[erasing.Removed, erasing.Tombstone]:
        """Erases a customer from the log, once and for all: what it held is written over, and what comes later is set
        aside. The stream does the same to the records when it meets the ERASE record. How many rows went, and the
        tombstone."""
        names = (tenant, customer)
        with self._transaction() as connection:
            removed, stone = erasing.erase_from_log(connection, self.directory, names, time_ms, received_ms)
            for name in ("erased", "pauses") if "pauses" in removed else ("erased",):
                set_number(connection, name, (number(connection, name) or 0) + 1)
        return removed, stone

    def send_again(self, signals: Sequence[NewSignal], letters: Sequence[DeadLetter], received_ms: int) -> list[Taken]:
        """Appends what dead letters hold, and forgets the letters in the same transaction; what became of each
        signal."""
        with self._transaction() as connection:
            [answer], greatest = self._append(connection, [Batch(signals, received_ms)])
            set_aside.drop(connection, letters)
        self.appended_until = greatest
        return answer

    def trim(self, partition: int, offset: int, before_ms: int) -> tuple[int, int]:
        """Drops the records of a partition before `offset`, but for revisions, and of the dead letters those records
        and what was set aside before a moment; how many of each. There must be a checkpoint of that offset."""
        with self._transaction() as connection:
            set_number(connection, f"trimmed_{partition}", offset)
            connection.execute(_DROP_LETTERS, (before_ms, partition, offset))
            letters = connection.changes()
        records = 0
        while True:  # whoever appends meanwhile gets its turn
            with self._transaction() as connection:
                connection.execute(for_partition(_DROP_RECORDS, partition), (offset, _DROP_AT_ONCE))
                dropped = connection.changes()
            records += dropped
            if dropped < _DROP_AT_ONCE:
                return records, letters

    def tick(self, now_ms: int) -> bool:
        """Under `--clock wall`: a tick of `now_ms` in every partition, unless there was one less than 10 s ago."""
        last = self.last_tick()
        if last is not None and now_ms < last + TICK_EVERY_MS:
            return False
        with self._transaction() as connection:
            last = number(connection, "last_tick_ms")
            if last is not None and now_ms < last + TICK_EVERY_MS:
                return False
            rows = _rows(self.directory.partitions)
            _everywhere(rows, RecordKind.TICK, now_ms, _tick_body(now_ms))
            _insert(connection, rows)
            set_number(connection, "last_tick_ms", now_ms)
            if last is None or now_ms > last + ABSENT_MS:
                set_number(connection, LISTENING, now_ms)
        return True

    def poison(self, partition: int, offset: int, now_ms: int) -> None:
        """Sets aside the record at `offset`, which kills whoever applies it. Doing so twice changes nothing."""
        with self._transaction() as connection:
            set_aside.insert_poison(connection, partition, offset, now_ms)

    def _append(self, connection: apsw.Connection, batches: Sequence[Batch]) -> tuple[list[list[Taken]], int | None]:
        """What `append_batches` answers, and the greatest time in the log with these."""
        gone = _erased_among(connection, batches)
        signals = [s for batch in batches for s in batch.signals if (s.tenant, s.customer) not in gone]
        keys = [signal_key(s.tenant, s.source, s.id) for s in signals]
        received_ms = max((batch.received_ms for batch in batches), default=0)
        admitted = iter(self._seen.admit(connection, keys, received_ms))
        answers: list[list[Taken]] = [
            [None if (s.tenant, s.customer) in gone else next(admitted) for s in batch.signals] for batch in batches
        ]
        rows, changes = _rows(self.directory.partitions), _Changes()
        heard: dict[tuple[str, str], bool] = {}
        greatest = before = number(connection, "max_time_ms")
        for batch, answer in zip(batches, answers, strict=True):
            for signal, accepted in zip(batch.signals, answer, strict=True):
                if accepted:
                    greatest = self._advance(rows, greatest, signal.time_ms, batch.received_ms)
                    changes.add(self._place(rows, signal, batch.received_ms), signal)
                    pair = (signal.tenant, signal.source)
                    heard[pair] = heard.get(pair, False) or signal.is_service
        _insert(connection, rows)
        changes.write(connection)
        self._listener.hear(connection, heard, received_ms)
        set_aside.insert(
            connection,
            [
                row
                for batch in batches
                for row in set_aside.rows_of(batch.dead_letters, batch.signals, batch.received_ms, gone)
            ],
        )
        if greatest is not None and greatest != before:
            set_number(connection, "max_time_ms", greatest)
        return answers, greatest

    def _advance(self, rows: list[list[_Row]], greatest: int | None, time_ms: int, received_ms: int) -> int:
        """The greatest time with this signal's; where it crosses an hour, a tick of the last whole hour first."""
        if greatest is None or time_ms <= greatest:
            return time_ms if greatest is None else greatest
        hour = time_ms // HOUR
        if self._clock == "signals" and hour > greatest // HOUR:
            _everywhere(rows, RecordKind.TICK, received_ms, _tick_body(hour * HOUR))
        return time_ms

    def _place(self, rows: list[list[_Row]], signal: NewSignal, received_ms: int) -> int:
        key = customer_key(signal.tenant, signal.customer)
        partition = partition_of(signal.tenant, signal.customer, len(rows))
        row = (int(RecordKind.SIGNAL), received_ms, key, signal.tenant, signal.customer, signal.body)
        rows[partition].append(row)
        return key

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        with self._writing, writing(self.directory.log_path, _HINT):
            try:
                if self._writer is None:
                    self._writer = self._trusted()
                with transaction(self._writer):
                    yield self._writer
            except apsw.Error as error:
                if not isinstance(error, apsw.BusyError):
                    self._discard()
                raise

    def _trusted(self) -> apsw.Connection:
        """A new connection, after everything that it sees has been copied into the database and fsynced."""
        connection = connect(
            self.directory.log_path, synchronous="FULL", autocheckpoint_pages=_CHECKPOINT_PAGES, cache_kib=65_536
        )
        try:
            _checkpoint_fully(connection)
        except apsw.Error:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()


def _rows(partitions: int) -> list[list[_Row]]:
    return [[] for _ in range(partitions)]


def _everywhere(rows: Iterable[list[_Row]], kind: RecordKind, received_ms: int, body: bytes) -> None:
    for partition in rows:
        partition.append((int(kind), received_ms, None, "", "", body))


def _insert(connection: apsw.Connection, rows: list[list[_Row]]) -> None:
    for partition, new in enumerate(rows):
        if new:
            end = select(connection, for_partition("SELECT coalesce(max(offset) + 1, 0) FROM $log", partition))[0][0]
            connection.executemany(
                for_partition("INSERT INTO $log VALUES(?, ?, ?, ?, ?, ?, ?)", partition),
                [(offset, *row) for offset, row in enumerate(new, end)],
            )


def _revised(connection: apsw.Connection, body: bytes, received_ms: int) -> None:
    revision = msgspec.json.decode(body)
    connection.execute(_REVISION, (revision["kind"], body))
    if "tenants" in revision:
        name_sources(connection, revision["tenants"], received_ms)


def _checkpoint_fully(connection: apsw.Connection) -> None:
    """Waits for readers of older states and for other checkpoints, as long as for a busy database."""
    deadline = time.monotonic() + BUSY_MS / 1_000
    while select(connection, "PRAGMA wal_checkpoint(FULL)")[0][0]:
        if time.monotonic() > deadline:
            raise apsw.BusyError("the log is kept from being checkpointed by a reader or another checkpoint")
        time.sleep(0.01)


def _is_erased(connection: apsw.Connection, tenant: str, customer: str) -> bool:
    return number(connection, "erased") is not None and erasing.tombstone(connection, tenant, customer) is not None


def _erased_among(connection: apsw.Connection, batches: Sequence[Batch]) -> set[tuple[str, str]]:
    """The customers of the batches that are erased."""
    if number(connection, "erased") is None:
        return set()
    signals = {(one.tenant, one.customer) for batch in batches for one in batch.signals}
    letters = {(one.tenant, one.customer) for batch in batches for one in batch.dead_letters}
    return {name for name in signals | letters if erasing.tombstone(connection, *name) is not None}


def _tick_body(time_ms: int) -> bytes:
    return b'{"time":%d}' % time_ms
