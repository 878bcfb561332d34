"""A folder that is filled out of sight: all of it appears at the end, on the disk for certain, or nothing does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from membrane.errors import StoreUnavailable, UsageError
from storage.durable import fsync

_PART: Final = ".part"
_NOBODYS: Final = frozenset({_PART, "lost+found"})
"""What an empty folder may hold: what a killed process left, and what a new file system has."""


@contextmanager
def staged(target: Path, option: str, last: str) -> Iterator[Path]:
    """A folder for the block to fill. Its entries then move up into `target`, `last` after all others; if the block
    fails nothing is left. It lies inside `target`, since a mount point or a working directory cannot be replaced.

    UsageError unless `target` is missing or empty; StoreUnavailable, naming it, for an OSError of the block."""
    made = _open(target, option)
    part = target / _PART
    try:
        part.mkdir(mode=0o700)
        yield part
        _sync_all(part)
        _move_up(part, last)
    except OSError as error:
        raise cannot_write(target, error.strerror or error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if made:
            with suppress(OSError):  # it is full: all went well
                target.rmdir()


def cannot_write(target: Path, why: object) -> StoreUnavailable:
    """What to raise when a target cannot be written now."""
    return StoreUnavailable(f"{target}: cannot be written now: {why}")


def _open(target: Path, option: str) -> bool:
    """Makes `target` if it is missing (True), else clears it of what a killed process left."""
    try:
        made = not target.exists()
        if not made and (not target.is_dir() or _holds_something(target)):
            raise UsageError(f"{option} {target}: a folder that is missing or empty was required, this one is not")
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(target / _PART, ignore_errors=True)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise UsageError(f"{option} {target}: a folder to write to was required: {error.strerror}") from error
    except OSError as error:
        raise cannot_write(target, error.strerror) from error
    return made


def _holds_something(target: Path) -> bool:
    return any(entry.name not in _NOBODYS for entry in target.iterdir())


def _move_up(part: Path, last: str) -> None:
    """Moves the entries into the folder above, or none of them."""
    target, moved = part.parent, list[Path]()
    try:
        for entry in sorted(part.iterdir(), key=lambda entry: (entry.name == last, entry.name)):
            if entry.name == last:
                fsync(target)
            moved.append(entry)
            entry.rename(target / entry.name)
        fsync(target)
    except BaseException:
        for entry in moved:
            with suppress(OSError):
                (target / entry.name).rename(entry)
        raise


def _sync_all(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        fsync(path)
