"""What a backup's stores may say of each other when everything goes on while they are held still and copied."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import storage.backup
from membrane.caps import Claim
from membrane.errors import StoreUnavailable
from membrane.ports import Commit, RecordKind
from storage.backup import MANIFEST, back_up, restore
from storage.claims import ClaimStore, NewPermit
from storage.decisions import DecisionLog
from storage.directory import DataDir
from storage.learner import Learned, LearnerStore
from storage.log import SignalLog
from storage.log_reader import LogReader
from storage.records import RecordStore

MADE_AT = "2026-01-01T00:00:00Z"


class World:
    """A service of two partitions that goes on step by step: after n steps every store says n."""

    def __init__(self, data: Path) -> None:
        self.directory = DataDir.open(data, 2)
        self.steps = 0
        self.log = SignalLog(self.directory)
        self.records = [RecordStore.open_for_writing(self.directory, partition) for partition in range(2)]
        self.claims = ClaimStore(self.directory.claims_path)
        self.decisions = DecisionLog(self.directory.decisions_path)
        self.learner = LearnerStore.open(self.directory)
        self.go_on()

    def go_on(self) -> None:
        self.steps = n = self.steps + 1
        bundle = self.directory.models_path / f"{n:064}"
        bundle.mkdir()
        for name in ("a.onnx", "z.json"):
            (bundle / name).write_text("bundle")
        (self.directory.models_path / "pointers.json").write_text(str(n))
        (self.directory.principles_path / f"{n:064}.yaml").write_text("principles")
        self.log.append_record(RecordKind.TICK, b'{"time":1}', n)
        for store in self.records:
            store.commit(Commit(next_offset=n, meta=b""))
        self.decisions.put(f"d-{n}", "t", "c", n, b"{}")
        assert self.decisions.flush()
        with self.claims.reserving("t", "c", n) as held:
            held.grant(f"d-{n}", [NewPermit(Claim(f"p-{n}", n, 0, 0, "upsell", n + 9), "upsell", b"{}")], n)
        self.learner.commit(Learned(places=b"%d" % n))

    def close(self) -> None:
        for store in (self.log, *self.records, self.claims, self.decisions, self.learner):
            store.close()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "data")
    yield world
    world.close()


def number(store: Path, sql: str) -> int:
    with closing(apsw.Connection(str(store))) as connection:
        return int(connection.execute(sql).fetchone()[0])


def test_no_store_is_ahead_of_one_that_it_speaks_of(world, tmp_path, monkeypatch):
    connect = storage.backup.connect_readonly

    def meanwhile(path):
        world.go_on()
        return connect(path)

    monkeypatch.setattr(storage.backup, "connect_readonly", meanwhile)
    made = back_up(tmp_path / "data", tmp_path / "out", MADE_AT, lambda *_: world.go_on())
    again = tmp_path / "again"
    assert restore(tmp_path / "out", again, lambda *_: None) == made

    learned = number(again / "learn" / "learner.db", "SELECT CAST(places AS TEXT) FROM learner")
    permitted = number(again / "claims.db", "SELECT max(seen_offset) FROM permits")
    decided = number(again / "decisions.db", "SELECT max(time_ms) FROM decisions")
    applied = [number(again / f"records-{partition}.db", "SELECT next_offset FROM store") for partition in range(2)]
    with closing(LogReader(DataDir.existing(again))) as log:
        ends = [log.end(partition) for partition in range(2)]
    named = int((again / "models" / "pointers.json").read_text())

    assert learned < min(applied)
    assert permitted < decided < min(applied)
    assert max(applied) < min(ends)
    assert (made.digest.offsets, made.log_ends) == (applied, ends)
    assert max(ends) < named
    assert all((again / "models" / f"{n + 1:064}" / "z.json").is_file() for n in range(named))
    assert all((again / "principles" / f"{n + 1:064}.yaml").is_file() for n in range(max(ends)))


def test_whoever_opens_the_log_anew_writes_while_the_records_are_copied(world, tmp_path, monkeypatch):
    monkeypatch.setattr("storage.log.BUSY_MS", 500)
    ends: list[int] = []

    def meanwhile(*_):
        copies = [path for path in tmp_path.rglob("records-*.db") if world.directory.path not in path.parents]
        if copies and not ends:
            world.go_on()
            with closing(SignalLog(world.directory)) as log:
                log.append_record(RecordKind.TICK, b'{"time":1}', 1)
                ends.append(log.end(0))

    made = back_up(tmp_path / "data", tmp_path / "out", MADE_AT, meanwhile)
    assert (made.digest.offsets, made.log_ends, ends) == ([1, 1], [1, 1], [3])


def test_a_bundle_that_is_taken_away_meanwhile_is_not_in_the_backup_and_no_draft_is(world, tmp_path):
    bundle, copy = f"models/{1:064}", "models/.installing-1/a.onnx"
    (tmp_path / "data" / copy).parent.mkdir()
    (tmp_path / "data" / copy).touch()

    def meanwhile(*_):
        if list(tmp_path.glob(f"**/.part/{bundle}/a.onnx")):
            shutil.rmtree(tmp_path / "data" / bundle, ignore_errors=True)

    made = back_up(tmp_path / "data", tmp_path / "out", MADE_AT, meanwhile)
    assert {name for name in made.files if name.startswith("models/")} == {"models/pointers.json"}
    assert not (tmp_path / "out" / bundle).exists()


def test_a_file_that_cannot_be_read_is_named_and_the_target_is_not_blamed(world, tmp_path):
    world.go_on()
    first, second = (f"principles/{n:064}.yaml" for n in (1, 2))

    def meanwhile(*_):
        if (tmp_path / "out" / ".part" / first).exists():
            (tmp_path / "data" / second).unlink(missing_ok=True)

    with pytest.raises(StoreUnavailable, match=f"^{tmp_path / 'data' / second}: not available: No such file"):
        back_up(tmp_path / "data", tmp_path / "out", MADE_AT, meanwhile)
    assert not (tmp_path / "out").exists()
    back_up(tmp_path / "data", tmp_path / "out", MADE_AT, lambda *_: None)
    assert (tmp_path / "out" / MANIFEST).is_file()
