"""Clearing what lies between the rows of a store: no byte of what was deleted is left, and every row is as it was."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from membrane.errors import MembraneError
from storage import erasing, gaps
from storage.sqlite import connect, connect_readonly, select

TABLES = """
CREATE TABLE by_number(k INTEGER PRIMARY KEY, who TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE by_text(k TEXT PRIMARY KEY, who TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX of_body ON by_number(body);
"""


def needle(who: int) -> str:
    return f"<needle of {who:03}>"


def fill(connection: apsw.Connection, rng: random.Random, rounds: int, people: range = range(40)) -> None:
    """Rows of some people in a random order and of any length, some of them written over: pages split and merge."""
    for _ in range(rounds):
        for table, key in (("by_number", rng.getrandbits(40)), ("by_text", f"{rng.getrandbits(40):010x}")):
            who = rng.choice(people)
            row = (key, needle(who), needle(who) * rng.choice((1, 3, 20, 60, 400)))
            connection.execute(f"INSERT OR REPLACE INTO {table} VALUES(?, ?, ?)", row)
            changed = needle(rng.choice(people))
            connection.execute(
                f"UPDATE {table} SET body = ? WHERE rowid = (SELECT max(rowid) FROM {table} WHERE who = ?)"
                if table == "by_number"
                else f"UPDATE {table} SET body = ? WHERE k = (SELECT max(k) FROM {table} WHERE who = ?)",
                (changed * rng.choice((1, 9, 30)), changed),
            )


def forget(connection: apsw.Connection, who: int) -> None:
    for table in ("by_number", "by_text"):
        connection.execute(f"DELETE FROM {table} WHERE who = ?", (needle(who),))


def rows(connection: apsw.Connection) -> list[object]:
    return [select(connection, f"SELECT * FROM {table} ORDER BY k") for table in ("by_number", "by_text")]


@given(seed=st.integers(0, 2**32), gone=st.sets(st.integers(0, 39), min_size=1))
@settings(max_examples=15, deadline=None)
def test_no_byte_of_who_is_gone_is_left_and_every_other_row_is_as_it_was(tmp_path_factory, seed, gone):
    path = tmp_path_factory.mktemp("gaps") / "store.db"
    rng = random.Random(seed)
    with closing(connect(path)) as connection:
        connection.execute(TABLES).fetchall()
        fill(connection, rng, 150)
        for who in gone:
            forget(connection, who)
        before = rows(connection)
        erasing.purge(path)
        assert rows(connection) == before
        assert select(connection, "PRAGMA integrity_check") == [("ok",)]
        body = path.read_bytes()
    assert [who for who in gone if needle(who).encode() in body] == []


def test_moved_rows_do_leave_copies_behind_without_it(tmp_path, monkeypatch):
    """What the test above would not find otherwise."""
    monkeypatch.setattr(gaps, "clear", lambda *_: True)
    path = tmp_path / "store.db"
    with closing(connect(path)) as connection:
        connection.execute(TABLES).fetchall()
        fill(connection, random.Random(1), 600)
        for who in range(20):
            forget(connection, who)
        erasing.purge(path)
    assert any(needle(who).encode() in path.read_bytes() for who in range(20))


def test_a_writer_that_remembers_pages_brings_nothing_back(tmp_path):
    path = tmp_path / "store.db"
    with closing(connect(path)) as writer, closing(connect(path)) as connection:
        writer.execute(TABLES).fetchall()
        fill(writer, random.Random(1), 600)
        for who in range(20):
            forget(writer, who)
        select(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
        rows(writer)
        assert gaps.clear(path, connection) is True
        writer.execute("UPDATE by_number SET who = who || '!'")
        writer.execute("UPDATE by_text SET who = who || '!'")
        select(writer, "PRAGMA wal_checkpoint(TRUNCATE)")
        assert select(writer, "PRAGMA integrity_check") == [("ok",)]
    assert not any(needle(who).encode() in path.read_bytes() for who in range(20))


def test_nothing_is_cleared_while_somebody_writes(tmp_path):
    path = tmp_path / "store.db"
    with closing(connect(path)) as writer, closing(connect(path, busy_ms=0)) as connection:
        writer.execute(TABLES).fetchall()
        assert gaps.clear(path, connection) is False
        select(writer, "PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(apsw.BusyError):
            gaps.clear(path, connection)
        writer.execute("ROLLBACK")
        assert gaps.clear(path, connection) is True


PAGE = 4_096


@pytest.fixture(scope="module")
def much_written(tmp_path_factory) -> Path:
    """A store in whose pages rows have left copies behind, as one file."""
    path = tmp_path_factory.mktemp("much") / "store.db"
    with closing(connect(path)) as connection:
        connection.execute(TABLES).fetchall()
        fill(connection, random.Random(1), 250)
    return path


def flipped(body: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(body)
    changed[place] ^= 1 << bit
    return bytes(changed)


def all_read(path) -> list[object]:
    """What each way through a store gives, or how it fails."""
    found = []
    for sql in (
        "SELECT * FROM by_number NOT INDEXED",
        "SELECT * FROM by_text",
        "SELECT body, k FROM by_number INDEXED BY of_body ORDER BY body",
    ):
        try:
            with closing(connect_readonly(path)) as connection:
                found.append(select(connection, sql))
        except (apsw.Error, UnicodeDecodeError) as error:
            found.append(type(error))
    return found


def purged(path) -> bool:
    try:
        erasing.purge(path, seconds=0.1)
    except MembraneError:
        return False
    return True


@given(share=st.floats(0, 1, exclude_max=True), in_header=st.booleans(), byte=st.integers(0, 15), bit=st.integers(0, 7))
@settings(max_examples=150)
@example(share=0.5, in_header=True, byte=5, bit=6)  # where the cells begin: too far behind
@example(share=0.5, in_header=True, byte=3, bit=2)  # more cells than a page can hold
def test_of_a_store_with_a_flipped_bit_nothing_is_lost(tmp_path_factory, much_written, share, in_header, byte, bit):
    """What could be read can be read, and with the bit as it was everything is there: no sound row is written over."""
    body = much_written.read_bytes()
    place = int(share * len(body))
    if in_header:
        place += byte - place % PAGE + (100 if place < PAGE else 0)
    path = tmp_path_factory.mktemp("flip") / "store.db"
    path.write_bytes(flipped(body, place, bit))
    before = all_read(path)
    if not purged(path):
        assert path.read_bytes()[PAGE:] == flipped(body, place, bit)[PAGE:]
    assert all_read(path) == before
    path.write_bytes(flipped(path.read_bytes(), place, bit))
    assert all_read(path) == all_read(much_written)


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (0, b"\x09", "of kind 9"),
        (5, b"\x00\x09", "and these from byte 9 on"),
        (5, b"\x10\x01", "and these from byte 4097 on"),
        (3, b"\xff\xff", "65535 cells"),
        (3, b"\x00\x00", "are taken"),
        (5, b"\x0f\xff", "are taken"),
    ],
)
def test_a_header_that_says_what_cannot_be_has_nothing_written(tmp_path, much_written, place, value, fault):
    """On the first page of the rows with numbers that has a middle to clear."""
    path, body = tmp_path / "store.db", much_written.read_bytes()
    pages = [at for at in range(PAGE, len(body), PAGE) if body[at] == 13]
    at = next(one for one in pages if gaps._gap(body[one : one + PAGE], 0) != (0, 0)) + place
    damaged = body[:at] + value + body[at + len(value) :]
    path.write_bytes(damaged)
    with closing(connect(path)) as connection, pytest.raises(apsw.CorruptError, match=fault):
        gaps.clear(path, connection)
    assert path.read_bytes() == damaged
