"""The API's view of the records: it survives whatever happens to a store, and comes back with it."""

from __future__ import annotations

import os
import threading
import time
from random import Random

import pytest

from membrane.errors import MembraneError, RecordUnreadable, StoreUnavailable
from membrane.ports import Commit, partition_of
from storage.directory import DataDir
from storage.record_reader import SAME_SECONDS, RecordReader
from storage.records import RecordStore


def fill(directory: DataDir, customers: int) -> dict[str, bytes]:
    bodies = {f"c-{n}": b"%d-" % n + os.urandom(700) for n in range(customers)}
    for partition in range(directory.partitions):
        mine = [("t", c, body) for c, body in bodies.items() if partition_of("t", c, directory.partitions) == partition]
        store = RecordStore.open_for_writing(directory, partition)
        store.commit(Commit(mine, [(t, c, None) for t, c, _ in mine], next_offset=partition + 5, meta=b"m"))
        store.checkpoint(0)
        store.close()
    return bodies


@pytest.fixture
def bodies(directory):
    return fill(directory, 200)


@pytest.fixture
def reader(directory):
    reader = RecordReader(directory)
    yield reader
    reader.close()


def test_every_partition_is_read(bodies, reader):
    assert {customer: reader.get("t", customer) for customer in bodies} == bodies
    assert reader.get("t", "nobody") is None
    assert reader.get("u", "c-1") is None
    assert [reader.meta(partition).next_offset for partition in (0, 1)] == [5, 6]
    assert reader.meta(0).meta == b"m"


def test_an_empty_new_store_knows_nobody(reader):
    assert reader.get("t", "c") is None


def test_obligations_of_all_partitions_come_by_due_time(directory, reader):
    rows = [
        [("o-1", "t", "a", "open", "service", 30, b"{}"), ("o-2", "t", "b", "met", "sales", 10, b"{}")],
        [("o-3", "t", "c", "open", "service", 20, b"{}"), ("o-4", "u", "d", "open", "service", 5, b"{}")],
    ]
    for partition, obligations in enumerate(rows):
        store = RecordStore.open_for_writing(directory, partition)
        store.commit(Commit(obligations=obligations))
        store.close()

    def ids(**wanted):
        return [obligation.id for obligation in reader.obligations("t", **wanted)]

    assert ids() == ["o-2", "o-3", "o-1"]
    assert ids(state="open") == ["o-3", "o-1"] == ids(owner="service", state="open")
    assert ids(owner="sales") == ["o-2"]
    assert ids(limit=1) == ["o-2"]
    assert reader.obligation("t", "o-3").customer == "c"
    assert reader.obligation("t", "o-4") is None


def test_a_snapshot_does_not_move(directory, bodies, reader):
    with reader.snapshot(0) as snapshot:
        before = list(snapshot.records())
        store = RecordStore.open_for_writing(directory, 0)
        store.commit(Commit([("t", "new", b"x")], [("t", "new", None)], next_offset=99))
        store.close()
        assert list(snapshot.records()) == before == sorted(before)
        assert snapshot.meta.next_offset == 5


def test_a_missing_store_is_not_available_and_comes_back(directory, bodies, reader):
    customer = next(c for c in bodies if partition_of("t", c, 2) == 0)
    path = directory.records_path(0)
    assert reader.get("t", customer) == bodies[customer]
    path.rename(path.with_name("away"))
    time.sleep(SAME_SECONDS)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"records-0\.db: not available"):
            reader.get("t", customer)
    path.with_name("away").rename(path)
    assert reader.get("t", customer) == bodies[customer]


def test_the_other_partitions_are_still_read(directory, bodies, reader):
    directory.records_path(0).unlink()
    assert all(reader.get("t", c) == body for c, body in bodies.items() if partition_of("t", c, 2) == 1)


def test_a_store_made_anew_is_noticed(directory, bodies, reader):
    customer = next(c for c in bodies if partition_of("t", c, 2) == 0)
    assert reader.get("t", customer) == bodies[customer]
    directory.remake_records(0)
    time.sleep(SAME_SECONDS)
    assert reader.get("t", customer) is None


def test_a_store_that_is_not_the_one_of_this_partition_cannot_be_read(directory, bodies, reader):
    customer = next(c for c in bodies if partition_of("t", c, 2) == 0)
    directory.records_path(0).write_bytes(directory.records_path(1).read_bytes())
    with pytest.raises(RecordUnreadable, match="those of partition 1 came"):
        reader.get("t", customer)


@pytest.mark.parametrize("size", [0, 1, 1_000, 4_096, 9_000, 20_480, 40_961])
@pytest.mark.parametrize("opened", [True, False])
def test_a_truncated_store_is_never_read_as_no_data(directory, bodies, size, opened):
    reader = RecordReader(directory)
    mine = [c for c in bodies if partition_of("t", c, 2) == 0]
    if opened:
        assert reader.get("t", mine[0]) == bodies[mine[0]]
    with directory.records_path(0).open("r+b") as file:
        content = file.read()
        file.truncate(size)
    for customer in mine:
        try:
            assert reader.get("t", customer) == bodies[customer]
        except (RecordUnreadable, StoreUnavailable):
            continue
    with pytest.raises(MembraneError), reader.snapshot(0) as snapshot:
        list(snapshot.records())
    directory.records_path(0).write_bytes(content)
    assert {c: reader.get("t", c) for c in mine} == {c: bodies[c] for c in mine}
    reader.close()


def test_flipped_bits_give_the_bytes_as_they_are_or_an_error_and_never_another_customers(directory, bodies):
    random = Random(20261101)
    path = directory.records_path(0)
    content = path.read_bytes()
    mine = [c for c in bodies if partition_of("t", c, 2) == 0]
    others = {c: {body for other, body in bodies.items() if other != c} for c in mine}
    outcomes = {"right": 0, "flipped": 0, "error": 0, "not found": 0}
    for _ in range(60):
        damaged = bytearray(content)
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        reader = RecordReader(directory)
        for customer in mine:
            try:
                body = reader.get("t", customer)
            except (RecordUnreadable, StoreUnavailable):
                outcomes["error"] += 1
                continue
            outcomes["not found" if body is None else "right" if body == bodies[customer] else "flipped"] += 1
            assert body not in others[customer]
        reader.close()
    print(outcomes)
    assert outcomes["right"] > 0


def test_threads_have_connections_of_their_own(bodies, reader):
    failures = []

    def read() -> None:
        failures.extend(c for c, body in bodies.items() if reader.get("t", c) != body)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_reading_beside_a_writer_sees_whole_commits(directory, reader):
    store = RecordStore.open_for_writing(directory, 0)
    names = [c for c in (f"c-{n}" for n in range(50)) if partition_of("t", c, 2) == 0]
    done = threading.Event()

    def write() -> None:
        for turn in range(100):
            body = b"%d" % turn
            records = [("t", c, body) for c in names]
            store.commit(Commit(records, [(t, c, None) for t, c, _ in records], next_offset=turn))
            store.checkpoint(50_000)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        with reader.snapshot(0) as snapshot:
            assert len({body for _, body in snapshot.records()}) <= 1
    thread.join()
    assert reader.get("t", names[0]) == b"99"
    store.close()
