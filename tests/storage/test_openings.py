"""What principles opened by the hour, counted as it is written: the same as counting the rows."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.ports import Commit
from storage import openings
from storage.directory import DataDir
from storage.record_reader import Openings, RecordReader
from storage.records import RecordStore
from storage.sqlite import connect, select

PARTITIONS = 3


def row(obligation, tenant="t", principle="p", hour=9, state="open"):
    body = b'{"principle":"%s","opened_at":"2026-11-14T%02d:59:59Z"}' % (principle.encode(), hour)
    return (obligation, tenant, "c", state, "service", 50, body)


@pytest.fixture
def directory(tmp_path):
    return DataDir.open(tmp_path / "data", PARTITIONS)


@pytest.fixture
def reader(directory):
    with closing(RecordReader(directory)) as reader:
        yield reader


def write(directory, partition, *rows):
    with closing(RecordStore.open_for_writing(directory, partition)) as store:
        store.commit(Commit(obligations=list(rows)))


def test_what_a_principle_opened_is_counted_by_tenant_and_hour_whatever_became_of_it(directory, reader):
    write(directory, 0, row("1"), row("2", state="breached"), row("3", state="met"), row("4", hour=10))
    write(directory, 1, row("5", tenant="u"), row("6", state="waived"), row("7", principle="q"))
    assert reader.opened("t", "p", "2026-11-14T09") == 4
    assert reader.opened("t", "other", "2026-11-14T09") == 0
    assert reader.opening_principles() == {("t", "p"), ("t", "q"), ("u", "p")}
    limits = dict.fromkeys(reader.opening_principles(), 0)
    assert set(reader.openings_over(limits)) == {
        Openings("t", "p", "2026-11-14T09", 4, 2),
        Openings("t", "p", "2026-11-14T10", 1, 1),
        Openings("t", "q", "2026-11-14T09", 1, 1),
        Openings("u", "p", "2026-11-14T09", 1, 1),
    }
    assert [one.opened for one in reader.openings_over({("t", "p"): 3, ("u", "p"): 1})] == [4]


changes = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from("tu"),
        st.sampled_from(["p", "q"]),
        st.integers(1, 3),
        st.sampled_from(["open", "breached", "met", "waived"]),
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A reader, the writers, and a number that no other example has."""
    directory = DataDir.open(tmp_path_factory.mktemp("d") / "data", PARTITIONS)
    stores = [RecordStore.open_for_writing(directory, partition) for partition in range(PARTITIONS)]
    with closing(RecordReader(directory)) as reader:
        yield reader, stores, count()
    for store in stores:
        store.close()


@settings(max_examples=60)
@given(changes=changes, limit=st.integers(0, 4))
def test_the_counts_are_those_of_the_rows_after_any_changes(stores, changes, limit):
    """An obligation lies in its customer's partition; its row is replaced in any way."""
    reader, writers, numbers = stores
    example = f"-{next(numbers)}"
    rows = {}
    for number, (name, tenant, principle, hour, state) in enumerate(changes):
        written = row(name + example, tenant + example, principle, hour, state)
        writers[ord(name) % PARTITIONS].commit(Commit(obligations=[written] * (1 + number % 2)))
        rows[name] = (tenant + example, principle, f"2026-11-14T{hour:02d}"), state in ("open", "breached")
    opened, owed = Counter(key for key, _ in rows.values()), Counter(key for key, owed in rows.values() if owed)
    limits = dict.fromkeys([(tenant + example, principle) for tenant in "tu" for principle in ["p", "q"]], limit)
    found = {(one.tenant, one.principle, one.hour): (one.opened, one.owed) for one in reader.openings_over(limits)}
    assert found == {key: (count, owed[key]) for key, count in opened.items() if count > limit}
    assert reader.opening_principles() >= {key[:2] for key in opened}
    assert all(reader.opened(*key) == count for key, count in opened.items())


@pytest.mark.parametrize("before", ["", "CREATE INDEX obligations_opened ON obligations(tenant)"])
def test_a_store_of_before_is_counted_by_its_readers_and_once_by_its_next_writer(directory, reader, before):
    """Also one that was written by an older version since: it makes its own index whenever it opens a store."""
    write(directory, 0, row("1"), row("2", state="met"))
    expected = [Openings("t", "p", "2026-11-14T09", 2, 1)]
    with closing(connect(directory.records_path(0))) as connection:
        connection.execute("UPDATE openings SET opened = 77" if before else "DROP TABLE openings")
        connection.execute(before)
    if not before:
        assert (reader.openings_over({("t", "p"): 0}), reader.opening_principles()) == (expected, {("t", "p")})
    write(directory, 0)
    assert reader.openings_over({("t", "p"): 0}) == expected
    with closing(connect(directory.records_path(0))) as connection:
        names = {name for (name,) in select(connection, "SELECT name FROM sqlite_schema")}
    assert "openings" in names
    assert "obligations_opened" not in names


def test_a_question_about_a_crowded_hour_reads_no_other(directory):
    """By indexes alone: what a scrape costs does not grow with what was ever owed."""
    write(directory, 0, row("1"))
    with closing(connect(directory.records_path(0))) as connection:
        asked = {"limits": "[]", "hours": "[]"}
        for sql in (openings._PRINCIPLES, openings._CROWDED, openings._AMONG):
            plan = select(connection, f"EXPLAIN QUERY PLAN {sql.format(openings='openings')}", asked)
            steps = [step for *_, step in plan if "openings" in step or " one" in step or " next" in step]
            assert steps
            assert all(step.startswith("SEARCH") or "USING COVERING INDEX" in step for step in steps), steps
