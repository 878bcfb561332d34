"""The decision log: every answer, written beside the decision path and never in it.

A bounded queue and one writer thread, synchronous=NORMAL. `drop` loses answers and counts them when the queue is
full; `block` makes the caller wait a little and then refuse (StoreUnavailable), so that no answer goes unlogged.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import apsw

from membrane.errors import StoreUnavailable
from storage.keys import customer_key
from storage.sqlite import PerThread, connect, connect_readonly, reading, select, transaction

Policy = Literal["block", "drop"]

MAX_WAITING: Final = 10_000
_GATHER_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 0.2
_CHECKPOINT_PAGES: Final = 2_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS decisions(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, customer_key INTEGER NOT NULL, tenant TEXT NOT NULL,
    customer TEXT NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS decisions_id ON decisions(id);
CREATE INDEX IF NOT EXISTS decisions_customer ON decisions(customer_key);
CREATE TABLE IF NOT EXISTS erased(customer_key INTEGER PRIMARY KEY);
"""
_COLUMNS: Final = "seq, id, tenant, customer, time_ms, body"
_NO_LIMIT: Final = 2**62

_READ_AT_ONCE: Final = 1_000
_ROWS_AT_ONCE: Final = 64
"""Rows of one statement: around each statement the thread gives the interpreter away and has to get it back."""

_Row = tuple[str, int, str, str, int, bytes]


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One logged answer; `seq` is the cursor of `by_customer`, `body` the JSON of request, answer and evidence."""

    seq: int
    id: str
    tenant: str
    customer: str
    time_ms: int
    body: bytes


class DecisionReader:
    """Reads decisions.db, each thread over a connection of its own, beside any number of writers.

    Reading raises StoreUnavailable (missing, busy, I/O) or RecordUnreadable (damaged).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers = PerThread(lambda: connect_readonly(path))

    def close(self) -> None:
        """Closes the connections. Nobody may be reading."""
        self._readers.close()

    def by_id(self, tenant: str, decision: str) -> LoggedDecision | None:
        """One answer of a tenant by its id."""
        found = self._select("id = ? AND tenant = ? ORDER BY seq LIMIT 1", (decision, tenant))
        return found[0] if found else None

    def by_customer(self, tenant: str, customer: str, limit: int, before: int | None = None) -> list[LoggedDecision]:
        """A customer's answers with `seq` below `before` (None: all), newest first, at most `limit`."""
        return self._select(
            "customer_key = ? AND seq < ? AND tenant = ? AND customer = ? ORDER BY seq DESC LIMIT ?",
            (customer_key(tenant, customer), _NO_LIMIT if before is None else before, tenant, customer, limit),
        )

    def every(self, tenant: str) -> Iterator[LoggedDecision]:
        """All answers of a tenant in the order of their writing, read some at a time."""
        after = 0
        while found := self._select("seq > ? AND tenant = ? ORDER BY seq LIMIT ?", (after, tenant, _READ_AT_ONCE)):
            yield from found
            after = found[-1].seq

    def _select(self, where: str, values: tuple[object, ...]) -> list[LoggedDecision]:
        with reading(self._path):
            rows = select(self._readers.get(), f"SELECT {_COLUMNS} FROM decisions WHERE {where}", values)
            return [LoggedDecision(*row) for row in rows]


class DecisionLog(DecisionReader):
    """decisions.db, for several processes at once. Reads see everything that this process has put before, but for
    answers about customers who were erased meanwhile (`never_again`): these are not written."""

    def __init__(
        self, path: Path, *, policy: Policy = "block", max_waiting: int = MAX_WAITING, patience_seconds: float = 0.05
    ) -> None:
        super().__init__(path)
        self._policy = policy
        self._max_waiting = max_waiting
        self._patience_seconds = patience_seconds
        self._changed = threading.Condition()
        self._queue: deque[_Row] = deque()
        self._in_hand = 0
        self._hurry = False
        self._dropped = 0
        self._failing = False
        self._closed = False
        self._writer: apsw.Connection | None = None
        self._write([])
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many answers were lost because the queue was full."""
        return self._dropped

    @property
    def failing(self) -> bool:
        """Whether the last write failed (a full disk, say); it is tried again until it succeeds."""
        return self._failing

    def put(self, decision: str, tenant: str, customer: str, time_ms: int, body: bytes) -> bool:
        """Queues one answer; True if it will be written.

        Under `drop` it never waits: False, and counted, when the queue is full. Under `block` it waits for room for at
        most `patience_seconds` and raises StoreUnavailable after that.
        """
        row = (decision, customer_key(tenant, customer), tenant, customer, time_ms, body)
        with self._changed:
            if not self._has_room():
                if self._policy == "drop":
                    self._dropped += 1
                    return False
                if not self._changed.wait_for(self._has_room, self._patience_seconds):
                    raise StoreUnavailable(f"{self._path}: {len(self._queue)} decisions wait to be logged")
            self._queue.append(row)
            if len(self._queue) == 1:
                self._changed.notify_all()
        return True

    @property
    def crowded(self) -> bool:
        """Whether half of the queue is taken: who can wait should."""
        return len(self._queue) >= self._max_waiting // 2

    def flush(self, timeout_seconds: float = 1.0) -> bool:
        """Waits until everything put before is written; False if that took longer."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(self._is_idle, timeout_seconds)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Writes what waits, for at most `timeout_seconds` (what is left then counts as dropped), and closes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            super().close()

    def _select(self, where: str, values: tuple[object, ...]) -> list[LoggedDecision]:
        self.flush()
        return super()._select(where, values)

    def _run(self) -> None:
        while rows := self._take():
            while not self._write(rows):
                if self._closed:
                    self._dropped += len(rows)
                    break
                time.sleep(_RETRY_SECONDS)
            with self._changed:
                self._in_hand = 0
                self._changed.notify_all()
        self._discard()

    def _take(self) -> list[_Row]:
        """The next rows, after a moment in which more may gather; empty once all is done and the log closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            self._changed.wait_for(lambda: self._hurry or self._closed or not self._has_room(), _GATHER_SECONDS)
            rows = list(self._queue)
            self._queue.clear()
            self._hurry, self._in_hand = False, len(rows)
            self._changed.notify_all()
            return rows

    def _write(self, rows: list[_Row]) -> bool:
        """One transaction; False when the disk refuses it (a new connection is tried the next time)."""
        try:
            if self._writer is None:
                self._writer = connect(self._path, autocheckpoint_pages=_CHECKPOINT_PAGES)
                self._writer.execute(_SCHEMA).fetchall()
            with transaction(self._writer):
                for first in range(0, len(rows), _ROWS_AT_ONCE):
                    some = rows[first : first + _ROWS_AT_ONCE]
                    self._writer.execute(_insert(len(some)), tuple(chain.from_iterable(some)))
        except apsw.Error:
            self._failing = True
            self._discard()
            return False
        self._failing = False
        return True

    def _discard(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()

    def _has_room(self) -> bool:
        return len(self._queue) < self._max_waiting

    def _is_idle(self) -> bool:
        return not self._queue and not self._in_hand


def every_decision(path: Path, since_ms: int = 0) -> Iterator[LoggedDecision]:
    """Every answer logged for a moment from `since_ms` on, oldest first; nothing is written. None while there is no
    decision log yet. Raises StoreUnavailable or RecordUnreadable."""
    if not path.is_file():
        return
    with reading(path):
        connection = connect_readonly(path)
        try:
            statement = f"SELECT {_COLUMNS} FROM decisions WHERE time_ms >= ? ORDER BY seq"
            for row in connection.execute(statement, (since_ms,)):
                yield LoggedDecision(*row)
        finally:
            connection.close()


def never_again(connection: apsw.Connection, key: int) -> None:
    """Inside the transaction that deletes a customer's answers (`key`: the `customer_key`): no process writes any from
    then on, whatever waits there."""
    connection.execute(_SCHEMA).fetchall()
    connection.execute("INSERT OR IGNORE INTO erased VALUES(?)", (key,))


def _insert(rows: int) -> str:
    values = ",".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO decisions SELECT NULL, * FROM (VALUES {values}) WHERE column2 NOT IN erased"
