"""The decision log: never in the way of a decision, never silent about what it lost."""

from __future__ import annotations

import time

import apsw
import pytest

import storage.decisions
from membrane.errors import StoreUnavailable
from storage.decisions import DecisionLog
from storage.erasing import erase_from


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.db"


def put(log, number, customer="c"):
    return log.put(f"d-{number}", "t", customer, number, b"%d" % number)


def lock(path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_a_decision_is_read_as_soon_as_it_was_put(path):
    log = DecisionLog(path)
    for number in range(5):
        assert put(log, number, f"c-{number % 2}")
        assert log.by_id("t", f"d-{number}").body == b"%d" % number
    assert log.by_id("t", "d-9") is None
    assert log.by_id("u", "d-1") is None
    newest, oldest = log.by_customer("t", "c-1", 10)
    assert (newest.id, newest.time_ms, oldest.id) == ("d-3", 3, "d-1")
    assert log.by_customer("t", "c-1", 1) == [newest]
    assert log.by_customer("t", "c-1", 10, newest.seq) == [oldest]
    assert log.by_customer("u", "c-1", 10) == []
    log.close()


def test_nothing_is_read_from_a_log_that_nobody_wrote(path):
    log = DecisionLog(path)
    assert log.by_id("t", "d") is None
    log.close()


def test_closing_writes_what_waits_and_opening_again_finds_it(path):
    log = DecisionLog(path)
    for number in range(100):
        put(log, number)
    log.close()
    again = DecisionLog(path)
    assert len(again.by_customer("t", "c", 1_000)) == 100
    assert again.dropped == 0
    again.close()


def test_processes_share_one_log(path):
    first, second = DecisionLog(path), DecisionLog(path)
    put(first, 1)
    put(second, 2)
    assert first.flush()
    assert {decision.id for decision in second.by_customer("t", "c", 9)} == {"d-1", "d-2"}
    first.close()
    second.close()


def test_drop_never_waits_and_counts_what_it_lost(path):
    log = DecisionLog(path, policy="drop", max_waiting=5)
    blocker = lock(path)
    begin = time.monotonic()
    kept = [put(log, number) for number in range(1_000)]
    assert time.monotonic() - begin < 5
    assert 5 <= sum(kept) < 1_000
    assert log.dropped == 1_000 - sum(kept)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert log.flush(30)
    assert len(log.by_customer("t", "c", 1_000)) == sum(kept)
    log.close()


def test_block_waits_a_little_and_then_refuses(path):
    log = DecisionLog(path, policy="block", max_waiting=3, patience_seconds=0.01)
    blocker = lock(path)

    def fill() -> None:
        for number in range(100):
            put(log, number)

    with pytest.raises(StoreUnavailable, match="3 decisions wait to be logged"):
        fill()
    assert log.dropped == 0
    blocker.execute("ROLLBACK")
    blocker.close()
    assert log.flush(30)
    assert put(log, 1_000)
    log.close()


def test_block_takes_room_as_soon_as_there_is_some(path):
    log = DecisionLog(path, policy="block", max_waiting=2, patience_seconds=5)
    assert all(put(log, number) for number in range(50))
    log.close()


def test_a_failing_disk_is_told_and_tried_again(path, monkeypatch):
    real = storage.decisions.transaction

    def fail(connection):
        raise apsw.FullError("full")

    log = DecisionLog(path)
    monkeypatch.setattr(storage.decisions, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(storage.decisions, "transaction", fail)
    put(log, 1)
    deadline = time.monotonic() + 30
    while not log.failing and time.monotonic() < deadline:
        time.sleep(0.001)
    assert log.failing
    monkeypatch.setattr(storage.decisions, "transaction", real)
    assert log.flush(30)
    assert not log.failing
    assert log.by_id("t", "d-1").body == b"1"
    log.close()


def test_what_a_failing_disk_keeps_from_being_written_at_the_end_counts_as_dropped(path, monkeypatch):
    def fail(connection):
        raise apsw.FullError("full")

    monkeypatch.setattr(storage.decisions, "_RETRY_SECONDS", 0.01)
    log = DecisionLog(path)
    monkeypatch.setattr(storage.decisions, "transaction", fail)
    put(log, 1)
    log.close()
    assert log.dropped == 1


def test_what_waits_about_a_customer_who_is_erased_meanwhile_is_never_written(path, monkeypatch):
    """Whatever process it waits in, and however late it comes."""

    def fail(connection):
        raise apsw.FullError("full")

    monkeypatch.setattr(storage.decisions, "_RETRY_SECONDS", 0.01)
    log = DecisionLog(path)
    put(log, 1)
    assert log.flush(30)
    with monkeypatch.context() as refusing:
        refusing.setattr(storage.decisions, "transaction", fail)
        for number in range(2, 200):
            put(log, number, "c" if number % 2 else "other")
        assert not log.flush(0.05)
        assert erase_from(path, "t", "c") == {"decisions": 1}
    assert log.flush(30)
    put(log, 201)
    assert log.by_customer("t", "c", 1_000) == []
    assert len(log.by_customer("t", "other", 1_000)) == 99
    assert log.dropped == 0
    log.close()


def test_a_folder_that_is_missing_fails_no_start(tmp_path):
    log = DecisionLog(tmp_path / "none" / "decisions.db", policy="drop")
    assert log.failing
    with pytest.raises(StoreUnavailable):
        log.by_id("t", "d")
    log.close()
