"""Backup of a data directory beside whoever runs it, and its restoration into a new one.

Each store is held still at a moment of its own before any is copied. One that says how far it has come in another one
is held still before that: it may be behind it, never ahead. In this order:

1. `learn/*.db`: its places are numbers of labels in the records. Behind, it learns on; ahead, it would pass over the
   labels that get these numbers next.
2. `claims.db`, then `decisions.db`: permits and answers name offsets that were applied; a permit names its decision.
3. `records-<p>.db`: they name the next offset of the log. Behind, they catch up; ahead, they would miss signals.
4. `log.db`. It is copied first: who opens it anew to write waits for readers of older states.
5. `principles/`, which only grows, after the log that names them; then `models/pointers.json`, which the log follows
   (behind the log, it would undo what was promoted), and at last the bundles that both name. Of these only a learner's
   challengers of before are ever taken away, which nobody needs.

`checkpoint/` and where the log begins change only under the lock of whoever trims, which the caller holds. The manifest
comes at the very end and holds a digest of every file: a folder without one is no backup.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import apsw
import msgspec

from membrane.errors import RecordUnreadable, StoreRefused, StoreUnavailable, UsageError
from storage.digest import Digest, digest
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.sqlite import connect_readonly, read_error, reading, select
from storage.staging import cannot_write, staged

MANIFEST: Final = "backup.json"
FORMAT: Final = 1
_FOLDERS: Final = ("checkpoint", "principles", "models")
_SIDE_FILES: Final = ("-wal", "-shm", "-journal")
_PAGES_AT_ONCE: Final = 2_000
_BYTES_AT_ONCE: Final = 1 << 20
_FAILED_READS: Final = frozenset({apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ})

Progress = Callable[[int, int], None]
"""(bytes copied so far, bytes in all)"""


class BackedUpFile(msgspec.Struct):
    """A file of a backup."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct):
    """What a backup holds. `digest` is that of its records, which have come to the offsets in it; the log goes on to
    `log_ends`, by partition. `files` by their path in the folder."""

    format: int
    made_at: str
    log_id: str
    partitions: int
    digest: Digest
    log_ends: list[int]
    files: dict[str, BackedUpFile]


def back_up(data: Path, out: Path, made_at: str, progress: Progress) -> Manifest:
    """Copies a data directory into `out`, which must be missing or empty (UsageError). Whoever runs the directory goes
    on; what it writes meanwhile is not in the backup. RecordUnreadable, StoreUnavailable."""
    directory = DataDir.existing(data)
    with staged(out, "--out", MANIFEST) as part:
        copier = _Copier(directory, part, progress)
        copier.copy_stores()
        copier.copy_folders()
        manifest = Manifest(
            FORMAT,
            made_at,
            directory.log_id,
            directory.partitions,
            digest(part),
            _log_ends(part),
            {path.relative_to(part).as_posix(): _described(path) for path in _files(part)},
        )
        if any(done > end for done, end in zip(manifest.digest.offsets, manifest.log_ends, strict=True)):
            raise StoreUnavailable(
                f"{data}: records ahead of the log came: the directory was replaced meanwhile: try again"
            )
        (part / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def restore(backup: Path, data: Path, progress: Progress) -> Manifest:
    """Makes a data directory of a backup; `data` must be missing or empty (UsageError). StoreRefused when a file of the
    backup is missing or is not what was written, StoreUnavailable."""
    manifest = read_manifest(backup)
    total, done = sum(file.bytes for file in manifest.files.values()), 0
    with staged(data, "--data", "log.db") as part:
        for name, file in manifest.files.items():
            source, target = backup / name, part / _inside(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not source.is_file():
                raise StoreRefused(f"{source}: a file of the backup was required, there is none")
            _copy_file(source, target)
            if _described(target) != file:
                raise StoreRefused(f"{source}: the file that was backed up was required, another one came")
            done += file.bytes
            progress(done, total)
        found = digest(part)
        if found != manifest.digest:
            raise StoreRefused(f"{backup}: records of the digest {manifest.digest} were required, {found} came")
    return manifest


def read_manifest(backup: Path) -> Manifest:
    """What a backup says of itself. UsageError if there is none, StoreRefused if it cannot be read or is newer."""
    path = backup / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise UsageError(f"--from {backup}: a finished backup was required, it has no {MANIFEST}") from error
    except msgspec.MsgspecError as error:
        raise StoreRefused(f"{path}: the manifest of a backup was required: {error}") from error
    if manifest.format > FORMAT:
        raise StoreRefused(f"{path}: format {FORMAT} or older was required, {manifest.format} came: upgrade Membrane")
    return manifest


class _Copier:
    """Copies the parts of one directory; says how far it is."""

    def __init__(self, directory: DataDir, part: Path, progress: Progress) -> None:
        self._directory = directory
        self._part = part
        self._progress = progress
        self._done = 0
        self._total = sum(map(_size, (*self._stores(), *self._in_folders())))

    def copy_stores(self) -> None:
        """Every store as of its moment: all of these are taken before the copying begins. A store is let go as soon as
        it is copied, the log at first."""
        with ExitStack() as stack:
            held = [(path, stack.enter_context(closing(_held_still(path)))) for path in self._stores()]
            for path, source in reversed(held):
                self._copy_store(path, source)
                source.close()

    def copy_folders(self) -> None:
        """What lies in folders: stores as of one moment each, files as they are."""
        for path in self._in_folders():
            if path.suffix == ".db":
                with closing(_held_still(path)) as source:
                    self._copy_store(path, source)
            else:
                self._copy_file(path)

    def _stores(self) -> list[Path]:
        """In the order of their moments."""
        directory = self._directory
        paths = sorted((directory.path / "learn").glob("*.db"))
        paths += [directory.claims_path, directory.decisions_path]
        paths += [directory.records_path(number) for number in range(directory.partitions)]
        return [path for path in (*paths, directory.log_path) if path.is_file()]

    def _in_folders(self) -> Iterator[Path]:
        """Each folder is listed when it is its turn, its own files before the folders in it."""
        for folder in _FOLDERS:
            for pattern in ("*", "*/**/*"):
                yield from _files(self._directory.path / folder, pattern)

    def _copy_file(self, path: Path) -> None:
        target, size = self._target(path), _size(path)
        try:
            _copy_file(path, target)
        except StoreUnavailable:
            if path.parent.is_dir():
                raise
            shutil.rmtree(target.parent)  # its bundle was taken away meanwhile
        self._advance(size)

    def _copy_store(self, path: Path, source: apsw.Connection) -> None:
        before, size, target = self._done, _size(path), self._target(path)
        with _copying(path, target), closing(apsw.Connection(str(target))) as copy:
            with copy.backup("main", source, "main") as copying:
                while not copying.done:
                    copying.step(_PAGES_AT_ONCE)
                    share = 1 - copying.remaining / max(1, copying.page_count)
                    self._progress(min(before + int(share * size), self._total), self._total)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without others beside it
        self._done = before
        self._advance(size)

    def _target(self, path: Path) -> Path:
        target = self._part / path.relative_to(self._directory.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _advance(self, size: int) -> None:
        self._done += size
        self._progress(min(self._done, self._total), self._total)


def _held_still(path: Path) -> apsw.Connection:
    """A store as it is at this moment, whatever is written meanwhile, until the connection is closed."""
    with reading(path):
        connection = connect_readonly(path)
        try:
            connection.execute("BEGIN")
            select(connection, "SELECT count(*) FROM sqlite_schema")  # the moment is that of the first read
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def _copying(path: Path, target: Path) -> Iterator[None]:
    """Errors of the block: of the store that is read, or of the file that is written. SQLite has no words for them."""
    try:
        yield
    except apsw.Error as error:
        code = getattr(error, "extendedresult", 0)
        name = apsw.mapping_extended_result_codes.get(code) or apsw.mapping_result_codes.get(code, str(error))
        found = read_error(type(error)(name), path)
        if isinstance(found, RecordUnreadable) or code in _FAILED_READS:
            raise found from error
        raise cannot_write(target, "the disk is full" if isinstance(error, apsw.FullError) else name) from error


def _copy_file(source: Path, target: Path) -> None:
    """StoreUnavailable for a source that cannot be read, OSError for a target that cannot be written."""
    with target.open("wb") as copy:
        copy.writelines(_bytes_of(source))


def _bytes_of(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while some := file.read(_BYTES_AT_ONCE):
                yield some
    except OSError as error:
        raise StoreUnavailable(f"{path}: not available: {error.strerror}") from error


def _size(path: Path) -> int:
    """0 for what was taken away meanwhile."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(folder: Path, pattern: str = "**/*") -> list[Path]:
    """But for what is beside a store, and drafts and locks, whose names begin with a dot."""
    try:
        return [path for path in sorted(folder.glob(pattern)) if path.is_file() and _is_kept(path.relative_to(folder))]
    except OSError as error:
        raise StoreUnavailable(f"{folder}: not available: {error.strerror}") from error


def _is_kept(path: Path) -> bool:
    return not path.name.endswith(_SIDE_FILES) and not any(name.startswith(".") for name in path.parts)


def _described(path: Path) -> BackedUpFile:
    with path.open("rb") as file:
        return BackedUpFile(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise StoreRefused(f"{MANIFEST}: paths inside the backup were required, {name!r} came")
    return path


def _log_ends(data: Path) -> list[int]:
    log = LogReader(DataDir.existing(data))
    try:
        return [log.end(partition) for partition in range(log.directory.partitions)]
    finally:
        log.close()
