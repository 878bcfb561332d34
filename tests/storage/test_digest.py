"""The digest: equal for equal records, outbox and offsets; different for anything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.errors import StoreUnavailable, UsageError
from membrane.ports import Commit, Effect, partition_of
from storage.digest import Digest, digest
from storage.directory import DataDir
from storage.records import RecordStore

BASE = [("t", f"c-{n}", b"body %d" % n) for n in range(8)]


def made(path, steps, effects=(), partitions=2, offset=9) -> Digest:
    directory = DataDir.open(path, partitions)
    for partition in range(partitions):
        store = RecordStore.open_for_writing(directory, partition)
        for records in steps:
            mine = [row for row in records if partition_of(row[0], row[1], partitions) == partition]
            store.commit(Commit(mine, [(t, c, None) for t, c, _ in mine], next_offset=offset))
        for effect in effects:
            if partition_of(effect.tenant, effect.customer, partitions) == partition:
                store.commit(Commit(effects=[effect], next_offset=offset))
        store.close()
    return digest(path)


def effect(number):
    return Effect(f"0-{number}-0", number, "stage", "t", f"c-{number}", 5, b"{}")


def test_an_empty_directory_has_a_digest(tmp_path):
    directory = DataDir.open(tmp_path / "a", 3)
    found = digest(directory.path)
    assert (found.customers, found.offsets) == (0, [0, 0, 0])
    assert found == digest(str(directory.path))


@settings(max_examples=15)
@given(st.permutations(BASE), st.integers(1, 8), st.permutations([effect(n) for n in range(4)]))
def test_the_way_there_does_not_show(tmp_path_factory, order, size, effects):
    steps = [order[start : start + size] for start in range(0, len(order), size)]
    found = made(tmp_path_factory.mktemp("d") / "a", steps, effects)
    expected = made(tmp_path_factory.mktemp("d") / "b", [[("t", "c-1", b"older")], BASE], [effect(n) for n in range(4)])
    assert found == expected
    assert found.customers == 8


def test_anything_that_differs_shows(tmp_path):
    plain = made(tmp_path / "plain", [BASE], [effect(1)])
    body = made(tmp_path / "body", [[*BASE[:-1], ("t", "c-7", b"other")]], [effect(1)])
    name = made(tmp_path / "name", [[*BASE[:-1], ("t", "c-8", BASE[-1][2])]], [effect(1)])
    moved = made(tmp_path / "moved", [[*BASE[:6], ("t", "c-6", b"body 7"), ("t", "c-7", b"body 6")]], [effect(1)])
    outbox = made(tmp_path / "outbox", [BASE], [replace(effect(1), body=b"{1}")])
    offset = made(tmp_path / "offset", [BASE], [effect(1)], offset=10)
    assert len({d.records_sha256 for d in (plain, body, name, moved)}) == 4
    assert outbox.records_sha256 == plain.records_sha256
    assert outbox.outbox_sha256 != plain.outbox_sha256
    assert offset.offsets == [10, 10]
    assert replace_offsets(offset, plain.offsets) == plain


def replace_offsets(found: Digest, offsets: list[int]) -> Digest:
    return Digest(found.customers, found.records_sha256, found.outbox_sha256, found.examples_sha256, offsets)


def test_the_delivery_state_does_not_show(tmp_path):
    before = made(tmp_path / "a", [BASE], [effect(1)])
    for partition in range(2):
        store = RecordStore.open_for_writing(DataDir.open(tmp_path / "a"), partition)
        store.mark_all_delivered()
        store.close()
    assert digest(tmp_path / "a") == before


def test_the_digest_is_taken_beside_a_running_writer_and_writes_nothing(tmp_path):
    directory = DataDir.open(tmp_path / "a", 1)
    store = RecordStore.open_for_writing(directory, 0)
    store.commit(Commit(list(BASE), [(t, c, None) for t, c, _ in BASE], next_offset=1))
    before = directory.records_path(0).read_bytes()
    assert digest(directory.path).customers == 8
    assert directory.records_path(0).read_bytes() == before
    store.close()


def test_no_data_directory_is_the_callers_mistake_and_a_lost_store_is_told(tmp_path):
    with pytest.raises(UsageError):
        digest(tmp_path / "none")
    directory = DataDir.open(tmp_path / "a", 2)
    directory.records_path(1).unlink()
    with pytest.raises(StoreUnavailable, match="records-1"):
        digest(directory.path)
