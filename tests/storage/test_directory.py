"""What is made, what is opened, and what is refused."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from membrane.errors import StoreRefused, StoreUnavailable, UsageError
from membrane.ports import Commit
from storage.directory import DataDir
from storage.records import RecordStore


def change(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def test_a_missing_directory_is_made_with_eight_partitions(tmp_path):
    directory = DataDir.open(tmp_path / "deep" / "data")
    assert directory.partitions == 8
    assert all(directory.records_path(partition).is_file() for partition in range(8))
    assert directory.run_path.is_dir()
    assert directory.models_path.is_dir()
    assert directory.principles_path.is_dir()


def test_opening_again_gives_the_same_directory(directory):
    assert DataDir.open(directory.path) == directory == DataDir.existing(directory.path)


def test_another_number_of_partitions_is_the_callers_mistake(directory):
    with pytest.raises(UsageError, match="made with 2 partitions"):
        DataDir.open(directory.path, 3)


@pytest.mark.parametrize("partitions", [0, 257, -1])
def test_an_impossible_number_of_partitions_is_the_callers_mistake(tmp_path, partitions):
    with pytest.raises(UsageError, match="1 to 256 were required"):
        DataDir.open(tmp_path, partitions)


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "run").mkdir()
    DataDir.open(tmp_path, 1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_directory_is_the_callers_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="a directory to write to was required"):
        DataDir.open(tmp_path / "file")


def test_existing_makes_nothing(tmp_path):
    with pytest.raises(UsageError, match=r"there is no log\.db"):
        DataDir.existing(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_processes_that_start_together_make_one_directory(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: DataDir.open(tmp_path / "data", 2), range(4)))
    assert len(set(opened)) == 1
    RecordStore.open_for_writing(opened[0], 1).close()


def test_a_lost_log_is_told_from_a_new_one(directory):
    directory.log_path.unlink()
    with pytest.raises(StoreRefused, match=r"log\.db: missing, while records made from it are there"):
        DataDir.open(directory.path)


@pytest.mark.parametrize("content", [b"not a database at all " * 50, b""])
def test_a_log_that_is_none_is_refused_or_made(tmp_path, content):
    (tmp_path / "log.db").write_bytes(content)
    if content:
        with pytest.raises(StoreRefused, match="damaged"):
            DataDir.open(tmp_path, 1)
    else:
        assert DataDir.open(tmp_path, 1).partitions == 1


@pytest.mark.parametrize("sql", ["CREATE TABLE meta(name, value)", "CREATE TABLE other(x)"])
def test_somebody_elses_database_is_refused(tmp_path, sql):
    change(tmp_path / "log.db", sql)
    with pytest.raises(StoreRefused, match="a signal log was required"):
        DataDir.open(tmp_path, 1)


def test_a_newer_log_is_refused(directory):
    change(directory.log_path, "UPDATE meta SET value = 2 WHERE name = 'version'")
    with pytest.raises(StoreRefused, match="schema version 1 or older was required, 2 came: upgrade"):
        DataDir.open(directory.path)


def test_a_store_that_was_lost_is_refused_with_a_hint(directory):
    directory.records_path(1).unlink()
    reopened = DataDir.open(directory.path)
    with pytest.raises(StoreRefused, match=f"no file came: run `membrane rebuild --data {directory.path}`"):
        RecordStore.open_for_writing(reopened, 1)


def test_swapped_stores_are_refused(directory):
    first, second = directory.records_path(0), directory.records_path(1)
    shutil.move(first, first.with_name("x"))
    shutil.move(second, first)
    shutil.move(first.with_name("x"), second)
    for partition in (0, 1):
        with pytest.raises(StoreRefused, match=f"the records of partition {partition} was required"):
            RecordStore.open_for_writing(directory, partition)


def test_a_store_of_another_log_is_refused(directory, tmp_path):
    other = DataDir.open(tmp_path / "other", 2)
    shutil.copy(other.records_path(0), directory.records_path(0))
    with pytest.raises(StoreRefused, match="those of another log came"):
        RecordStore.open_for_writing(directory, 0)


def test_an_older_copy_of_a_store_that_was_made_anew_is_refused(directory):
    shutil.copy(directory.records_path(0), directory.path / "copy")
    directory.remake_records(0)
    shutil.copy(directory.path / "copy", directory.records_path(0))
    with pytest.raises(StoreRefused, match="an older or a copied one came"):
        RecordStore.open_for_writing(directory, 0)


def test_a_newer_store_is_refused(directory):
    change(directory.records_path(0), "UPDATE store SET version = 2")
    with pytest.raises(StoreRefused, match=r"schema version 1 or older was required, 2 came.*membrane rebuild"):
        RecordStore.open_for_writing(directory, 0)


@pytest.mark.parametrize("sql", ["DELETE FROM store", "DROP TABLE store"])
def test_a_store_without_an_identity_is_refused(directory, sql):
    change(directory.records_path(0), sql)
    with pytest.raises(StoreRefused, match="membrane rebuild"):
        RecordStore.open_for_writing(directory, 0)


@pytest.mark.parametrize("size", [0, 100, 4096, 8192])
def test_a_truncated_store_is_refused(directory, size):
    with directory.records_path(0).open("r+b") as file:
        file.truncate(size)
    with pytest.raises(StoreRefused, match="membrane rebuild"):
        RecordStore.open_for_writing(directory, 0).load([("t", "c")])


def test_a_store_made_anew_is_empty_and_accepted(directory):
    store = RecordStore.open_for_writing(directory, 0)
    store.commit(Commit(records=[("t", "c", b"x")], due=[("t", "c", None)], next_offset=7))
    store.close()
    directory.remake_records(0)
    store = RecordStore.open_for_writing(directory, 0)
    assert (store.meta().next_offset, store.load([("t", "c")])) == (0, {})
    store.close()


def test_a_crash_while_a_store_is_made_anew_is_mended_by_the_next_open(directory):
    change(directory.log_path, "UPDATE stores SET store_id = NULL WHERE partition = 1")
    directory.records_path(1).write_bytes(b"half")
    reopened = DataDir.open(directory.path)
    RecordStore.open_for_writing(reopened, 1).close()


def test_a_full_disk_says_that_it_is_full(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        DataDir.open(tmp_path / "data")


def test_paths_of_what_lives_in_the_directory(directory):
    assert directory.pid_path("up") == directory.path / "run" / "up.pid"
    assert directory.decisions_path == directory.path / "decisions.db"
