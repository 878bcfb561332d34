"""Records as they were, made again from the log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.errors import RecordUnreadable, StoreRefused, StoreUnavailable
from membrane.ports import LogRecord, RecordKind
from membrane.record import decode, encode
from membrane.settings import TenantSettings
from membrane.times import HOUR
from storage import checkpoints
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.record_reader import RecordReader
from stream.block import Block, decode_block
from stream.hindsight import HeldRecords, Hindsight, at_once, contacts_made
from stream.steps import PartitionSteps
from stream.trim import trim
from tests.fakes import MemoryLog, MemoryStore, OneLibrary
from tests.strategies import START, signal
from tests.stream.made import NOW, append, apply_log, make_data, some_signals
from tests.stream.test_laws import logs


def seen(data) -> dict[tuple[str, int], bytes]:
    """Every record of a data directory by customer and version."""
    found = {}
    with closing(RecordReader(DataDir.existing(data))) as reader:
        for partition in range(reader.directory.partitions):
            with reader.snapshot(partition) as shot:
                for _, body in shot.records():
                    record = decode(body)
                    found[record.customer, record.version] = encode(record)
    return found


def test_a_record_of_any_version_is_made_again_byte_for_byte(tmp_path, monkeypatch):
    signals = some_signals(300, customers=8)
    data = make_data(tmp_path / "data", model=True)
    stored = {}
    for first in range(0, len(signals), 25):
        append(data, signals[first : first + 25])
        apply_log(data, monkeypatch)
        stored |= seen(data)
    assert len(stored) > 60
    with closing(LogReader(DataDir.existing(data))) as log:
        hindsight = Hindsight(log, TenantSettings())
        again = {key: encode(hindsight.record_at("default", *key)) for key in stored}
    assert again == stored


def test_a_version_that_the_log_does_not_give_is_told(tmp_path):
    data = make_data(tmp_path / "data", some_signals(20, customers=1), partitions=1)
    with closing(LogReader(DataDir.existing(data))) as log:
        hindsight = Hindsight(log, TenantSettings())
        for customer, version in (("c-0", 0), ("c-0", 10_000), ("nobody", 5)):
            with pytest.raises(RecordUnreadable, match=f"version {version} was required"):
                hindsight.record_at("default", customer, version)


def test_a_principle_file_that_is_gone_is_told(tmp_path):
    data = make_data(tmp_path / "data", some_signals(20, customers=1))
    for path in (data / "principles").iterdir():
        path.unlink()
    with closing(LogReader(DataDir.existing(data))) as log, pytest.raises(StoreRefused, match="put it back"):
        Hindsight(log, TenantSettings()).record_at("default", "c-0", 5)


def test_a_witness_sees_each_contact_with_the_customer_just_before_it(tmp_path, monkeypatch):
    """Against a stream that is run up to each contact."""
    signals = some_signals(160, customers=6)
    data = make_data(tmp_path / "data", signals, partitions=1, model=True)
    shown = {}
    with closing(LogReader(DataDir.existing(data))) as log:
        wanted = contacts_made(log, 0, "default", 0, 10**15)
        records = log.read(0, 0, 10_000)

        def witness(item, made, view):
            assert made.domain == "service"
            shown[item.id] = view.t, None if view.record is None else encode(view.record)

        Hindsight(log, TenantSettings()).look(0, wanted, witness)
    assert len(shown) == len(wanted) > 15
    for offset in list(wanted)[::7]:
        store, library = HeldRecords(), Hindsight(log, TenantSettings())._library
        steps = PartitionSteps(0, store, library, TenantSettings())
        while steps.next_offset < offset:
            at = steps.next_offset
            steps.write(steps.apply(decode_block(Block(0, at, records[at:offset], False)), 0))
        item = msgspec.json.decode(records[offset].body)
        ticked = MemoryLog()
        ticked.tick(item["time"])
        tick = LogRecord(offset, RecordKind.TICK, 0, "", "", ticked.records[0].body)
        steps.write(steps.apply(decode_block(Block(0, offset, [tick], False)), 0))
        held = store.load([wanted[offset]])
        t, before = shown[item["id"]]
        assert t >= item["time"]
        if not held:
            assert before is None
        elif item["time"] == t and before is not None:
            told, then = decode(before), decode(held[wanted[offset]][0])
            assert (told.tracker, told.obligations, told.state) == (then.tracker, then.obligations, then.state)


def test_contacts_are_not_looked_at_while_the_log_is_trimmed(tmp_path, monkeypatch):
    data = make_data(tmp_path / "data", some_signals(160, customers=6), partitions=1)
    append(data, some_signals(200, customers=6)[160:], NOW + 1)
    apply_log(data, monkeypatch)
    with closing(LogReader(DataDir.existing(data))) as log:
        wanted = contacts_made(log, 0, "default", 0, 10**15)
        start_of = checkpoints.start_of
        trims = iter([lambda: trim(data, NOW + 1, lambda *_: None)])

        def start_and_trim(*of_what):
            start = start_of(*of_what)
            next(trims, lambda: None)()
            return start

        monkeypatch.setattr(checkpoints, "start_of", start_and_trim)
        hindsight, seen = Hindsight(log, TenantSettings()), []
        with pytest.raises(StoreUnavailable, match="was trimmed meanwhile"):
            hindsight.look(0, wanted, lambda item, *_: seen.append(item.id))
        assert seen == []
        hindsight.look(0, wanted, lambda item, *_: seen.append(item.id))
        assert len(seen) == sum(one >= checkpoints.offset(log.directory, 0) for one in wanted) > 1


def test_contacts_are_found_by_tenant_and_time(tmp_path):
    data = make_data(tmp_path / "data", some_signals(200, customers=5), partitions=1)
    with closing(LogReader(DataDir.existing(data))) as log:
        everything = contacts_made(log, 0, "default", 0, 10**15)
        half = START + 200 * HOUR
        early = contacts_made(log, 0, "default", 0, half)
        late = contacts_made(log, 0, "default", half, 10**15)
        assert contacts_made(log, 0, "another", 0, 10**15) == {}
    assert {**early, **late} == everything
    assert early
    assert late


@given(logs(), st.integers(1, 9))
@settings(max_examples=60)
def test_records_held_in_memory_are_those_of_any_other_store(log: MemoryLog, size: int) -> None:
    held, other = HeldRecords(), MemoryStore()
    for store in (held, other):
        steps = PartitionSteps(0, store, OneLibrary(), TenantSettings())
        while steps.next_offset < len(log.records):
            at = steps.next_offset
            steps.write(steps.apply(decode_block(Block(0, at, log.records[at : at + size], False)), 0))
    assert {customer: body for customer, (body, _) in held.load(other.records).items()} == other.records
    for t in sorted({due for due in other.due.values() if due is not None}):
        assert held.due_before(t, 2) == other.due_before(t, 2)
        assert held.due_before(t, 100) == other.due_before(t, 100)


@given(st.lists(st.tuples(st.sampled_from("abct"), st.booleans()), min_size=1, max_size=12))
def test_what_is_applied_together_leaves_every_shown_customer_untouched_before_it(marks: Sequence[tuple[str, bool]]):
    log = MemoryLog()
    for customer, _ in marks:
        if customer == "t":
            log.tick(START)
        else:
            log.signal(signal(len(log.records), "order.placed", START, {"amount": 1}, customer=customer))
    shown = {place for place, (customer, wanted) in enumerate(marks) if wanted and customer != "t"}
    count = at_once(log.records, shown)
    together = [customer for customer, _ in marks[:count]]
    assert count >= 1
    for place in shown & set(range(count)):
        assert "t" not in together[:place]
        assert marks[place][0] not in together[:place]
    if count < len(marks):
        assert count in shown
        assert marks[count][0] in together or "t" in together
