"""What goes into the signal log, in which order, and all or nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import storage.log
from membrane.errors import StoreUnavailable
from membrane.pauses import Pause, PauseRecord
from membrane.ports import NewSignal, RecordKind, partition_of
from membrane.times import HOUR
from storage.directory import DataDir
from storage.log import _OPT_OUT, Batch, NewDeadLetter, SignalLog


def everything(log: SignalLog):
    return [log.read(partition, 0, 10_000) for partition in range(log.directory.partitions)]


def ticks(records):
    return [msgspec.json.decode(record.body)["time"] for record in records if record.kind is RecordKind.TICK]


def test_accepted_signals_are_read_back_in_order_from_offset_zero(log, make_signal):
    signals = [make_signal(str(number), "c-1") for number in range(5)]
    assert log.append(signals, 77) == [True] * 5
    partition = partition_of("t", "c-1", 2)
    records = log.read(partition, 0, 10)
    assert [record.offset for record in records] == [0, 1, 2, 3, 4]
    assert log.end(partition) == 5
    assert [record.body for record in records] == [signal.body for signal in signals]
    assert {(r.kind, r.received_ms, r.tenant, r.customer) for r in records} == {(RecordKind.SIGNAL, 77, "t", "c-1")}
    assert log.read(partition, 3, 1) == records[3:4]
    assert log.read(partition, 5, 1) == [] == log.read(1 - partition, 0, 9)


def test_a_duplicate_never_enters_the_log_and_the_first_one_wins(log, make_signal):
    assert log.append([make_signal("1", time_ms=5), make_signal("2"), make_signal("1", time_ms=6)], 0) == [
        True, True, False,
    ]  # fmt: skip
    assert log.append([make_signal("2"), make_signal("3")], 0) == [False, True]
    assert sum(map(len, everything(log))) == 3


def test_ids_are_told_apart_by_source_and_tenant(log, make_signal):
    same = [make_signal("1"), make_signal("1", source="shop"), make_signal("1", tenant="u")]
    assert log.append(same, 0) == [True, True, True]


def test_batches_of_one_transaction_each_get_their_own_answer(log, make_signal):
    batches = [Batch([make_signal("1"), make_signal("2")], 5), Batch([], 6), Batch([make_signal("2")], 7)]
    assert log.append_batches(batches) == [[True, True], [], [False]]
    assert log.append_batches([]) == []
    assert {record.received_ms for partition in everything(log) for record in partition} == {5}


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=6), max_size=6),
)
def test_offsets_have_no_gaps_and_keep_the_order_of_acceptance(tmp_path_factory, make_signal_of, batches):
    log = SignalLog(DataDir.open(tmp_path_factory.mktemp("log") / "d", 3))
    seen, expected = set(), [[], [], []]
    for batch in batches:
        log.append([make_signal_of(str(number), f"c-{customer}") for number, customer in batch], 0)
        for number, customer in batch:
            if number not in seen:
                seen.add(number)
                expected[partition_of("t", f"c-{customer}", 3)].append(str(number))
    records = everything(log)
    assert [[msgspec.json.decode(r.body)["id"] for r in partition] for partition in records] == expected
    assert [[r.offset for r in partition] for partition in records] == [list(range(len(ids))) for ids in expected]
    log.close()


@pytest.fixture(scope="module")
def make_signal_of():
    return lambda signal_id, customer: NewSignal(
        "t", customer, "crm", signal_id, 0, b'{"id":"%s"}' % signal_id.encode()
    )


def test_under_clock_signals_a_crossed_hour_ticks_in_every_partition_before_the_signal(directory, make_signal):
    log = SignalLog(directory, clock="signals")
    log.append([make_signal("1", time_ms=10), make_signal("2", time_ms=HOUR - 1)], 0)
    assert [ticks(partition) for partition in everything(log)] == [[], []]
    log.append([make_signal("3", time_ms=HOUR), make_signal("4", time_ms=HOUR // 2)], 0)
    log.append([make_signal("5", time_ms=5 * HOUR + 1), make_signal("6", time_ms=5 * HOUR + 2)], 0)
    assert [ticks(partition) for partition in everything(log)] == [[HOUR, 5 * HOUR]] * 2
    mine = log.read(partition_of("t", "c-1", 2), 0, 99)
    shown = [msgspec.json.decode(record.body) for record in mine]
    assert [body.get("id", "tick") for body in shown] == ["1", "2", "tick", "3", "4", "tick", "5", "6"]
    assert log.greatest_time() == 5 * HOUR + 2
    log.close()


def test_a_duplicate_moves_no_clock(directory, make_signal):
    log = SignalLog(directory, clock="signals")
    log.append([make_signal("1", time_ms=0)], 0)
    log.append([make_signal("1", time_ms=9 * HOUR)], 0)
    assert [ticks(partition) for partition in everything(log)] == [[], []]
    assert log.greatest_time() == 0
    log.close()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9 * HOUR), min_size=1, max_size=12), st.integers(1, 12))
def test_ticks_do_not_depend_on_how_signals_are_batched(tmp_path_factory, make_signal_at, times, size):
    logs = [SignalLog(DataDir.open(tmp_path_factory.mktemp("log") / "d", 2), clock="signals") for _ in "ab"]
    signals = [make_signal_at(str(number), t) for number, t in enumerate(times)]
    logs[0].append(signals, 0)
    for start in range(0, len(signals), size):
        logs[1].append(signals[start : start + size], 0)
    assert everything(logs[0]) == everything(logs[1])
    shown = ticks(logs[0].read(0, 0, 99))
    assert all(before < after for before, after in pairwise(shown))
    for log in logs:
        log.close()


@pytest.fixture(scope="module")
def make_signal_at():
    return lambda signal_id, t: NewSignal("t", "c", "crm", signal_id, t, b'{"id":"%s"}' % signal_id.encode())


def test_the_wall_clock_ticks_every_ten_seconds_once_for_all_processes(directory):
    first, second = SignalLog(directory), SignalLog(directory)
    assert first.last_tick() is None
    assert first.tick(100_000)
    assert not second.tick(100_000)
    assert not second.tick(109_999)
    assert not second.tick(50_000)
    assert second.tick(110_000)
    assert not first.tick(110_001)
    assert [ticks(partition) for partition in everything(first)] == [[100_000, 110_000]] * 2
    assert first.last_tick() == 110_000
    first.close()
    second.close()


def test_ticks_of_many_threads_are_not_doubled(directory):
    logs = [SignalLog(directory) for _ in range(3)]
    threads = [threading.Thread(target=lambda log=log: [log.tick(t * 1_000) for t in range(40)]) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(after - before >= 10_000 for before, after in pairwise(ticks(logs[0].read(0, 0, 99))))
    for log in logs:
        log.close()


def test_a_consent_stands_by_the_latest_time_and_denied_wins_a_tie(log, make_signal):
    def say(signal_id, *consents):
        log.append([make_signal(signal_id, consents=consents)], 0)

    say("1", (0, 0, True, 10))
    assert log.consents("t", "c-1") == [(0, 0, True, 10)]
    say("2", (0, 0, False, 9), (1, 0, False, 5))
    say("3", (0, 0, False, 10), (0, 0, True, 10), (1, 0, True, 6))
    assert log.consents("t", "c-1") == [(0, 0, False, 10), (1, 0, True, 6)]
    say("3", (0, 0, True, 99))
    assert log.consents("t", "c-1")[0] == (0, 0, False, 10)
    assert log.consents("t", "c-2") == [] == log.consents("u", "c-1")


@settings(max_examples=30)
@given(st.permutations([(0, 0, granted, t) for granted in (True, False) for t in (1, 2)] + [(0, 0, True, 3)]))
def test_consents_do_not_depend_on_the_order_of_arrival(tmp_path_factory, make_signal_of, consents):
    log = SignalLog(DataDir.open(tmp_path_factory.mktemp("log") / "d", 1))
    log.append([replace(make_signal_of(str(n), "c"), consents=(consent,)) for n, consent in enumerate(consents)], 0)
    assert log.consents("t", "c") == [(0, 0, True, 3)]
    log.close()


def contact(make_signal, signal_id, channel, domain, name="k-1", **more):
    return replace(make_signal(signal_id, **more), contact=(name, channel, domain))


def opt_out(make_signal, signal_id, name="k-1", **more):
    return replace(make_signal(signal_id, **more), opts_out_of=name)


def test_an_opt_out_closes_channel_and_domain_of_its_contact(log, make_signal):
    """Of every contact of that id, as in the customer's record; of no other, and of no other customer's."""
    log.append(
        [contact(make_signal, "1", 2, 1), contact(make_signal, "2", 0, 1), contact(make_signal, "3", 3, 3, "k")], 0
    )
    log.append([opt_out(make_signal, "4", time_ms=9), opt_out(make_signal, "5", "unknown", time_ms=9)], 0)
    log.append([opt_out(make_signal, "6", customer="c-2"), opt_out(make_signal, "7", tenant="u")], 0)
    assert log.consents("t", "c-1") == [(0, 1, False, 9), (2, 1, False, 9)]
    assert log.consents("t", "c-2") == log.consents("u", "c-1") == []


def test_an_opt_out_finds_its_contact_within_the_same_request_and_twice_is_once(log, make_signal):
    together = [opt_out(make_signal, "1"), contact(make_signal, "2", 2, 1)]
    for _ in "ab":
        log.append(together, 0)
    assert log.consents("t", "c-1") == [(2, 1, False, 1_000)]


def test_an_opt_out_stands_by_its_time_among_consents(log, make_signal):
    log.append([contact(make_signal, "1", 2, 1), make_signal("2", consents=((2, 1, True, 5),))], 0)
    log.append([opt_out(make_signal, "3", time_ms=4)], 0)
    assert log.consents("t", "c-1") == [(2, 1, True, 5)]
    log.append([opt_out(make_signal, "4", time_ms=5)], 0)
    assert log.consents("t", "c-1") == [(2, 1, False, 5)]


def test_a_contact_that_was_no_news_is_not_kept(log, make_signal):
    log.append([make_signal("1")], 0)
    log.append([contact(make_signal, "1", 2, 1), opt_out(make_signal, "2")], 0)
    assert log.consents("t", "c-1") == []


def test_an_opt_out_is_found_by_the_index(log):
    with apsw.Connection(str(log.directory.log_path)) as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {_OPT_OUT}", ("t", "c", 0, 0, 0)))
    assert "SEARCH contacts USING PRIMARY KEY (customer_key=? AND contact_key=?)" in plan
    assert "SCAN" not in plan


def test_dead_letters_come_with_their_batch_and_are_cut_at_64_kib(log, make_signal):
    letter = NewDeadLetter("unknown_type", "t", "c-1", 1, "crm", "x", b"y" * 70_000)
    log.append([make_signal("1")], 5, [letter, NewDeadLetter("future", "t", "c-1", 2, "crm", "z", b"{}")])
    newest, oldest = log.dead_letters(10)
    assert (newest.reason, newest.position, newest.id, newest.payload) == ("future", 2, "z", b"{}")
    assert (oldest.reason, oldest.received_ms, oldest.tenant, len(oldest.payload)) == ("unknown_type", 5, "t", 65_536)
    assert log.dead_letters(1) == [newest]
    assert log.dead_letters(9, newest.seq) == [oldest]


def test_a_revision_goes_into_every_partition_and_the_last_of_each_kind_is_known(log):
    assert log.revisions() == {}
    for body in (
        b'{"kind":"principles","digest":"a"}',
        b'{"kind":"stage_model"}',
        b'{"kind":"principles","digest":"b"}',
    ):
        log.append_record(RecordKind.REVISION, body, 9)
    assert [[record.kind for record in partition] for partition in everything(log)] == [[RecordKind.REVISION] * 3] * 2
    assert log.revisions() == {
        "principles": {"kind": "principles", "digest": "b"},
        "stage_model": {"kind": "stage_model"},
    }


def test_the_revisions_at_an_offset_are_the_last_of_each_kind_up_to_it(log, make_signal):
    log.append([make_signal(str(n)) for n in range(3)], 0)
    partition = partition_of("t", "c-1", 2)
    for digest in "ab":
        log.append_record(RecordKind.REVISION, b'{"kind":"principles","digest":"%s"}' % digest.encode(), 9)
    assert log.revisions_at(partition, 2) == {}
    assert log.revisions_at(partition, 3) == {"principles": {"kind": "principles", "digest": "a"}}
    assert log.revisions_at(partition, 99)["principles"]["digest"] == "b"


def test_an_act_goes_into_its_customers_partition(log):
    log.append_record(RecordKind.ACT, b"{}", 9, customer=("t", "c-1"))
    (record,) = log.read(partition_of("t", "c-1", 2), 0, 9)
    assert (record.kind, record.tenant, record.customer, record.received_ms) == (RecordKind.ACT, "t", "c-1", 9)
    assert log.read(1 - partition_of("t", "c-1", 2), 0, 9) == []


def test_poison_is_set_aside_once_with_its_payload(log, make_signal):
    log.append([make_signal("1")], 0)
    partition = partition_of("t", "c-1", 2)
    assert log.poisoned(partition) == set()
    log.poison(partition, 0, 50)
    log.poison(partition, 0, 60)
    assert log.poisoned(partition) == {0}
    assert log.poisoned(1 - partition) == set()
    (letter,) = log.dead_letters(10)
    assert (letter.reason, letter.partition, letter.position, letter.received_ms) == ("poison", partition, 0, 50)
    assert letter.payload == make_signal("1").body


def failing(monkeypatch, error):
    """The log's next connection fails once, when the transaction is committed."""
    real = storage.log.transaction

    def fail(connection):
        monkeypatch.setattr(storage.log, "transaction", real)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET value = 0")
        raise error

    monkeypatch.setattr(storage.log, "transaction", fail)


@pytest.mark.parametrize("error", [apsw.FullError("full"), apsw.IOError("fsync")])
def test_a_failing_disk_applies_nothing_and_the_next_call_works_on_a_new_connection(
    log, make_signal, monkeypatch, error
):
    log.append([make_signal("1")], 0)
    broken = log._writer
    failing(monkeypatch, error)
    with pytest.raises(StoreUnavailable, match="nothing was stored"):
        log.append([make_signal("2")], 0)
    assert log._writer is None
    assert log.append([make_signal("1"), make_signal("2")], 0) == [False, True]
    assert log._writer is not broken
    assert log.directory == DataDir.open(log.directory.path)


def test_a_full_database_is_unavailable_and_works_again_later(log, make_signal):
    log.append([make_signal("1")], 0)
    log._writer.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="full"):
        log.append([make_signal(str(number), customer="x" * 200) for number in range(2, 500)], 0)
    assert sum(map(len, everything(log))) == 1
    assert log.append([make_signal("2")], 0) == [True]


def test_a_busy_log_is_unavailable_and_keeps_its_connection(log, make_signal):
    log.append([make_signal("1")], 0)
    log._writer.set_busy_timeout(1)
    other = apsw.Connection(str(log.directory.log_path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        log.append([make_signal("2")], 0)
    other.execute("ROLLBACK")
    other.close()
    assert log.append([make_signal("2")], 0) == [True]


def test_a_reader_that_keeps_an_old_state_delays_trust_not_truth(directory, make_signal, monkeypatch):
    first = SignalLog(directory)
    first.append([make_signal("1")], 0)
    reader = apsw.Connection(str(directory.log_path))
    reader.execute("BEGIN; SELECT count(*) FROM log_0").fetchall()
    first.append([make_signal("2")], 0)
    real = storage.log.connect
    monkeypatch.setattr(storage.log, "connect", lambda path, **more: real(path, **{**more, "busy_ms": 10}))
    monkeypatch.setattr(storage.log, "BUSY_MS", 20)
    second = SignalLog(directory)
    with pytest.raises(StoreUnavailable, match="kept from being checkpointed by a reader"):
        second.append([make_signal("3")], 0)
    reader.execute("ROLLBACK")
    reader.close()
    assert second.append([make_signal("2"), make_signal("3")], 0) == [False, True]
    first.close()
    second.close()


def test_several_processes_worth_of_logs_append_without_gaps(directory, make_signal):
    logs = [SignalLog(directory) for _ in range(3)]

    def work(number: int) -> None:
        for turn in range(20):
            logs[number].append([make_signal(f"{number}-{turn}-{n}", customer=f"c-{n}") for n in range(3)], 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = everything(logs[0])
    assert sum(map(len, records)) == 180
    assert [[r.offset for r in partition] for partition in records] == [list(range(len(p))) for p in records]
    for log in logs:
        log.close()


def pause(name="sales", what="domain", until=100):
    return Pause(f"p-{name}", "t", what, name, 10, until, "ana", "why")


def test_a_pause_goes_into_every_partition_or_into_its_customers(log):
    assert (log.pauses_change(), log.pauses(0)) == (None, [])
    assert log.pause(PauseRecord("pause", 10, "ana", "why", pause()), 9)
    assert [[record.kind for record in partition] for partition in everything(log)] == [[RecordKind.PAUSE]] * 2
    assert log.pause(PauseRecord("pause", 10, "ana", "why", pause("c-1", "customer")), 9)
    (*_, record) = log.read(partition_of("t", "c-1", 2), 0, 9)
    assert (record.kind, record.tenant, record.customer) == (RecordKind.PAUSE, "t", "c-1")
    assert log.pauses_change() == 2


def test_the_last_word_on_each_pause_is_known(log):
    for one in (pause(), pause("marketing", until=50)):
        log.pause(PauseRecord("pause", 10, "ana", "why", one), 9)
    said = PauseRecord("resume", 20, "bob", "over", pause())
    log.pause(said, 9)
    assert [one.pause.name for one in log.pauses(0)] == ["sales", "marketing"]
    assert log.pauses(0)[0] == said
    assert [one.pause.name for one in log.pauses(20)] == ["marketing"]
    assert (log.pauses(50), log.pauses(0, "another tenant")) == ([], [])
