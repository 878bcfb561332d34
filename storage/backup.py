"""Backup of a data directory beside whoever runs it, and its restoration into a new one.

Every store is copied as it was at one moment; the log's moment is the last one, so that records never are ahead of it.
Principle files and bundles come after the log that names them. The manifest is written at the end and holds a digest of
every file: a folder without one is no backup.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import apsw
import msgspec

from membrane.errors import StoreRefused, StoreUnavailable, UsageError
from storage.digest import Digest, digest
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.sqlite import connect_readonly, reading, select, snapshot

MANIFEST: Final = "backup.json"
FORMAT: Final = 1
_FOLDERS: Final = ("checkpoint", "learn", "principles", "models")
_SIDE_FILES: Final = ("-wal", "-shm", "-journal")
_PAGES_AT_ONCE: Final = 2_000

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
    part = _staged(out, "--out")
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
    part.rename(out)
    return manifest


def restore(backup: Path, data: Path, progress: Progress) -> Manifest:
    """Makes a data directory of a backup; `data` must be missing or empty (UsageError). StoreRefused when a file of the
    backup is missing or is not what was written."""
    manifest = read_manifest(backup)
    part = _staged(data, "--data")
    total, done = sum(file.bytes for file in manifest.files.values()), 0
    for name, file in manifest.files.items():
        target = part / _inside(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(backup / name, target)
        except OSError as error:
            raise StoreRefused(f"{backup / name}: a file of the backup was required: {error.strerror}") from error
        if _described(target) != file:
            raise StoreRefused(f"{backup / name}: the file that was backed up was required, another one came")
        done += file.bytes
        progress(done, total)
    found = digest(part)
    if found != manifest.digest:
        raise StoreRefused(f"{backup}: records of the digest {manifest.digest} were required, {found} came")
    part.rename(data)
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
        stores = [path for path in (*self._beside_the_log(), directory.log_path) if path.is_file()]
        self._total = sum(path.stat().st_size for path in (*stores, *self._in_folders()))

    def copy_stores(self) -> None:
        """Every store as of one moment: all of these are taken before the copying begins, the log's at last."""
        with ExitStack() as stack:
            paths = [path for path in (*self._beside_the_log(), self._directory.log_path) if path.is_file()]
            taken = [(path, stack.enter_context(_at_one_moment(path))) for path in paths]
            for path, source in taken:
                self._copy_store(path, source)

    def copy_folders(self) -> None:
        """What lies in folders: stores as of one moment each, files as they are."""
        for path in self._in_folders():
            target = self._target(path)
            if path.suffix == ".db":
                with _at_one_moment(path) as source:
                    self._copy_store(path, source)
            else:
                shutil.copyfile(path, target)
                self._advance(path.stat().st_size)

    def _beside_the_log(self) -> list[Path]:
        numbers = range(self._directory.partitions)
        records = [self._directory.records_path(number) for number in numbers]
        return [self._directory.claims_path, self._directory.decisions_path, *records]

    def _in_folders(self) -> Iterator[Path]:
        for folder in _FOLDERS:
            yield from _files(self._directory.path / folder)

    def _copy_store(self, path: Path, source: apsw.Connection) -> None:
        before = self._done
        with reading(path):
            copy = apsw.Connection(str(self._target(path)))
            try:
                with copy.backup("main", source, "main") as copying:
                    while not copying.done:
                        copying.step(_PAGES_AT_ONCE)
                        share = 1 - copying.remaining / max(1, copying.page_count)
                        self._progress(before + int(share * path.stat().st_size), self._total)
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without others beside it
            finally:
                copy.close()
        self._done = before
        self._advance(path.stat().st_size)

    def _target(self, path: Path) -> Path:
        target = self._part / path.relative_to(self._directory.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _advance(self, size: int) -> None:
        self._done += size
        self._progress(min(self._done, self._total), self._total)


@contextmanager
def _at_one_moment(path: Path) -> Iterator[apsw.Connection]:
    """A store, held still while the block runs, whatever is written meanwhile."""
    with reading(path):
        connection = connect_readonly(path)
        try:
            with snapshot(connection):
                select(connection, "SELECT count(*) FROM sqlite_schema")  # the moment is that of the first read
                yield connection
        finally:
            connection.close()


def _staged(path: Path, option: str) -> Path:
    """A new folder beside `path`, which takes its place when all is done. UsageError unless that is free."""
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{option} {path}: a folder that is missing or empty was required, this one is not")
        part = path.with_name(f".{path.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"{option} {path}: a folder to write to was required: {error.strerror}") from error
    return part


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(_SIDE_FILES):
            yield path


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
