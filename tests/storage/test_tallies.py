"""Obligations by state and kind, counted as they are written: the same as counting the rows."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.ports import Commit
from storage.directory import DataDir
from storage.record_reader import RecordReader
from storage.records import RecordStore
from storage.sqlite import connect

STATES = ["open", "breached", "met", "waived"]
changes = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(STATES), st.sampled_from(["agent_call", "free_service"])),
    max_size=25,
)


def row(obligation, state="open", kind="agent_call"):
    return (obligation, "t", "c", state, "service", 50, b'{"kind":"%s"}' % kind.encode())


def write(directory, *rows, partition=0):
    with closing(RecordStore.open_for_writing(directory, partition)) as store:
        store.commit(Commit(obligations=list(rows)))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    directory = DataDir.open(tmp_path_factory.mktemp("d") / "data", 2)
    writers = [RecordStore.open_for_writing(directory, partition) for partition in range(2)]
    with closing(RecordReader(directory)) as reader:
        yield reader, writers, {}
    for store in writers:
        store.close()


@settings(max_examples=40)
@given(changes=changes)
def test_the_counts_are_those_of_the_rows_after_any_changes(stores, changes):
    reader, writers, rows = stores
    for number, (name, state, kind) in enumerate(changes):
        writers[ord(name) % 2].commit(Commit(obligations=[row(name, state, kind)] * (1 + number % 2)))
        rows[name] = state, kind
    assert +reader.obligation_tallies() == Counter(rows.values())


def test_a_store_of_before_is_counted_by_its_readers_and_once_by_its_next_writer(tmp_path):
    directory = DataDir.open(tmp_path / "data", 2)
    write(directory, row("1"), row("2", "met"), row("3", "met"))
    with closing(connect(directory.records_path(0))) as connection:
        connection.execute("DROP TABLE obligation_tallies").fetchall()
    expected = {("open", "agent_call"): 1, ("met", "agent_call"): 2}
    with closing(RecordReader(directory)) as reader:
        assert reader.obligation_tallies() == expected
        write(directory)
        assert reader.obligation_tallies() == expected
        write(directory, row("1", "waived"))
        assert reader.obligation_tallies()["waived", "agent_call"] == 1
