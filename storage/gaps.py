"""What lies in a store's pages between their rows. With `secure_delete` a row that goes is written over where it lies,
but not the copies that stay behind in the unused middle of a page when rows move to another. They are cleared here.

Where that middle lies is said by SQLite's file format (https://sqlite.org/fileformat2.html, 1.6). No other byte is
changed, so that a process which is killed meanwhile leaves a sound store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from storage.sqlite import committing, select

_INDEX_INTERIOR, _TABLE_INTERIOR, _INDEX_LEAF, _TABLE_LEAF = 2, 5, 10, 13
_HEADER: Final = {_INDEX_INTERIOR: 12, _TABLE_INTERIOR: 12, _INDEX_LEAF: 8, _TABLE_LEAF: 8}
"""The length of a page's header by its first byte. What is no page of rows begins with the number of another page, of
which that byte is 0 or 1 (`_NO_ROWS`) while a store has less than `_MOST_PAGES`."""
_NO_ROWS: Final = 1
_ALWAYS_WHOLE: Final = 94
"""A shorter payload has no overflow pages, however small its page is: these are most of an index, so they are quick."""
_MOST_PAGES: Final = 2**25
_FILE_HEADER: Final = 100
_AT_ONCE: Final = 256
_ZEROS: Final = bytes(65_536)


def clear(path: Path, connection: apsw.Connection) -> bool:
    """Clears a store in WAL mode, whose writers wait meanwhile (about 0.3 s a GiB). False, and nothing is done, where
    somebody wrote since its write-ahead log was cut. Raises apsw's errors, BusyError where a writer does not end, and
    CorruptError, with nothing done, for a damaged page: its middle may not be where it says."""
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
    """Where there are bytes between rows that are not zero: place and length. CorruptError for a damaged page."""
    head = file.xRead(_FILE_HEADER, 0)
    size = int.from_bytes(head[16:18], "big")
    size = 65_536 if size == 1 else size
    usable = size - head[20]
    pages = file.xFileSize() // size
    if pages >= _MOST_PAGES:
        raise apsw.TooBigError(f"fewer than {_MOST_PAGES:,} pages were required, {pages:,} came")
    for first in range(0, pages, _AT_ONCE):
        block = file.xRead(min(_AT_ONCE, pages - first) * size, first * size)
        for start in range(0, len(block), size):
            at = first * size + start
            try:
                begin, end = _gap(block[start : start + usable], 0 if at else _FILE_HEADER)
            except (ValueError, IndexError, struct.error) as error:
                raise apsw.CorruptError(f"page {at // size + 1}: sound pages were required: {error}") from error
            if begin < end:
                yield at + begin, end - begin


def _gap(page: bytes, header: int) -> tuple[int, int]:
    """Where the middle of a page between its cell pointers and its cells lies; empty if it is all zeros, or there is
    none. ValueError, IndexError or struct.error where the page is damaged: its header cannot be trusted then, and in
    what it calls the middle there may be rows."""
    kind = page[header]
    if kind <= _NO_ROWS:
        return 0, 0
    if kind not in _HEADER:
        raise ValueError(f"of kind {kind}")
    free, count, content, fragments = struct.unpack_from(">HHHB", page, header + 1)
    begin, end = header + _HEADER[kind] + 2 * count, content or 65_536
    if not begin <= end <= len(page):
        raise ValueError(f"{count} cells, and these from byte {end} on")
    if page[begin:end] == _ZEROS[: end - begin]:
        return 0, 0
    cells = struct.unpack_from(f">{count}H", page, begin - 2 * count)
    sizes = (
        page[at] + 1 if kind == _INDEX_LEAF and 3 <= page[at] < _ALWAYS_WHOLE else _cell_size(page, at, kind)
        for at in cells
    )
    taken = sum(sizes) + sum(_free_sizes(page, free)) + fragments
    if min(cells, default=end) < end or taken != len(page) - end:
        raise ValueError(f"{taken} bytes behind byte {end} are taken")
    return begin, end


def _free_sizes(page: bytes, at: int) -> Iterator[int]:
    """The lengths of the free blocks among the cells: a chain in ascending order."""
    while at:
        following, size = struct.unpack_from(">HH", page, at)
        if 0 < following <= at:
            raise ValueError(f"a free block at byte {at} that is followed by one at byte {following}")
        yield size
        at = following


def _cell_size(page: bytes, start: int, kind: int) -> int:
    """How many bytes of its page a cell takes (file format, 1.6: what of a payload stays out of overflow pages)."""
    at = start + 4 if kind in (_INDEX_INTERIOR, _TABLE_INTERIOR) else start
    if kind == _TABLE_INTERIOR:
        return _varint(page, at)[1] - start
    payload, at = _varint(page, at)
    if kind == _TABLE_LEAF:
        at = _varint(page, at)[1]
    usable = len(page)
    most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if payload > most:
        least = (usable - 12) * 32 // 255 - 23
        kept = least + (payload - least) % (usable - 4)
        payload = (kept if kept <= most else least) + 4
    return max(4, at - start + payload)


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """An integer of one to nine bytes, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return value, place + 1
    return value << 8 | page[at + 8], at + 9
