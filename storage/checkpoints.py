"""Checkpoints: of each partition the records as they were at an offset of the log, before which it may be trimmed.

They are made in a folder of their own, beside whoever runs the directory, and take their place when they are whole. A
rebuild begins with them, and so does every look back. Erasing a customer erases it from them, too.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from membrane.errors import AnotherWriter, StoreRefused, StoreUnavailable
from membrane.ports import PartitionMeta
from storage import erasing
from storage.directory import CHECKPOINT, DataDir, checkpoint_offset, copy_store, empty_store
from storage.durable import fsync
from storage.lock import dir_lock
from storage.slots import find, named
from storage.sqlite import connect, connect_readonly, reading, select, transaction, writing

_PART: Final = "checkpoint.part"
TRIM: Final = "trim"
"""The role of whoever makes checkpoints (`storage.lock.dir_lock`)."""
ERASURE_SECONDS: Final = 15.0
"""An erasure has that role, too, for a moment: whoever comes then waits for it, at most so long."""
_PATIENCE_SECONDS: Final = 2.0
_HINT: Final = "trim again; where that does not help, see `membrane doctor`"

Customer = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a look back begins: what the checkpoint says of itself, and some customers' records and due times."""

    meta: PartitionMeta
    records: dict[Customer, tuple[bytes, int | None]]


NOTHING: Final = Start(PartitionMeta(0, b""), {})


def begin(directory: DataDir, partition: int) -> DataDir:
    """Lays out a store for a new checkpoint of a partition: the last one's copy, or an empty one. The directory as
    whoever writes that store sees it."""
    part = directory.with_records_in(_PART)
    path, last = part.records_path(partition), directory.checkpoint_path(partition)
    path.parent.mkdir(exist_ok=True)
    _unlink(path)
    with writing(path, _HINT):
        if last.is_file():
            _in_one_file(last)
            copy_store(last, path)
        else:
            empty_store(path, directory.log_id, CHECKPOINT, partition)
    return part


def finish(directory: DataDir, partition: int, erased: Callable[[], Iterable[int]]) -> None:
    """Puts the new checkpoint in the place of the last one, when it is known to be sound. Whoever was erased while it
    was made goes from it: `erased` is read from the log just before, and who is erased later is told to wait (`erase`).

    Both are one file each, then: beside another store a write-ahead log would be applied to that one.
    """
    path, place = directory.with_records_in(_PART).records_path(partition), directory.checkpoint_path(partition)
    with writing(path, _HINT):
        connection = connect(path)
        try:
            with transaction(connection):
                for key in erased():
                    for name in named(connection, key):
                        erasing.erase_records(connection, *name)
        finally:
            connection.close()
    erasing.purge(path)
    _in_one_file(path)
    fault = fault_of(path)
    if fault is not None:
        raise StoreRefused(f"{path}: a sound store was required, {fault}: {_HINT}")
    place.parent.mkdir(exist_ok=True)
    wal = place.with_name(place.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreRefused(f"{wal}: no write-ahead log was required, somebody has written one meanwhile: {_HINT}")
    path.replace(place)
    for folder in (place.parent, directory.path):
        fsync(folder)


def erase(directory: DataDir, partition: int, tenant: str, customer: str) -> erasing.Removed | None:
    """Erases a customer from the checkpoint of its partition, and drops what an interrupted trim left behind. None, and
    nothing is done, while a trim is making checkpoints: they take each other's place then, and the new ones will not
    hold the customer. StoreUnavailable, StoreRefused."""
    path = directory.checkpoint_path(partition)
    with dir_lock(directory.path, TRIM) as lock:
        try:
            lock.acquire(patience_seconds=_PATIENCE_SECONDS)  # whoever erases somebody else is done soon
        except AnotherWriter:
            return None
        shutil.rmtree(directory.path / _PART, ignore_errors=True)
        if not path.is_file():
            return {}
        removed = erasing.erase_from(path, tenant, customer)
        erasing.purge(path)
        return removed


def start_of(directory: DataDir, partition: int, customers: Iterable[Customer]) -> Start:
    """Where a look back at some customers begins: at the checkpoint of their partition, or with nothing at 0."""
    path = directory.checkpoint_path(partition)
    if not path.is_file():
        return NOTHING
    with reading(path):
        connection = connect_readonly(path)
        try:
            meta = PartitionMeta(*select(connection, "SELECT next_offset, meta FROM store")[0])
            return Start(meta, _found(connection, customers))
        finally:
            connection.close()


def fault_of(path: Path) -> str | None:
    """What SQLite finds wrong in the pages of a checkpoint, None if it is sound. RecordUnreadable, StoreUnavailable."""
    with reading(path):
        connection = connect_readonly(path)
        try:
            found = str(select(connection, "PRAGMA integrity_check(1)")[0][0])
        finally:
            connection.close()
    return None if found == "ok" else found


def offset(directory: DataDir, partition: int) -> int:
    """Up to which offset a partition's checkpoint holds the log; 0 without one."""
    return checkpoint_offset(directory.checkpoint_path(partition))


def _found(connection: apsw.Connection, customers: Iterable[Customer]) -> dict[Customer, tuple[bytes, int | None]]:
    found = {}
    for customer in customers:
        _, body, due = find(connection, *customer)
        if body is not None:
            found[customer] = body, due
    return found


def _in_one_file(path: Path) -> None:
    """Copies a store's write-ahead log into it and does away with that, on disk. An erasure that was killed leaves one
    behind. StoreRefused; StoreUnavailable while somebody reads it for long."""
    end = time.monotonic() + _PATIENCE_SECONDS
    with writing(path, _HINT):
        connection = connect(path, synchronous="FULL")
        try:
            while not _leaves_wal(connection):
                if time.monotonic() > end:
                    raise StoreUnavailable(f"{path}: a reader keeps its write-ahead log from being done away with")
                time.sleep(0.02)
        finally:
            connection.close()


def _leaves_wal(connection: apsw.Connection) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()  # which waits for nobody
    except apsw.BusyError:
        return False
    return True


def _unlink(path: Path) -> None:
    for sibling in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + sibling).unlink(missing_ok=True)
