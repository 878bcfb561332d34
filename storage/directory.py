"""The data directory: where everything lies, how it is made, and which store belongs to which log.

log.db's meta has a random log id and, for each partition, the id of the records store that was made for it. So a store
that is empty because it is new is told from one that is empty because it was lost, swapped or brought from elsewhere.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import apsw

from membrane.errors import StoreRefused, StoreUnavailable, UsageError
from storage.schema import LOG_VERSION, RECORDS, RECORDS_VERSION, log_tables
from storage.sqlite import REBUILD_HINT, connect, connect_readonly, reading, select, transaction, writing

DEFAULT_PARTITIONS: Final = 8
MAX_PARTITIONS: Final = 256
CHECKPOINT: Final = "checkpoint"
"""The folder of the checkpoints, and what their stores have for an id."""
_SIBLINGS: Final = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class DataDir:
    """An open data directory; holds no connection. Files in it that are not ours are left alone."""

    path: Path
    partitions: int
    log_id: str
    records_folder: str = ""

    @classmethod
    def open(cls, path: str | Path, partitions: int | None = None) -> Self:
        """Makes the directory if it is missing or empty (8 partitions unless told), else opens what is there.

        The number of partitions is fixed when it is made: UsageError if another one is asked for. StoreRefused if
        log.db is lost, foreign or newer; StoreUnavailable if the disk does not let us.
        """
        path = Path(path)
        if partitions is not None and not 1 <= partitions <= MAX_PARTITIONS:
            raise UsageError(f"partitions: 1 to {MAX_PARTITIONS} were required, {partitions} came")
        with _making(path):
            directory = cls._open_log(path, partitions)
            for partition, store_id in enumerate(directory.store_ids()):
                if store_id is None:
                    directory.remake_records(partition, locked=True)
        return directory

    @classmethod
    def existing(cls, path: str | Path) -> Self:
        """Opens a data directory that must be there already, writing nothing. UsageError if it is not."""
        path = Path(path)
        if not (path / "log.db").is_file():
            raise UsageError(f"--data {path}: a data directory was required, there is no log.db in it")
        with writing(path / "log.db", _LOG_HINT):
            connection = connect_readonly(path / "log.db")
            try:
                return cls._of_meta(path, _log_meta(connection), None)
            finally:
                connection.close()

    @property
    def log_path(self) -> Path:
        """The signal log."""
        return self.path / "log.db"

    @property
    def decisions_path(self) -> Path:
        """The decision log."""
        return self.path / "decisions.db"

    @property
    def claims_path(self) -> Path:
        """Claims on contact caps, and permits."""
        return self.path / "claims.db"

    @property
    def principles_path(self) -> Path:
        """Principle files by digest."""
        return self.path / "principles"

    @property
    def models_path(self) -> Path:
        """Model bundles by digest."""
        return self.path / "models"

    @property
    def run_path(self) -> Path:
        """Locks, pid files and what else lives only as long as the processes."""
        return self.path / "run"

    @property
    def rebuild_hint(self) -> str:
        """What to run when a records store is refused."""
        return REBUILD_HINT.format(self.path)

    def records_path(self, partition: int) -> Path:
        """The records store of one partition."""
        return _records_path(self.path / self.records_folder, partition)

    def checkpoint_path(self, partition: int) -> Path:
        """The records of one partition as of where its log was trimmed, if it was."""
        return _records_path(self.path / CHECKPOINT, partition)

    def with_records_in(self, folder: str) -> Self:
        """The same directory with other records stores: those of a checkpoint that is being made."""
        return replace(self, records_folder=folder)

    def pid_path(self, role: str) -> Path:
        """The pid file of one role (`up`, `api`, `stream`)."""
        return self.run_path / f"{role}.pid"

    def store_ids(self) -> list[str | None]:
        """The id of the records store made for each partition, None where none was made yet."""
        with writing(self.log_path, _LOG_HINT):
            connection = connect_readonly(self.log_path)
            try:
                return [row[0] for row in select(connection, "SELECT store_id FROM stores ORDER BY partition")]
            finally:
                connection.close()

    def remake_records(self, partition: int, *, locked: bool = False) -> None:
        """Replaces the records store of a partition by an empty one, or by its checkpoint, and registers it. Its writer
        must be stopped. StoreRefused when the log was trimmed, and the checkpoint is lost.

        It is struck off before it is deleted: a crash on the way leaves a store that the next `open` makes anew.
        """
        if not locked:
            with _making(self.path):
                return self.remake_records(partition, locked=True)
        path, store_id = self.records_path(partition), uuid.uuid4().hex
        checkpoint = self._checkpoint_of(partition)
        with writing(path, self.rebuild_hint):
            self._register(partition, None)
            for sibling in _SIBLINGS:
                path.with_name(path.name + sibling).unlink(missing_ok=True)
            if checkpoint is None:
                empty_store(path, self.log_id, store_id, partition)
            else:
                copy_store(checkpoint, path, store_id)
            self._register(partition, store_id)
        return None

    def check_store(self, connection: apsw.Connection, partition: int) -> None:
        """StoreRefused unless the open records store is the one that was made for this partition of this log."""
        path = self.records_path(partition)
        rows = select(connection, "SELECT version, log_id, partition, store_id FROM store")
        if not rows:
            raise self._refused(path, "a records store", "a file without an identity")
        version, log_id, found, store_id = rows[0]
        if version > RECORDS_VERSION:
            raise StoreRefused(
                f"{path}: schema version {RECORDS_VERSION} or older was required, {version} came: upgrade Membrane, or "
                + self.rebuild_hint
            )
        if log_id != self.log_id:
            raise self._refused(path, "the records of this log", "those of another log")
        if found != partition:
            raise self._refused(path, f"the records of partition {partition}", f"those of partition {found}")
        if store_id != (CHECKPOINT if self.records_folder else self.store_ids()[partition]):
            raise self._refused(path, "the store that log.db knows", "an older or a copied one")

    def missing_store(self, partition: int) -> StoreRefused:
        """What to raise when a registered store is not there."""
        return self._refused(self.records_path(partition), "the records store made with this log", "no file")

    def _refused(self, path: Path, required: str, came: str) -> StoreRefused:
        return StoreRefused(f"{path}: {required} was required, {came} came: {self.rebuild_hint}")

    def _checkpoint_of(self, partition: int) -> Path | None:
        """Where the records of a partition begin; None: at the beginning of the log."""
        path, needed = self.checkpoint_path(partition), self.trimmed(partition)
        if not self.has_checkpoint(partition):
            raise StoreRefused(
                f"{path}: the records up to offset {needed} were required, where the log was trimmed, and they are not "
                "there: put the folder `checkpoint` of this directory back from a backup"
            )
        return path if path.is_file() else None

    def has_checkpoint(self, partition: int) -> bool:
        """Whether the records can be made again: from the log's beginning, or from where it was trimmed."""
        return checkpoint_offset(self.checkpoint_path(partition)) >= self.trimmed(partition)

    def trimmed(self, partition: int) -> int:
        """The offset up to which a partition's log was trimmed."""
        with writing(self.log_path, _LOG_HINT):
            connection = connect_readonly(self.log_path)
            try:
                return int(_log_meta(connection).get(f"trimmed_{partition}", 0))
            finally:
                connection.close()

    def _register(self, partition: int, store_id: str | None) -> None:
        connection = connect(self.log_path, synchronous="FULL")
        try:
            with transaction(connection):
                connection.execute("UPDATE stores SET store_id = ? WHERE partition = ?", (store_id, partition))
        finally:
            connection.close()

    @classmethod
    def _open_log(cls, path: Path, partitions: int | None) -> Self:
        log = path / "log.db"
        if not log.exists() and any(_records_path(path, partition).exists() for partition in range(MAX_PARTITIONS)):
            raise StoreRefused(f"{log}: missing, while records made from it are there: {_LOG_HINT}")
        with writing(log, _LOG_HINT):
            connection = connect(log, synchronous="FULL")
            try:
                if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
                    _make_log(connection, partitions or DEFAULT_PARTITIONS)
                return cls._of_meta(path, _log_meta(connection), partitions)
            finally:
                connection.close()

    @classmethod
    def _of_meta(cls, path: Path, meta: dict[str, Any], partitions: int | None) -> Self:
        log = path / "log.db"
        if not {"log_id", "version", "partitions"} <= meta.keys():
            raise StoreRefused(f"{log}: a signal log was required, another database came: {_LOG_HINT}")
        if meta["version"] > LOG_VERSION:
            raise StoreRefused(
                f"{log}: schema version {LOG_VERSION} or older was required, {meta['version']} came: upgrade Membrane"
            )
        if partitions not in (None, meta["partitions"]):
            raise UsageError(
                f"--partitions {partitions}: {path} was made with {meta['partitions']} partitions, and their number "
                "is fixed when a data directory is made"
            )
        return cls(path, meta["partitions"], meta["log_id"])


_LOG_HINT: Final = "put the log.db of this directory back, or name another --data"


def _records_path(path: Path, partition: int) -> Path:
    return path / f"records-{partition}.db"


@contextmanager
def _making(path: Path) -> Iterator[None]:
    """Makes the folders; processes that start at the same moment make the rest one after the other."""
    try:
        for folder in ("run", "principles", "models"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        lock = (path / "run" / "make.lock").open("a")
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"--data {path}: a directory to write to was required: {error.strerror}") from error
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot be made: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _log_meta(connection: apsw.Connection) -> dict[str, Any]:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is None:
        return {}
    return dict(select(connection, "SELECT name, value FROM meta"))


def _make_log(connection: apsw.Connection, partitions: int) -> None:
    with transaction(connection):
        connection.execute(log_tables(partitions)).fetchall()
        connection.executemany(
            "INSERT INTO meta VALUES(?, ?)",
            [("log_id", uuid.uuid4().hex), ("version", LOG_VERSION), ("partitions", partitions)],
        )
        connection.executemany("INSERT INTO stores VALUES(?, NULL)", [(number,) for number in range(partitions)])


def checkpoint_offset(path: Path) -> int:
    """Up to which offset a checkpoint holds the log; 0 if there is none. RecordUnreadable, StoreUnavailable."""
    if not path.is_file():
        return 0
    with reading(path):
        connection = connect_readonly(path)
        try:
            return int(select(connection, "SELECT next_offset FROM store")[0][0])
        finally:
            connection.close()


def copy_store(source: Path, target: Path, store_id: str | None = None) -> None:
    """Copies a records store, and gives the copy an id of its own if one is given. Raises apsw's errors."""
    original = connect_readonly(source)
    copy = connect(target)
    try:
        with copy.backup("main", original, "main") as copying:
            copying.step(-1)
        if store_id is not None:
            with transaction(copy):
                copy.execute("UPDATE store SET store_id = ?", (store_id,))
    finally:
        copy.close()
        original.close()


def empty_store(path: Path, log_id: str, store_id: str, partition: int) -> None:
    """Makes a records store. Raises apsw's errors."""
    connection = connect(path)
    try:
        with transaction(connection):
            connection.execute(RECORDS).fetchall()
            connection.execute(
                "INSERT INTO store VALUES(1, ?, ?, ?, ?, 0, 0, ?)",
                (RECORDS_VERSION, log_id, store_id, partition, b""),
            )
    finally:
        connection.close()
