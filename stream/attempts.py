"""Poison: a record of the log that kills the process is found and set aside (law 6).

Before each batch its offset is noted in a small file. Three starts at one offset: batches of one from then on. A
record that then kills the process twice is poison. The note survives a killed process (the page cache does); it need
not survive the machine.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

_NOTE: Final = struct.Struct("<qqBq")  # offset, starts there, one at a time?, one at a time up to this offset
WIDE_STARTS: Final = 3
SINGLE_DEATHS: Final = 2


class Attempts:
    """The note of one partition. `limit` says how many records the next batch may have."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._starts = 1
        self._at = -1
        self._single_until = -1

    def start(self, offset: int) -> bool:
        """Called once, with the offset that the store holds. True if the record there is poison."""
        noted = os.pread(self._file, _NOTE.size, 0)
        if len(noted) < _NOTE.size:
            return False
        at, starts, single, until = _NOTE.unpack(noted)
        if at != offset:
            return False
        self._at, self._starts = offset, starts + 1
        if single:
            self._single_until = until
            return bool(self._starts > SINGLE_DEATHS)
        if self._starts >= WIDE_STARTS:
            self._starts, self._single_until = 1, max(until, offset + 1)
        return False

    def limit(self, offset: int, batch: int) -> int:
        """One, while going carefully past the place where the process died; else `batch`."""
        return 1 if offset < self._single_until else batch

    def note(self, offset: int, records: int) -> None:
        """Note that the batch of `records` from `offset` on is about to be applied."""
        starts = self._starts if offset == self._at else 1
        single = offset < self._single_until
        until = self._single_until if single else offset + records
        os.pwrite(self._file, _NOTE.pack(offset, starts, single, until), 0)

    def forget(self) -> None:
        """The process ends for a reason that is no record's doing (a store that fails): this start does not count."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
