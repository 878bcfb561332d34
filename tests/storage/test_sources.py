"""When named sources were last heard, as the log's own transactions keep it."""

from __future__ import annotations

from contextlib import closing

import apsw
import msgspec
import pytest

import storage.log
from membrane.errors import StoreUnavailable
from membrane.ports import RecordKind
from storage.log import ABSENT_MS, TICK_EVERY_MS, SignalLog
from storage.sources import Source


def name(log: SignalLog, now_ms: int, **tenants: list[str]) -> None:
    """A revision that names these sources of each tenant."""
    settings = {tenant: {"sources": dict.fromkeys(sources, 60_000)} for tenant, sources in tenants.items()}
    body = {"kind": "tenants", "revision": "r", "digest": "d", "tenants": settings}
    log.append_record(RecordKind.REVISION, msgspec.json.encode(body), now_ms)


def test_nothing_is_kept_before_a_source_is_named(log, make_signal):
    log.append([make_signal("1")], 5)
    assert log.sources() == []
    name(log, 7, t=[])
    assert log.sources() == []


def test_the_latest_signal_of_each_named_source_is_known_by_tenant(log, make_signal):
    name(log, 7, t=["crm", "pos"], u=["crm"])
    log.append([make_signal("1"), make_signal("2", source="else")], 9)
    log.append([make_signal("3"), make_signal("4", source="pos", tenant="u")], 12)
    log.append([make_signal("5")], 11)  # the wall clock was set back
    log.append([make_signal("3")], 20)  # a duplicate
    assert log.sources() == [Source("t", "crm", 7, 12), Source("t", "pos", 7, None), Source("u", "crm", 7, None)]


def test_of_which_sources_cases_or_messages_ever_came_is_known_to_every_process(log, directory, make_signal):
    name(log, 7, t=["crm", "pos"])
    log.append([make_signal("1", is_service=True), make_signal("2", is_service=False)], 9)
    log.append([make_signal("3", source="pos"), make_signal("4", source="pos", tenant="u", is_service=True)], 9)
    known = [Source("t", "crm", 7, 9, is_service=True), Source("t", "pos", 7, 9)]
    assert log.sources() == known
    log.append([make_signal("5")], 9)
    with closing(SignalLog(directory)) as other:
        assert other.sources() == known
        other.append([make_signal("6", source="pos", is_service=True)], 9)
    assert [one.is_service for one in log.sources()] == [True, True]
    name(log, 10, t=["pos"])
    name(log, 11, t=["crm", "pos"])
    assert log.sources() == [Source("t", "crm", 11, None), Source("t", "pos", 7, 9, is_service=True)]


def test_a_case_that_was_not_stored_makes_no_source_one_of_cases(log, make_signal, monkeypatch):
    name(log, 7, t=["crm"])

    def fail(*args: object) -> None:
        raise apsw.IOError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(storage.log, "set_number", fail)
        with pytest.raises(StoreUnavailable):
            log.append([make_signal("1", is_service=True)], 9)
    assert log.sources() == [Source("t", "crm", 7, None)]
    log.append([make_signal("1", is_service=True)], 12)
    assert log.sources() == [Source("t", "crm", 7, 12, is_service=True)]


def test_what_is_named_no_more_is_forgotten_and_the_rest_stays(log, make_signal):
    name(log, 7, t=["crm", "pos"])
    log.append([make_signal("1")], 9)
    name(log, 10, t=["crm", "web"])
    assert log.sources() == [Source("t", "crm", 7, 9), Source("t", "web", 10, None)]
    log.append([make_signal("2", source="web"), make_signal("3", source="pos")], 12)
    assert log.sources() == [Source("t", "crm", 7, 9), Source("t", "web", 10, 12)]


def test_other_processes_hear_and_name_too(log, directory, make_signal):
    with closing(SignalLog(directory)) as other:
        log.append([make_signal("1")], 5)
        name(other, 7, t=["crm"])
        log.append([make_signal("2")], 9)
        assert other.sources() == [Source("t", "crm", 7, 9)]
        name(log, 10, t=["pos"])
        other.append([make_signal("3", source="pos")], 11)
        assert log.sources() == [Source("t", "pos", 10, 11)]


def test_a_signal_that_was_not_stored_was_not_heard(log, make_signal, monkeypatch):
    name(log, 7, t=["crm"])

    def fail(*args: object) -> None:
        raise apsw.IOError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(storage.log, "set_number", fail)
        with pytest.raises(StoreUnavailable):
            log.append([make_signal("1")], 9)
    assert log.sources() == [Source("t", "crm", 7, None)]
    log.append([make_signal("1")], 12)
    assert log.sources() == [Source("t", "crm", 7, 12)]


def test_listening_begins_with_the_first_tick_after_a_gap(log):
    assert log.listening_since() is None
    log.tick(100_000)
    assert log.listening_since() == 100_000
    log.tick(100_000 + TICK_EVERY_MS)
    later = 100_000 + TICK_EVERY_MS + ABSENT_MS
    log.tick(later)
    assert log.listening_since() == 100_000
    log.tick(later + ABSENT_MS + 1)
    assert log.listening_since() == later + ABSENT_MS + 1


def test_the_latest_records_are_looked_through_for_a_type_of_signal(log, make_signal):
    log.append([make_signal(str(number), "c-1", type="order.placed") for number in range(3)], 5)
    log.append([make_signal(f"m{number}", "c-1") for number in range(3)], 6)
    assert log.has_type("t", "cx.order.placed.v1", 4)
    assert not log.has_type("t", "cx.order.placed.v1", 3)
    assert not log.has_type("u", "cx.order.placed.v1", 100)
    assert not log.has_type("t", "cx.order.place", 100)
