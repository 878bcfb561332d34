"""SQLite as every store here uses it: apsw connections, transactions, and SQLite's errors in Membrane's words.

`mmap_size` is always 0: a file truncated under a memory map kills the process, a short read is an error.
`secure_delete` is always on: what is deleted or written over is not to be found in the file any more (`erasing`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import apsw

from membrane.errors import MembraneError, RecordUnreadable, StoreRefused, StoreUnavailable

BUSY_MS: Final = 5_000
_DAMAGED: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SQLError)
READ_FAILURES: Final = (apsw.Error, UnicodeDecodeError)
"""What reading raises, for `read_error`."""
REBUILD_HINT: Final = "run `membrane rebuild --data {}`"


def connect(
    path: Path,
    *,
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
    autocheckpoint_pages: int = 0,
    cache_kib: int = 8_192,
    busy_ms: int = BUSY_MS,
) -> apsw.Connection:
    """A writing connection in WAL mode, the file made if it is missing. Raises apsw's errors."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(busy_ms)
        for pragma in (
            "mmap_size = 0",
            "journal_mode = WAL",
            f"synchronous = {synchronous}",
            f"wal_autocheckpoint = {autocheckpoint_pages}",
            f"cache_size = -{cache_kib}",
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path, *, cache_kib: int = 4_096, busy_ms: int = BUSY_MS) -> apsw.Connection:
    """A connection that can only read; CantOpenError if the file is missing. Raises apsw's errors."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(busy_ms)
        connection.execute(f"PRAGMA mmap_size = 0; PRAGMA cache_size = -{cache_kib}").fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection


def select(connection: apsw.Connection, sql: str, values: Any = ()) -> list[Any]:
    """Every row of one statement; whoever calls knows the types of its columns."""
    return connection.execute(sql, values).fetchall()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """One writing transaction: committed at the end, rolled back whole on any error (of the commit itself, too)."""
    connection.execute("BEGIN IMMEDIATE")
    with committing(connection):
        yield


@contextmanager
def committing(connection: apsw.Connection) -> Iterator[None]:
    """The same for a transaction that has begun."""
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            with suppress(apsw.Error):
                connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """One reading transaction: everything inside sees the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")


def read_error(error: Exception, path: Path) -> MembraneError:
    """What a reader tells of one of SQLite's errors: damaged is "cannot read", everything else "not now"."""
    if isinstance(error, (*_DAMAGED, UnicodeDecodeError)):
        return RecordUnreadable(f"{path}: cannot be read: {error}")
    return StoreUnavailable(f"{path}: not available: {error}")


def write_error(error: Exception, path: Path, hint: str) -> MembraneError:
    """What a writer tells of one of SQLite's errors: a damaged store is refused, with a hint of what to run."""
    if isinstance(error, (*_DAMAGED, UnicodeDecodeError, RecordUnreadable)):
        return StoreRefused(f"{path}: a sound store was required, this one is damaged ({error}): {hint}")
    return StoreUnavailable(f"{path}: cannot be written now, nothing was stored: {error}")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Errors of the block as a reader tells them."""
    try:
        yield
    except READ_FAILURES as error:
        raise read_error(error, path) from error


@contextmanager
def writing(path: Path, hint: str) -> Iterator[None]:
    """Errors of the block as a writer tells them."""
    try:
        yield
    except (apsw.Error, UnicodeDecodeError, RecordUnreadable) as error:
        raise write_error(error, path, hint) from error


class PerThread:
    """One connection for each thread that asks, made on first use: a connection serves one thread at a time."""

    def __init__(self, make: Callable[[], apsw.Connection]) -> None:
        self._make = make
        self._local = threading.local()
        self._all: list[apsw.Connection] = []

    def get(self) -> apsw.Connection:
        """This thread's connection."""
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._make()
            self._all.append(connection)
        return connection

    def forget(self) -> None:
        """Closes this thread's connection; the next `get` makes another."""
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            self._all.remove(connection)
            connection.close()

    def close(self) -> None:
        """Closes every thread's connection. Nobody may be reading."""
        while self._all:
            self._all.pop().close()
        self._local = threading.local()
