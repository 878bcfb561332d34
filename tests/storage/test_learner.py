from __future__ import annotations

from contextlib import closing

import apsw
import pytest

from membrane.errors import StoreRefused
from storage import learner
from storage.directory import DataDir
from storage.learner import Learned, LearnerStore

STEP = Learned(
    places=b"[1]",
    targets={"stage": b"{}"},
    recent={"stage": [(0, b"a"), (1, b"b")]},
    previous={"stage": {("default", "c-1"): 4}},
)


@pytest.fixture
def directory(tmp_path):
    return DataDir.open(tmp_path / "data", 2)


def test_a_step_is_there_when_the_store_is_opened_again(directory):
    with closing(LearnerStore.open(directory)) as store:
        assert (store.places(), store.target("stage"), store.recent("stage")) == (b"", None, [])
        store.commit(STEP)
        store.commit(Learned(places=b"[2]", recent={"stage": [(0, b"c")]}))
    with closing(LearnerStore.open(directory)) as store:
        assert (store.places(), store.target("stage")) == (b"[2]", b"{}")
        assert store.recent("stage") == [b"c", b"b"]
        assert store.previous("stage", ("default", "c-1")) == 4
        assert store.previous("churn", ("default", "c-1")) is None
        assert store.previous("stage", ("other", "c-1")) is None


def test_a_step_that_fails_halfway_leaves_nothing(directory):
    with closing(LearnerStore.open(directory)) as store:
        with pytest.raises(TypeError):
            store.commit(Learned(places=b"[3]", targets={"stage": b"new"}, recent={"stage": [(0, object())]}))
        assert (store.places(), store.target("stage")) == (b"", None)


def test_only_the_latest_customers_are_kept(directory, monkeypatch):
    monkeypatch.setattr(learner, "_FORGET", learner._FORGET.replace(str(learner.MOST_CUSTOMERS), "3"))
    with closing(LearnerStore.open(directory)) as store:
        for number in (1, 2, 3, 4, 1, 5):
            labels = {"stage": {("default", f"c-{number}"): 0}}
            store.commit(Learned(places=b"", targets={"stage": b"{}"}, previous=labels))
        store.sweep()
        assert [n for n in range(1, 6) if store.previous("stage", ("default", f"c-{n}")) is not None] == [1, 4, 5]


def test_a_target_that_is_learned_anew_has_nothing(directory):
    with closing(LearnerStore.open(directory)) as store:
        store.commit(STEP)
        store.forget("stage")
        assert (store.target("stage"), store.recent("stage")) == (None, [])
        assert store.previous("stage", ("default", "c-1")) is None


def test_what_another_log_taught_is_refused(directory, tmp_path):
    LearnerStore.open(directory).close()
    other = DataDir.open(tmp_path / "other", 2)
    (other.path / "learn").mkdir()
    (directory.path / "learn" / "learner.db").rename(other.path / "learn" / "learner.db")
    with pytest.raises(StoreRefused, match="another's came: remove"):
        LearnerStore.open(other)


def test_a_newer_or_damaged_store_is_refused(directory):
    LearnerStore.open(directory).close()
    path = directory.path / "learn" / "learner.db"
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE learner SET version = 2")
    connection.close()
    with pytest.raises(StoreRefused, match="version 1 or older was required, 2 came"):
        LearnerStore.open(directory)
    path.write_bytes(b"nothing of ours" * 1_000)
    with pytest.raises(StoreRefused, match="damaged"):
        LearnerStore.open(directory)
