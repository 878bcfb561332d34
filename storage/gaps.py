"""What lies in a store's pages between their rows. With `secure_delete` a row that goes is written over where it lies,
but not the copies that stay behind in the unused middle of a page when rows move to another. They are cleared here.

Where that middle lies is said by SQLite's file format (https://sqlite.org/fileformat2.html, 1.6). No other byte is
changed, so that a process which is killed meanwhile leaves a sound store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from storage.sqlite import committing, select

_HEADER: Final = {2: 12, 5: 12, 10: 8, 13: 8}
"""The length of a page's header by its first byte. What is no page of rows begins with the number of another page, of
which that byte is 0 or 1 while a store has less than `_MOST_PAGES`."""
_MOST_PAGES: Final = 2**25
_FILE_HEADER: Final = 100
_AT_ONCE: Final = 256
_ZEROS: Final = bytes(65_536)


def clear(path: Path, connection: apsw.Connection) -> bool:
    """Clears a store in WAL mode, whose writers wait meanwhile (about 0.3 s a GiB). False, and nothing is done, where
    somebody wrote since its write-ahead log was cut. Raises apsw's errors, BusyError where a writer does not end."""
    connection.execute("BEGIN IMMEDIATE")
    with committing(connection):
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            return False
        file = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB, 0])
        try:
            for at, length in list(_stale(file)):
                file.xWrite(_ZEROS[:length], at)
            file.xSync(apsw.SQLITE_SYNC_NORMAL)
        finally:
            with suppress(apsw.Error):
                file.xClose()
        version = select(connection, "PRAGMA user_version")[0][0]
        connection.execute(f"PRAGMA user_version = {version}")  # a change: who remembers pages forgets them
    return True


def _stale(file: apsw.VFSFile) -> Iterator[tuple[int, int]]:
    """Where there are bytes between rows that are not zero: place and length."""
    head = file.xRead(_FILE_HEADER, 0)
    size = int.from_bytes(head[16:18], "big")
    size = 65_536 if size == 1 else size
    pages = file.xFileSize() // size
    if pages >= _MOST_PAGES:
        raise apsw.TooBigError(f"fewer than {_MOST_PAGES:,} pages were required, {pages:,} came")
    for first in range(0, pages, _AT_ONCE):
        block = file.xRead(min(_AT_ONCE, pages - first) * size, first * size)
        for start in range(0, len(block), size):
            header = start + (_FILE_HEADER if first == start == 0 else 0)
            length = _HEADER.get(block[header])
            if length is None:
                continue
            begin = header + length + 2 * int.from_bytes(block[header + 3 : header + 5], "big")
            end = start + (int.from_bytes(block[header + 5 : header + 7], "big") or 65_536)
            if block[begin:end] != _ZEROS[: end - begin]:
                yield first * size + begin, end - begin
