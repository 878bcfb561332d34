"""Erasing: all that the stores hold of a customer is deleted and written over.

The tables that name a customer have the columns `tenant` and `customer` and are found by them, so that a new one is
covered from its first day; the few that name it otherwise stand here. A deleted row stays legible in the write-ahead
log until that is copied and cut, and in the pages that rows have moved out of (`purge`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from membrane.errors import StoreUnavailable
from membrane.ports import Erasure, RecordKind, partition_of
from storage import decisions, gaps, openings, tallies
from storage.directory import DataDir
from storage.keys import customer_key
from storage.schema import ERASED, for_partition
from storage.slots import Hash, remove
from storage.sqlite import connect, connect_readonly, select, transaction, writing

Removed = dict[str, int]
"""How many rows of each table went, of those that had any."""

PURGE_SECONDS: Final = 10.0
_HINT: Final = "see `membrane doctor`"
_NAMED: Final = """
SELECT t.name, max(c.name = 'customer_key') FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
WHERE t.type = 'table' GROUP BY t.name HAVING sum(c.name IN ('tenant', 'customer')) = 2
"""
_MINE: Final = "tenant = :tenant AND customer = :customer"
_OF_A_JSON: Final = "tenant = :tenant AND CASE WHEN json_valid(CAST({0} AS TEXT)) THEN CAST({0} AS TEXT) ->> '{1}' END"
_OTHERWISE: Final = {
    "records": f"key = :key AND {_MINE}",
    "contacts": "customer_key = :key",
    "previous": "customer_key = :key",
    "dead_letters": "tenant = :tenant AND subject_of(payload) = :customer",
    "pauses": _OF_A_JSON.format("body", "$.pause.what")
    + " = 'customer' AND CAST(body AS TEXT) ->> '$.pause.name' = :customer",
    "answers": _OF_A_JSON.format("answer", "$.customer") + " = :customer",
    "revocations": _OF_A_JSON.format("body", "$.customer") + " = :customer",
}
"""Tables without a column for the customer, and which of their rows are one's."""
WITHOUT_CUSTOMERS: Final = frozenset(
    {"meta", "stores", "revisions", "seen_segments", "store", "openings", "obligation_tallies", "erased"}
    | {"learner", "targets", "recent"}
)
"""Tables of which no row is about one customer (nor is any of `seen_<n>`, hashes of the ids of signals)."""
_POISONED: Final = (
    "DELETE FROM dead_letters WHERE partition = :partition AND position IN"
    f" (SELECT offset FROM $log WHERE customer_key = :key AND {_MINE})"
)
_BLANK: Final = (
    f"UPDATE $log SET kind = {int(RecordKind.ERASE)}, customer_key = NULL, tenant = '', customer = '', body = x''"
    f" WHERE customer_key = :key AND {_MINE}"
)
_APPEND: Final = (
    "INSERT INTO $log SELECT coalesce(max(offset) + 1, 0), ?, ?, NULL, '', '', ? FROM $log RETURNING offset"
)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An erasure as the log knows it: when, and the offset of its record in the customer's partition."""

    time_ms: int
    offset: int


def rules(connection: apsw.Connection) -> dict[str, str]:
    """Which rows of which table are a customer's (:tenant, :customer, :key), but for the log's own: to be asked of this
    connection, which now knows the functions that they need."""
    connection.create_scalar_function("subject_of", _subject_of, 1, deterministic=True)
    found = {
        table: f"customer_key = :key AND {_MINE}" if has_key else _MINE
        for table, has_key in select(connection, _NAMED)
        if not table.startswith("log_")
    }
    tables = {row[0] for row in select(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return found | {table: rule for table, rule in _OTHERWISE.items() if table in tables}


def delete_rows(connection: apsw.Connection, tenant: str, customer: str) -> Removed:
    """Deletes a customer's rows by the rules, inside the caller's transaction."""
    names = _names(tenant, customer)
    removed: Removed = {}
    for table, rule in rules(connection).items():
        connection.execute(f"DELETE FROM {table} WHERE {rule}", names)
        if connection.changes():
            removed[table] = connection.changes()
    return removed


def erase_from_log(
    connection: apsw.Connection, directory: DataDir, names: tuple[str, str], time_ms: int, received_ms: int
) -> tuple[Removed, Tombstone]:
    """Inside a transaction of log.db: blanks the customer's records, deletes what else it holds of the customer, leaves
    a tombstone and, the first time, appends the ERASE record. How many rows went, and the tombstone."""
    partition, values = partition_of(*names, directory.partitions), _names(*names)
    connection.execute(for_partition(_POISONED, partition), {**values, "partition": partition})
    letters = connection.changes()
    connection.execute(for_partition(_BLANK, partition), values)
    blanked = connection.changes()
    removed = delete_rows(connection, *names)
    removed |= {"dead_letters": letters + removed.get("dead_letters", 0), "records": blanked}
    connection.execute(ERASED)
    stone = tombstone(connection, *names)
    if stone is None:
        body = msgspec.json.encode(Erasure(names[0], values["key"], time_ms))
        row = (int(RecordKind.ERASE), received_ms, body)
        stone = Tombstone(time_ms, select(connection, for_partition(_APPEND, partition), row)[0][0])
        connection.execute("INSERT INTO erased VALUES(?, ?, ?)", (values["key"], stone.time_ms, stone.offset))
    return {table: count for table, count in removed.items() if count}, stone


def tombstone(connection: apsw.Connection, tenant: str, customer: str) -> Tombstone | None:
    """The erasure of a customer; the table must be there."""
    rows = select(
        connection, "SELECT time_ms, offset FROM erased WHERE customer_key = ?", (customer_key(tenant, customer),)
    )
    return Tombstone(*rows[0]) if rows else None


def other_stores(directory: DataDir) -> list[Path]:
    """The stores beside log, records and checkpoints that may hold a customer's rows."""
    paths = [directory.decisions_path, directory.claims_path]
    paths += sorted((directory.path / "learn").glob("*.db"))
    return [path for path in paths if path.is_file()]


def erase_records(connection: apsw.Connection, tenant: str, customer: str, key_of: Hash = customer_key) -> Removed:
    """Inside a transaction of a records store: deletes the customer's record and all that came of it."""
    removed = {"records": 1} if remove(connection, tenant, customer, key_of) else {}
    owed = select(connection, "SELECT id FROM obligations WHERE tenant = ? AND customer = ?", (tenant, customer))
    for counts in (openings, tallies):
        counts.make(connection)
        for (obligation,) in owed:
            counts.count(connection, obligation, -1)
    connection.execute("DELETE FROM openings WHERE opened <= 0")
    return removed | delete_rows(connection, tenant, customer)


def erase_from(path: Path, tenant: str, customer: str) -> Removed:
    """Deletes a customer's rows from a store that is neither the log nor the stream's, beside whoever writes it.
    StoreUnavailable, StoreRefused."""
    with _open(path) as connection, transaction(connection):
        tables = rules(connection)
        if "decisions" in tables:
            decisions.never_again(connection, customer_key(tenant, customer))
        delete = erase_records if "records" in tables else delete_rows
        return delete(connection, tenant, customer)


def count_rows(path: Path, tenant: str, customer: str) -> Removed:
    """How many rows each table of a store has of a customer, the log's own apart. StoreUnavailable, StoreRefused."""
    with writing(path, _HINT):
        connection = connect_readonly(path)
        try:
            counts = {
                table: select(connection, f"SELECT count(*) FROM {table} WHERE {rule}", _names(tenant, customer))[0][0]
                for table, rule in rules(connection).items()
            }
        finally:
            connection.close()
    return {table: count for table, count in counts.items() if count}


def purge(path: Path, seconds: float = PURGE_SECONDS) -> None:
    """Writes over what deleted rows left behind in a store: its write-ahead log is copied into it and cut to nothing,
    and what lies between the rows is cleared. StoreUnavailable while readers of older states are in the way for too
    long."""
    end = time.monotonic() + seconds
    with _open(path) as connection:
        _cut(path, connection, end)
        while not gaps.clear(path, connection):
            _cut(path, connection, end)
            if time.monotonic() > end:
                raise StoreUnavailable(f"{path}: writers leave no moment in which its pages can be cleared")
        _cut(path, connection, end)


def _cut(path: Path, connection: apsw.Connection, end: float) -> None:
    while select(connection, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
        if time.monotonic() > end:
            raise StoreUnavailable(f"{path}: a reader or a writer keeps its write-ahead log from being cut")
        time.sleep(0.02)


@contextmanager
def _open(path: Path) -> Iterator[apsw.Connection]:
    with writing(path, _HINT):
        connection = connect(path)
        try:
            yield connection
        finally:
            connection.close()


class _Named(msgspec.Struct):
    subject: str = ""


_named: Final = msgspec.json.Decoder(_Named)


def _subject_of(*values: Any) -> str:
    """Of whom an event is, read as it was when it came in: of two subjects the last counts."""
    try:
        return _named.decode(*values).subject
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""


def _names(tenant: str, customer: str) -> Mapping[str, Any]:
    return {"tenant": tenant, "customer": customer, "key": customer_key(tenant, customer)}
