"""Claims on contact caps, and the permits they stand for: short-lived, shared by every process of a data directory.

What lasts is in the signal log: a confirmed permit is a contact.made there. So claims.db may be lost: then what was
permitted in the last minutes is not counted, and no permit of before can be confirmed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import apsw

from membrane.caps import Claim
from membrane.errors import StoreRefused, StoreUnavailable
from membrane.times import DAY, HOUR
from storage.keys import customer_key
from storage.sqlite import READ_FAILURES, PerThread, committing, connect, select, transaction

VERSION: Final = 1
"""In the file as SQLite's user_version; 0, from before there was one, has the same tables."""
LIVE, CONFIRMED, RELEASED, REVOKED = range(4)
PermitState = Literal["live", "confirmed", "released", "revoked", "expired"]
STATES: Final[tuple[PermitState, ...]] = ("live", "confirmed", "released", "revoked")
CONFIRMED_FOR_MS: Final = HOUR
"""So long a confirmed claim counts beside the record, which the stream may still have to bring up to date."""
ANSWERS_KEPT_MS: Final = DAY
PERMITS_KEPT_MS: Final = DAY
REVOCATIONS_KEPT_MS: Final = 7 * DAY
_BUSY_MS: Final = 40
_WRITE_BUSY_MS: Final = 1_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS permits(
    id TEXT PRIMARY KEY, customer_key INTEGER NOT NULL, tenant TEXT NOT NULL, customer TEXT NOT NULL,
    decision TEXT NOT NULL, candidate TEXT NOT NULL, domain INTEGER NOT NULL, channel INTEGER NOT NULL,
    kind TEXT NOT NULL, made_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, state INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL, seen_offset INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS permits_customer ON permits(customer_key);
CREATE INDEX IF NOT EXISTS permits_live ON permits(until_ms) WHERE state = 0;
CREATE INDEX IF NOT EXISTS permits_confirmed ON permits(changed_ms) WHERE state = 1;
CREATE INDEX IF NOT EXISTS permits_changed ON permits(changed_ms);
CREATE TABLE IF NOT EXISTS revocations(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS answers(
    tenant TEXT NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, time_ms INTEGER NOT NULL, answer BLOB NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_time ON answers(time_ms);
"""
_COLUMNS: Final = "id, tenant, customer, decision, candidate, made_ms, until_ms, state, changed_ms, seen_offset, body"
_CLAIMS: Final = f"""
SELECT id, made_ms, domain, channel, kind, CASE state WHEN {LIVE} THEN until_ms ELSE changed_ms + {CONFIRMED_FOR_MS} END
FROM permits WHERE customer_key = ? AND tenant = ? AND customer = ?
AND (state = {LIVE} AND until_ms > ? OR state = {CONFIRMED} AND changed_ms > ? - {CONFIRMED_FOR_MS})
ORDER BY made_ms, id
"""


@dataclass(frozen=True, slots=True)
class Permit:
    """A permit as it was granted, and what became of it at `changed_ms`. `seen_offset`: all that came before it in the
    log of the customer's partition was known. `body`: the candidate, as JSON."""

    id: str
    tenant: str
    customer: str
    decision: str
    candidate: str
    made_ms: int
    until_ms: int
    state: int
    changed_ms: int
    seen_offset: int
    body: bytes

    def state_at(self, now_ms: int) -> PermitState:
        """What it is now."""
        return "expired" if self.state == LIVE and self.until_ms <= now_ms else STATES[self.state]


@dataclass(frozen=True, slots=True)
class NewPermit:
    """A permit to grant. `body` as in `Permit`."""

    claim: Claim
    candidate: str
    body: bytes


class Reserving:
    """A customer's claims, held still until the transaction ends."""

    def __init__(self, connection: apsw.Connection, tenant: str, customer: str, now_ms: int) -> None:
        self._connection = connection
        self._tenant = tenant
        self._customer = customer
        self._now_ms = now_ms
        self.claims = _claims(connection, tenant, customer, now_ms)

    def answer(self, key: str) -> tuple[bytes, bytes] | None:
        """The digest of the request that came with an idempotency key in the last 24 hours, and its answer."""
        rows = select(
            self._connection,
            "SELECT request, answer FROM answers WHERE tenant = ? AND key = ? AND time_ms > ?",
            (self._tenant, key, self._now_ms - ANSWERS_KEPT_MS),
        )
        return rows[0] if rows else None

    def remember(self, key: str, request: bytes, answer: bytes) -> None:
        """Keeps the answer to a request (its digest) for whoever asks with the same idempotency key again."""
        row = (self._tenant, key, request, self._now_ms, answer)
        self._connection.execute("INSERT OR REPLACE INTO answers VALUES(?, ?, ?, ?, ?)", row)

    def grant(self, decision: str, permits: Sequence[NewPermit], seen_offset: int) -> None:
        """Writes the permits of a decision; `seen_offset` as in `Permit`."""
        key = customer_key(self._tenant, self._customer)
        self._connection.executemany(
            "INSERT INTO permits VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    one.claim.permit, key, self._tenant, self._customer, decision, one.candidate, one.claim.domain,
                    one.claim.channel, one.claim.kind, one.claim.made_at, one.claim.until, LIVE, self._now_ms,
                    seen_offset, one.body,
                )
                for one in permits
            ],
        )  # fmt: skip


class ClaimStore:
    """claims.db, for any thread of several processes at once. Methods raise StoreUnavailable; StoreRefused for a file
    of a newer version. `reserving` and what only reads are quick enough for an event loop; the others may wait for
    whoever is writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = PerThread(self._connect)
        self._making = threading.Lock()
        self._local_file = _Local()

    def check(self) -> None:
        """StoreRefused for a file of a newer version. What else may be wrong is told when it is used."""
        with suppress(StoreUnavailable), self._using():
            pass

    @contextmanager
    def reserving(self, tenant: str, customer: str, now_ms: int) -> Iterator[Reserving | None]:
        """Keeps every other claim of any process waiting; what the block grants holds once it ends without an error.
        Waits for nobody: None while another writes."""
        with self._using() as connection:
            if not _begun(connection):
                yield None
                return
            with committing(connection):
                yield Reserving(connection, tenant, customer, now_ms)

    def claims(self, tenant: str, customer: str, now_ms: int) -> list[Claim]:
        """The claims that count for a customer."""
        with self._using() as connection:
            return _claims(connection, tenant, customer, now_ms)

    def latest_end(self) -> int:
        """The moment from which no claim of anybody counts, unless one is made or confirmed before."""
        with self._using() as connection:
            live = select(connection, f"SELECT max(until_ms) FROM permits WHERE state = {LIVE}")[0][0]
            last = select(connection, f"SELECT max(changed_ms) FROM permits WHERE state = {CONFIRMED}")[0][0]
            return max(live or 0, 0 if last is None else last + CONFIRMED_FOR_MS)

    def permit(self, tenant: str, permit: str) -> Permit | None:
        """A tenant's permit by its id."""
        with self._using() as connection:
            rows = select(connection, f"SELECT {_COLUMNS} FROM permits WHERE id = ? AND tenant = ?", (permit, tenant))
            return Permit(*rows[0]) if rows else None

    def settle(self, tenant: str, permit: str, state: int, now_ms: int) -> bool:
        """Moves a tenant's live permit on; False if there is none."""
        with self._writing() as connection:
            return _moved(connection, tenant, permit, state, now_ms)

    def made(self, tenant: str, permits: Sequence[str], now_ms: int) -> None:
        """Takes note that the contacts of a tenant's permits were made, though nobody confirmed them; also of one that
        has expired, so that it counts until the record knows of it."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE permits SET state = ?, changed_ms = ? WHERE id = ? AND tenant = ? AND state = ?",
                [(CONFIRMED, now_ms, permit, tenant, LIVE) for permit in permits],
            )

    def live(self, now_ms: int) -> list[Permit]:
        """Every tenant's live permits."""
        with self._using() as connection:
            sql = f"SELECT {_COLUMNS} FROM permits WHERE until_ms > ? AND state = {LIVE}"
            return [Permit(*row) for row in select(connection, sql, (now_ms,))]

    def revoke(self, permit: Permit, now_ms: int, body: bytes) -> bool:
        """Revokes a permit and notes for those who follow that it was; False, and nothing is noted, if it is live no
        more."""
        with self._writing() as connection:
            if not _moved(connection, permit.tenant, permit.id, REVOKED, now_ms):
                return False
            connection.execute("INSERT INTO revocations VALUES(NULL, ?, ?, ?)", (permit.tenant, now_ms, body))
            return True

    def revocations(self, tenant: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """A tenant's revocations (number, body) behind a number, at most `limit`."""
        with self._using() as connection:
            sql = "SELECT seq, body FROM revocations WHERE seq > ? AND tenant = ? ORDER BY seq LIMIT ?"
            return select(connection, sql, (after, tenant, limit))

    def last_revocation(self) -> int:
        """The number of the latest revocation, 0 before the first."""
        with self._using() as connection:
            return int(select(connection, "SELECT coalesce(max(seq), 0) FROM revocations")[0][0])

    def sweep(self, now_ms: int) -> None:
        """Forgets what is past its time, and copies what is written into the database file."""
        with self._writing() as connection:
            past = now_ms - PERMITS_KEPT_MS
            connection.execute("DELETE FROM permits WHERE until_ms < ? AND changed_ms < ?", (past, past))
            connection.execute("DELETE FROM answers WHERE time_ms <= ?", (now_ms - ANSWERS_KEPT_MS,))
            connection.execute("DELETE FROM revocations WHERE time_ms < ?", (now_ms - REVOCATIONS_KEPT_MS,))
        with self._using() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Closes every connection. Nobody may be using them."""
        self._connections.close()

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """One writing transaction, once nobody else has one."""
        with self._using() as connection:
            connection.set_busy_timeout(_WRITE_BUSY_MS)
            try:
                with transaction(connection):
                    yield connection
            finally:
                connection.set_busy_timeout(_BUSY_MS)

    @contextmanager
    def _using(self) -> Iterator[apsw.Connection]:
        try:
            connection = self._connections.get()
            if self._local_file.file != self._present():  # it was replaced: two files would each give the last slot
                self._connections.forget()
                connection = self._connections.get()
            yield connection
        except READ_FAILURES as error:
            if not isinstance(error, apsw.BusyError):
                with suppress(apsw.Error):
                    self._connections.forget()
            raise StoreUnavailable(f"{self._path}: not available: {error}") from error

    def _connect(self) -> apsw.Connection:
        with self._making:
            connection = connect(self._path, busy_ms=_BUSY_MS)
            try:
                self._bring_up_to_date(connection)
            except (apsw.Error, StoreRefused):
                connection.close()
                raise
            self._local_file.file = self._present()
            return connection

    def _bring_up_to_date(self, connection: apsw.Connection) -> None:
        version = select(connection, "PRAGMA user_version")[0][0]
        if version > VERSION:
            raise StoreRefused(
                f"{self._path}: schema version {VERSION} or older was required, {version} came: upgrade Membrane, or"
                " delete the file and what is named like it while nothing runs (permits of the last day are lost)"
            )
        if version < VERSION:
            with transaction(connection):
                connection.execute(_SCHEMA).fetchall()
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def _present(self) -> tuple[int, int] | None:
        """Which file lies there."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - once in every decision; a Path costs as much again
        except OSError:
            return None
        return status.st_dev, status.st_ino


class _Local(threading.local):
    """Which file a thread's connection has open."""

    file: tuple[int, int] | None = None


def _begun(connection: apsw.Connection) -> bool:
    """Whether a writing transaction could be begun at once."""
    connection.set_busy_timeout(0)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(_BUSY_MS)
    return True


def _moved(connection: apsw.Connection, tenant: str, permit: str, state: int, now_ms: int) -> bool:
    """Moves a live permit on; False if there is none."""
    connection.execute(
        f"UPDATE permits SET state = ?, changed_ms = ? WHERE id = ? AND tenant = ? AND state = {LIVE} AND until_ms > ?",
        (state, now_ms, permit, tenant, now_ms),
    )
    return connection.changes() == 1


def _claims(connection: apsw.Connection, tenant: str, customer: str, now_ms: int) -> list[Claim]:
    values: tuple[Any, ...] = (customer_key(tenant, customer), tenant, customer, now_ms, now_ms)
    return [Claim(*row) for row in select(connection, _CLAIMS, values)]
