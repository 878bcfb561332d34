"""One transaction for a step of the stream; one writer, whoever was paused; collisions; due times."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import AnotherWriter, StoreRefused, StoreUnavailable
from membrane.ports import Commit, Effect
from storage.directory import DataDir
from storage.record_reader import RecordReader
from storage.records import FAILPOINTS, RecordStore


def bodies(store, names):
    """The records that a store loads, without their due times."""
    return {name: body for name, (body, _) in store.load(names).items()}


def same_key(tenant: str, customer: str) -> int:
    """Every customer's hash is one and the same: the greatest key, so that a probe wraps around."""
    return 2**63 - 1


def write(store, records: dict[str, bytes], due: dict[str, int] | None = None, next_offset: int = 1) -> None:
    due = due or {}
    store.commit(
        Commit(
            records=[("t", customer, body) for customer, body in records.items()],
            due=[("t", customer, due.get(customer)) for customer in records],
            next_offset=next_offset,
            meta=b"{}",
        )
    )


@pytest.fixture
def directory(tmp_path):
    return DataDir.open(tmp_path / "data", 1)


@pytest.fixture
def store(directory):
    store = RecordStore.open_for_writing(directory, 0)
    yield store
    store.close()


@pytest.fixture
def reader(directory):
    reader = RecordReader(directory)
    yield reader
    reader.close()


def effect(number, kind="stage", offset=None, customer="c"):
    return Effect(f"0-{number}-0", number if offset is None else offset, kind, "t", customer, number, b"{}")


def test_a_new_store_is_empty(store):
    assert (store.meta().next_offset, store.meta().meta) == (0, b"")
    assert bodies(store, [("t", "c")]) == {}
    assert bodies(store, []) == {}
    assert store.due_before(2**62, 10) == []


def test_what_is_committed_is_loaded_with_its_bytes_as_they_are(store):
    write(store, {"a": b"\0\xff", "b": b""}, next_offset=9)
    assert bodies(store, [("t", "a"), ("t", "b"), ("t", "z"), ("u", "a"), ("t", "a")]) == {
        ("t", "a"): b"\0\xff",
        ("t", "b"): b"",
    }
    assert store.meta().next_offset == 9
    assert store.meta().meta == b"{}"
    write(store, {"a": b"new"})
    assert bodies(store, [("t", "a"), ("t", "b")]) == {("t", "a"): b"new", ("t", "b"): b""}


def test_the_last_of_two_records_of_one_customer_in_one_commit_stands(store):
    store.commit(Commit(records=[("t", "a", b"2"), ("t", "a", b"1")], due=[("t", "a", None)]))
    assert bodies(store, [("t", "a")]) == {("t", "a"): b"1"}


def test_customers_with_one_hash_keep_their_own_records(directory, reader):
    store = RecordStore.open_for_writing(directory, 0, key_of=same_key)
    reader = RecordReader(directory, key_of=same_key)
    write(store, {"a": b"a"})
    write(store, {"b": b"b", "a": b"a2", "c": b"c"}, {"b": 5})
    everybody = [("t", name) for name in "abcd"]
    assert bodies(store, everybody) == {("t", "a"): b"a2", ("t", "b"): b"b", ("t", "c"): b"c"}
    assert bodies(store, [("t", "c")]) == {("t", "c"): b"c"}
    assert [reader.get("t", name) for name in "abcd"] == [b"a2", b"b", b"c", None]
    assert store.due_before(5, 9) == [("t", "b", 5)]
    write(store, {"c": b"c2", "b": b"b2"}, {"c": 3})
    assert [reader.get("t", name) for name in "abcd"] == [b"a2", b"b2", b"c2", None]
    assert store.due_before(5, 9) == [("t", "c", 3)]
    store.close()
    reader.close()


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 20))),
        max_size=30,
    ),
    st.integers(0, 20),
    st.booleans(),
)
def test_due_customers_are_exact_and_in_order(tmp_path_factory, changes, t, collide):
    directory = DataDir.open(tmp_path_factory.mktemp("d") / "data", 1)
    more = {"key_of": same_key} if collide else {}
    store = RecordStore.open_for_writing(directory, 0, **more)
    expected: dict[str, int | None] = {}
    for customer, due in changes:
        write(store, {customer: b"x"}, {customer: due})
        expected[customer] = due
    due = sorted((when, name) for name, when in expected.items() if when is not None and when <= t)
    assert store.due_before(t, 100) == [("t", name, when) for when, name in due]
    assert store.due_before(t, 2) == [("t", name, when) for when, name in due][:2]
    store.close()


def test_effects_and_obligations_come_with_the_commit(store, reader):
    effects = [effect(1), effect(2, "obligation"), effect(3, customer="d")]
    obligation = ("o-1", "t", "c", "open", "service", 50, b"{}")
    store.commit(Commit(effects=effects, obligations=[obligation], next_offset=4))
    assert reader.effects("t", "c", None, 10) == [effects[1], effects[0]]
    assert reader.effects("t", "c", 2, 10) == [effects[0]]
    assert reader.effects("t", "c", None, 1) == [effects[1]]
    found = reader.obligation("t", "o-1")
    assert (found.id, found.state, found.owner, found.due_ms, found.body) == ("o-1", "open", "service", 50, b"{}")
    assert reader.obligation("u", "o-1") is None
    store.commit(Commit(obligations=[("o-1", "t", "c", "met", "service", 50, b"{}")], next_offset=5))
    assert reader.obligation("t", "o-1").state == "met"


def test_an_effect_of_the_same_id_is_kept_once(store, reader):
    store.commit(Commit(effects=[effect(1), effect(1)]))
    store.commit(Commit(effects=[effect(1)]))
    assert reader.effects("t", "c", None, 10) == [effect(1)]


def test_a_second_opening_ends_the_writing_of_the_first(directory, store):
    write(store, {"a": b"1"})
    newer = RecordStore.open_for_writing(directory, 0)
    assert newer.epoch == store.epoch + 1
    with pytest.raises(AnotherWriter, match="epoch 1 was required, a newer writer has taken over"):
        write(store, {"a": b"stale"}, next_offset=99)
    write(newer, {"b": b"2"}, next_offset=7)
    assert bodies(newer, [("t", "a"), ("t", "b")]) == {("t", "a"): b"1", ("t", "b"): b"2"}
    assert newer.meta().next_offset == 7
    newer.close()


class Stop(Exception):
    pass


@pytest.mark.parametrize("point", FAILPOINTS[:-1])
def test_an_error_at_any_point_of_a_commit_leaves_nothing_of_it(directory, reader, point):
    def stop(name):
        if name == point and armed:
            raise Stop

    armed: list[bool] = []
    store = RecordStore.open_for_writing(directory, 0, failpoint=stop)
    write(store, {"a": b"1"}, {"a": 5})
    armed.append(True)
    commit = Commit(
        [("t", "a", b"2"), ("t", "b", b"2")], [("t", "a", 6), ("t", "b", 6)], [effect(1)],
        [("o", "t", "a", "open", "x", 1, b"{}")], 9, b"x",
    )  # fmt: skip
    with pytest.raises(Stop):
        store.commit(commit)
    assert bodies(store, [("t", "a"), ("t", "b")]) == {("t", "a"): b"1"}
    assert store.due_before(5, 9) == [("t", "a", 5)]
    assert (store.meta().next_offset, reader.effects("t", "c", None, 9), reader.obligation("t", "o")) == (1, [], None)
    armed.clear()
    store.commit(commit)
    assert store.meta().next_offset == 9
    store.close()


KILLED = """
import os, sys
from membrane.ports import Commit
from storage.directory import DataDir
from storage.records import RecordStore

def stop(name):
    if name == sys.argv[2] and armed:
        os.kill(os.getpid(), 9)

armed = []
store = RecordStore.open_for_writing(DataDir.open(sys.argv[1]), 0, failpoint=stop)
store.commit(Commit([("t", "a", b"1")], [("t", "a", None)], next_offset=1))
armed.append(True)
store.commit(Commit([("t", "a", b"2")], [("t", "a", None)], next_offset=2))
"""


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_kill_at_any_point_of_a_commit_leaves_all_or_nothing(directory, point):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(directory.path), point], check=False)
    assert killed.returncode == -9
    store = RecordStore.open_for_writing(directory, 0)
    whole = 2 if point == "committed" else 1
    assert store.meta().next_offset == whole
    assert bodies(store, [("t", "a")]) == {("t", "a"): b"%d" % whole}
    store.close()


def test_a_full_disk_is_unavailable_and_the_store_goes_on_once_there_is_room(store):
    write(store, {"a": b"1"})
    store._writer.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="full"):
        write(store, {f"c-{n}": os.urandom(4_000) for n in range(50)}, next_offset=2)
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert store.meta().next_offset == 1
    write(store, {"b": b"2"}, next_offset=3)
    assert bodies(store, [("t", "a"), ("t", "b")]) == {("t", "a"): b"1", ("t", "b"): b"2"}


def test_a_checkpoint_copies_all_and_only_when_it_is_worth_it(directory, store):
    write(store, {f"c-{n}": os.urandom(1_000) for n in range(100)})
    wal = Path(f"{directory.records_path(0)}-wal")
    before = directory.records_path(0).stat().st_size
    assert not store.checkpoint()
    assert store.checkpoint(0)
    assert directory.records_path(0).stat().st_size > before
    size = wal.stat().st_size
    write(store, {"c-1": b"small"})
    assert wal.stat().st_size == size
    wal.unlink()
    assert not store.checkpoint(0)


def test_a_checkpoint_beside_a_reader_waits_for_nobody(store, reader):
    write(store, {"a": b"1"})
    with reader.snapshot(0) as snapshot:
        write(store, {"a": b"2"})
        assert not store.checkpoint(0)
        assert [body for _, body in snapshot.records()] == [b"1"]
    assert store.checkpoint(0)


def test_a_row_whose_names_were_damaged_is_refused_not_taken_for_another_customer(directory, store):
    write(store, {"a": b"1"})
    connection = apsw.Connection(str(directory.records_path(0)))
    connection.execute("UPDATE records SET customer = 'q'")
    connection.close()
    with pytest.raises(StoreRefused, match=r"its names belong to another key.*membrane rebuild"):
        bodies(store, [("t", "a")])


def test_a_due_time_alone_is_set_where_the_record_cannot_be_read_wherever_it_lies(directory):
    store = RecordStore.open_for_writing(directory, 0, key_of=same_key)
    write(store, dict.fromkeys("abc", b"x"), dict.fromkeys("abc", 5))
    store.commit(Commit(due=[("t", "b", None), ("t", "c", 9)], next_offset=2))
    assert store.due_before(9, 10) == [("t", "a", 5), ("t", "c", 9)]
    assert bodies(store, [("t", "b")]) == {("t", "b"): b"x"}
    store.close()


def test_even_a_row_whose_names_were_damaged_stops_being_due(directory, store):
    write(store, {"a": b"x"}, {"a": 5})
    with closing(apsw.Connection(str(directory.records_path(0)))) as connection:
        connection.execute("UPDATE records SET customer = 'q'")
    assert store.due_before(9, 10) == [("t", "q", 5)]
    store.commit(Commit(due=[("t", "q", None)], next_offset=2))
    assert store.due_before(9, 10) == []


def test_rebuilt_effects_count_as_delivered(directory, store):
    store.commit(Commit(effects=[effect(1), effect(2)]))
    store.mark_all_delivered()
    connection = apsw.Connection(str(directory.records_path(0)))
    assert connection.execute("SELECT DISTINCT delivered FROM effects").fetchall() == [(1,)]
    connection.close()


PAUSED = """
import sys
from membrane.errors import AnotherWriter
from membrane.ports import Commit
from storage.directory import DataDir
from storage.lock import partition_lock
from storage.records import RecordStore

partition_lock(sys.argv[1], 0).acquire()
store = RecordStore.open_for_writing(DataDir.open(sys.argv[1]), 0)
print("writing", flush=True)
for line in sys.stdin:
    try:
        store.commit(Commit([("t", "a", line.strip().encode())], [("t", "a", None)], next_offset=1))
        print("written", flush=True)
    except AnotherWriter:
        sys.exit(3)
"""


def test_a_paused_writer_that_was_taken_over_writes_nothing_more(directory):
    from signal import SIGCONT, SIGSTOP

    from storage.lock import partition_lock

    with subprocess.Popen(
        [sys.executable, "-c", PAUSED, str(directory.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as old:
        assert old.stdout.readline() == "writing\n"
        old.stdin.write("old\n")
        old.stdin.flush()
        assert old.stdout.readline() == "written\n"
        with pytest.raises(AnotherWriter, match=str(old.pid)):
            partition_lock(directory.path, 0).acquire()
        old.send_signal(SIGSTOP)
        lock = partition_lock(directory.path, 0).acquire(takeover=True)
        new = RecordStore.open_for_writing(directory, 0)
        write(new, {"a": b"new"})
        old.send_signal(SIGCONT)
        old.stdin.write("stale\n")
        old.stdin.flush()
        assert old.wait(10) == 3
    assert bodies(new, [("t", "a")]) == {("t", "a"): b"new"}
    assert lock.acquire_if_free()
    lock.release()
    new.close()
