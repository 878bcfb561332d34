"""Poison: a record of the log that kills the process is found and set aside (law 6).

A small file says which batch is in hand: it is noted right before the batch is applied and cleared when its commit is
written, so that a process that is killed elsewhere leaves no trace. Two deaths over a batch: batches of one from then
on. A record that then kills the process twice is poison. Every commit forgets the deaths before it, also one that goes
no further in the log (a long tick is written in parts). The note survives a killed process (the page cache does); it
need not survive the machine.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from membrane.errors import StoreUnavailable

_NOTE: Final = struct.Struct("<qqBBq")  # offset, deaths there, in hand?, one at a time? (up to this offset)
WIDE_DEATHS: Final = 2
SINGLE_DEATHS: Final = 2


class Attempts:
    """The note of one partition. `limit` says how many records the next batch may have. StoreUnavailable when the disk
    refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = -1
        self._deaths = 0
        self._single_until = -1
        with self._errors():
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._noted = os.pread(self._file, _NOTE.size, 0)
        try:
            with self._errors():  # from then on it is only written over, which a full disk does not refuse
                os.posix_fallocate(self._file, 0, _NOTE.size)
        except StoreUnavailable:
            os.close(self._file)
            raise

    def start(self, offset: int) -> bool:
        """Called once, with the offset that the store holds. True if the record there is poison."""
        at, deaths, in_hand, single, until = _NOTE.unpack(self._noted.ljust(_NOTE.size, b"\0"))
        if at != offset:
            return False
        deaths += in_hand == 1
        poison = bool(single) and deaths >= SINGLE_DEATHS
        if single:
            self._single_until = until
        elif deaths >= WIDE_DEATHS:
            deaths, self._single_until = 0, max(until, offset + 1)
        self._at, self._deaths = offset, 0 if poison else deaths
        self._write(offset, in_hand=False, until=max(until, self._single_until))
        return poison

    def limit(self, offset: int, batch: int) -> int:
        """One, while going carefully past the place where the process died; else `batch`."""
        return 1 if offset < self._single_until else batch

    def note(self, offset: int, records: int) -> None:
        """The batch of `records` from `offset` on is about to be applied."""
        if offset != self._at:
            self._at, self._deaths = offset, 0
        self._write(offset, in_hand=True, until=max(self._single_until, offset + records))

    def clear(self, offset: int) -> None:
        """What was in hand is written, and `offset` is the next."""
        self._at, self._deaths = offset, 0
        self._write(offset, in_hand=False, until=self._single_until)

    def forgive(self) -> None:
        """The process ends for a reason that is no record's doing (it was told to, or a store fails)."""
        self._write(self._at, in_hand=False, until=self._single_until)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def _write(self, offset: int, *, in_hand: bool, until: int) -> None:
        single = offset < self._single_until
        with self._errors():
            os.pwrite(self._file, _NOTE.pack(offset, self._deaths, in_hand, single, until), 0)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(f"{self._path}: cannot be written now: {error.strerror}") from error
