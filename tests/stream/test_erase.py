"""An ERASE record: the stream forgets the customer, however the log is cut, and a rebuild gives the same."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membrane.ports import Erasure, RecordKind, partition_of
from membrane.times import DAY
from storage.digest import digest
from storage.directory import DataDir
from storage.keys import customer_key
from storage.log import SignalLog
from storage.record_reader import RecordReader
from stream import learning
from stream.rebuild import rebuild
from tests.fakes import LinearScorer, MemoryLog
from tests.strategies import START, signal
from tests.stream.made import NOW, append, apply_log, but_for_counts, log_ends, make_data, some_signals, state_of
from tests.stream.test_laws import run
from tests.stream.test_learning import cuts, lives
from tests.stream.test_steps import SEVERE, Bench

GONE = ("default", "c-1")


def erase(data, customer="c-1"):
    with closing(SignalLog(DataDir.existing(data))) as log:
        return log.erase("default", customer, NOW, NOW)


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_what_is_left_is_as_if_the_customer_had_never_been(tmp_path, monkeypatch, batch):
    signals = some_signals(150, customers=8)
    data = make_data(tmp_path / "data", signals[:120])
    apply_log(data, monkeypatch)
    erase(data)
    append(data, signals[120:])
    erase(data, "c-2")
    apply_log(data, monkeypatch, batch=batch)
    before = but_for_counts(state_of(data))
    with closing(RecordReader(DataDir.existing(data))) as records:
        for customer in ("c-1", "c-2"):
            assert records.get("default", customer) is None
            assert records.effects("default", customer, None, 9) == records.obligations("default", customer=customer)
    rebuild(data)
    assert but_for_counts(state_of(data)) == before
    assert before[0].customers == 6
    assert sum(sum(meta["stages"]["default"].values()) for meta in before[1] if meta["stages"]) == 6
    assert before[0].offsets == log_ends(data)


def test_an_effect_tells_of_the_erasure_and_not_of_whom(tmp_path, monkeypatch):
    data = make_data(tmp_path / "data", some_signals(40, customers=4))
    offset = erase(data)[1].offset
    apply_log(data, monkeypatch)
    partition = partition_of(*GONE, 2)
    with closing(RecordReader(DataDir.existing(data))) as records:
        [told] = [one for _, one in records.effects_after(partition, 0, 1_000) if one.kind == "erased"]
    assert (told.id, told.tenant, told.customer) == (f"{partition}-{offset}-erased", "default", "")
    assert digest(data).customers == 3


@pytest.mark.parametrize("together", [True, False])
def test_signals_that_were_read_before_the_erasure_leave_nothing_behind(together):
    """The stream may hold a customer's signals in its hands, though the log has them no more."""
    bench = Bench()
    bench.log.revision("principles", "a" * 64)
    for customer in ("c-1", "c-2"):
        bench.log.signal(signal(customer, "case.opened", START, SEVERE, customer=customer))
    if not together:
        bench.go()
    erasure = Erasure("default", customer_key(*GONE), START)
    bench.log.add(RecordKind.ERASE, msgspec.json.encode(erasure))
    bench.log.add(RecordKind.ERASE, b"")
    bench.go()
    assert list(bench.store.records) == [("default", "c-2")]
    assert sum(bench.steps.meta.stages["default"].values()) == 1
    assert bench.steps.next_offset == 5
    assert bench.steps.dropped == []


def erased_from(log: MemoryLog, customer: str, at: int) -> tuple[MemoryLog, MemoryLog]:
    """A log in which a customer is erased at a place behind which it sends nothing: as the stream read it, and as a
    rebuild finds it."""
    read, found = MemoryLog(), MemoryLog()
    erasure = msgspec.json.encode(Erasure("default", customer_key("default", customer), START))
    for record in log.records:
        if record.offset == at:
            read.add(RecordKind.ERASE, erasure)
            found.add(RecordKind.ERASE, erasure)
        mine = record.customer == customer
        if not mine or record.offset < at:
            read.add(record.kind, record.body, record.tenant, record.customer)
            blank = dataclasses.replace(record, kind=RecordKind.ERASE, tenant="", customer="", body=b"")
            kept = blank if mine else record
            found.add(kept.kind, kept.body, kept.tenant, kept.customer)
    return read, found


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that short logs reach."""
    monkeypatch.setattr(learning, "KEPT_EXAMPLES", 16)
    monkeypatch.setattr(learning, "KEPT_LABELS", 24)
    monkeypatch.setattr(learning, "KEPT_FOR", 45 * DAY)


@pytest.mark.usefixtures("_narrow")
@given(log=lives(), cuts=cuts, data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_learned_from_others_does_not_show_whose_was_erased(log, cuts, data):
    """Neither which vectors and labels of theirs are kept, nor the numbers by which a learner knows its place."""
    read, found = erased_from(log, data.draw(st.sampled_from("cde")), data.draw(st.integers(1, len(log.records) - 1)))
    ran, rebuilt = run(read, cuts, LinearScorer()), run(found, [100], LinearScorer())
    assert (ran.examples, ran.labelled) == (rebuilt.examples, rebuilt.labelled)
    assert (ran.records, ran.due) == (rebuilt.records, rebuilt.due)
