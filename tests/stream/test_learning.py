"""What the stream keeps to learn from: which vectors, which labels, in which order."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membrane.examples import HORIZON, JOINED_FOR, Served
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.labelled import RULES, TARGETS
from membrane.ports import RecordKind
from membrane.record import decode
from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import STAGES
from stream import learning
from stream.meta import read_meta
from tests.fakes import LinearScorer, MemoryLog, MemoryStore
from tests.strategies import START, payloads, signal
from tests.stream.test_laws import run

NORMAL = {"channel": "chat", "sentiment": 0.0}


def said(store: MemoryStore) -> list[tuple[object, ...]]:
    """(target, label, weight, by, about, example's offset) of every labelled example, by number."""
    found = []
    for _, (target, label, weight, by, about, _, offset, *_) in sorted(store.labelled.items()):
        found.append((TARGETS[target], label if target else str(STAGES[label]), weight, by, about, offset))
    return found


def a_life(days: Sequence[int], customer: str = "c-1") -> MemoryLog:
    """A customer who writes eight times on each of these days."""
    log = MemoryLog()
    for day in days:
        for hour in range(8):
            t = START + day * DAY + hour * HOUR
            log.signal(signal(len(log.records), "message.received", t, NORMAL, customer=customer))
    return log


def rule(log: MemoryLog, lapse: str) -> None:
    """From here on a customer lapses by this rule."""
    body = {"kind": "tenants", "revision": "r", "digest": "e" * 64, "tenants": {"default": {"lapse": lapse}}}
    log.add(RecordKind.REVISION, msgspec.json.encode(body))


def a_shop(orders: Sequence[int], messages: Sequence[int], until: int) -> MemoryLog:
    """A customer who orders on some days and writes on others, under a rule of 20 days without an order; a tick each
    noon."""
    log = MemoryLog()
    rule(log, "no order.placed for 20d")
    for day in range(until + 1):
        t = START + day * DAY
        if day in messages:
            log.signal(signal(len(log.records), "message.received", t, NORMAL))
        if day in orders:
            log.signal(signal(len(log.records), "order.placed", t + HOUR, {"amount": 12}))
        log.tick(t + 12 * HOUR)
    return log


@st.composite
def lives(draw: st.DrawFn) -> MemoryLog:
    """Some customers' months, with ticks, answers, labels and closings anywhere."""
    log, clock = MemoryLog(), START
    kinds = ["message.received"] * 4 + ["interaction.ended", "case.opened", "case.resolved", "survey.answered"]
    kinds += ["label.given", "label.given", "account.closed", "account.opened", "tick", "tick"]
    kinds += ["order.placed", "order.placed", "rule"]
    for number in range(draw(st.integers(8, 50))):
        kind = draw(st.sampled_from(kinds))
        clock += draw(st.sampled_from([0, HOUR, 5 * HOUR, DAY, 3 * DAY, 8 * DAY, 31 * DAY]))
        if kind == "tick":
            log.tick(clock)
            continue
        if kind == "rule":
            rule(log, draw(st.sampled_from(["", "no order.placed for 9d", "no message.received for 26d"])))
            continue
        data = draw(payloads[kind])
        if kind == "label.given":
            data |= {"about_time": format_time(clock - draw(st.sampled_from([0, HOUR, 60 * HOUR, 9 * DAY])))}
        late = draw(st.sampled_from([0, 0, 0, HOUR, 40 * DAY]))
        log.signal(signal(number, kind, clock - late, data, customer=draw(st.sampled_from("cde"))))
    log.tick(clock + draw(st.sampled_from([0, 40 * DAY])))
    return log


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that short logs reach."""
    monkeypatch.setattr(learning, "KEPT_EXAMPLES", 16)
    monkeypatch.setattr(learning, "KEPT_LABELS", 24)
    monkeypatch.setattr(learning, "KEPT_FOR", 45 * DAY)


def _same(log: MemoryLog, cuts: list[int]) -> MemoryStore:
    whole = run(log, [len(log.records)], LinearScorer())
    for sizes in ([1], [2], [7], cuts):
        other = run(log, sizes, LinearScorer())
        assert (other.examples, other.labelled) == (whole.examples, whole.labelled)
        assert other.records == whole.records
        assert _counted(other) == _counted(whole)
    return whole


def _counted(store: MemoryStore) -> tuple[int, ...]:
    meta = read_meta(store.body)
    return meta.unmatched, meta.learned_until


cuts = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(log=lives(), cuts=cuts)
@settings(max_examples=40)
def test_law_1_the_cut_into_batches_does_not_show_in_what_is_learned_from(log: MemoryLog, cuts: list[int]) -> None:
    _same(log, cuts)


@pytest.mark.usefixtures("_narrow")
@given(log=lives(), cuts=cuts)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_law_1_holds_where_examples_and_labels_are_dropped(log: MemoryLog, cuts: list[int]) -> None:
    store = _same(log, cuts)
    end = len(log.records) - 1
    assert all(offset > end - 16 for offset in store.examples)
    assert all(number // (16 * 16) > end - 24 for number in store.labelled)


@given(log=lives())
@settings(max_examples=60)
def test_a_label_goes_to_the_latest_vector_up_to_its_moment_and_never_to_a_later_one(log: MemoryLog) -> None:
    store = run(log, [3])
    vectors = [(example[1], example[2]) for example in store.examples.values()]
    for target, _, _, by, about, found_at, _, _, customer, time, _ in store.labelled.values():
        assert time <= about <= found_at
        if (TARGETS[target], by) in {
            ("stage", "ana"),
            ("stage", "nps"),
            ("stage", "dissatisfied"),
            ("stage", "content"),
        }:
            assert about - time <= JOINED_FOR
            assert [at for who, at in vectors if who == customer and time < at <= about and at < found_at] == []


def test_a_later_vector_is_planted_and_not_taken() -> None:
    log = a_life(range(1, 4))
    about = START + 2 * DAY + HOUR
    log.signal(signal(90, "message.received", START + 5 * DAY, NORMAL))
    label = {"target": "stage", "value": "strained", "by": "ana", "about_time": format_time(about)}
    log.signal(signal(91, "label.given", START + 6 * DAY, label))
    store = run(log, [100])
    times = {offset: example[2] for offset, example in store.examples.items()}
    [(target, name, weight, by, at, offset)] = said(store)
    assert (target, name, weight, by, at) == ("stage", "strained", 5_000, "ana", about)
    assert max(times.values()) > about
    assert times[offset] == max(t for t in times.values() if t <= about)


def test_an_example_is_what_was_served() -> None:
    log = a_life(range(1, 3))
    store = run(log, [3], LinearScorer())
    assert store.examples
    for offset, (tenant, customer, time, due, body) in store.examples.items():
        served = msgspec.msgpack.decode(body, type=Served)
        row = array("f")
        row.frombytes(served.features)
        assert (tenant, customer, len(row)) == ("default", "c-1", len(FEATURE_NAMES))
        assert served.fingerprint == fingerprint()
        assert due is None or due == time + HORIZON
        assert set(served.scores) == {"made-up", RULES}
        assert served.revisions["stage_model"] == "made-up"
        assert msgspec.json.decode(log.records[offset].body)["time"] == time


def test_who_closes_is_the_churn_of_the_vectors_before_and_was_at_risk() -> None:
    log = a_life(range(0, 50, 2))
    log.signal(signal(900, "account.closed", START + 50 * DAY, {}))
    log.tick(START + 95 * DAY)
    store = run(log, [1000])
    times = {offset: example[2] for offset, example in store.examples.items()}
    churned = [times[offset] for target, label, _, by, _, offset in said(store) if (target, by) == ("churn", "closed")]
    stayed = [times[offset] for target, label, _, by, _, offset in said(store) if by == "horizon"]
    assert len(churned) >= 3
    assert all(START + 20 * DAY <= t <= START + 50 * DAY for t in churned)
    assert stayed
    assert all(t + HORIZON < START + 50 * DAY for t in stayed)
    assert [one[:4] for one in said(store) if one[3] == "closed" and one[0] == "stage"] == [
        ("stage", "at_risk", 4_000, "closed")
    ]


def test_who_lapses_is_the_churn_of_the_vectors_before_and_was_at_risk() -> None:
    """The last order was on day 40; the customer still writes."""
    orders = range(0, 41, 5)
    log = a_shop(orders, range(0, 120, 2), 130)
    store = run(log, [50])
    full = START + 60 * DAY + HOUR
    times = {offset: example[2] for offset, example in store.examples.items()}
    lapsed = [one for one in said(store) if one[3] == "lapsed"]
    churned = [times[offset] for target, label, weight, _, _, offset in lapsed if target == "churn"]
    assert {one[:3] for one in lapsed} == {("churn", 1, 10_000), ("stage", "at_risk", 4_000)}
    assert [one[4] for one in lapsed if one[0] == "stage"] == [full]
    assert len(churned) >= 3
    assert all(full - HORIZON <= t <= full for t in churned)
    stayed = [times[offset] for *_, by, _, offset in said(store) if by == "horizon"]
    assert stayed
    assert max(stayed) + HORIZON < full  # and none is watched who is lost already


def test_who_orders_again_in_time_has_not_lapsed_and_who_comes_back_is_watched_anew() -> None:
    just = a_shop([0, 20, 40], range(0, 60, 2), 59)
    assert [one for one in said(run(just, [50])) if one[3] == "lapsed"] == []
    back = a_shop([0, 50, 60, 70], range(0, 110, 2), 130)
    store = run(back, [50])
    lapsed = [one[4] for one in said(store) if one[3] == "lapsed" and one[0] == "stage"]
    assert lapsed == [START + 20 * DAY + HOUR, START + 90 * DAY + HOUR]


def test_a_silence_is_found_by_the_tick_alone_and_not_before_it_is_full() -> None:
    log = a_shop([0, 4], range(9), 9)
    log.tick(START + 24 * DAY + HOUR)
    assert [one for one in said(run(log, [9])) if one[3] == "lapsed"] == []
    log.tick(START + 24 * DAY + HOUR + 1)
    assert {one[:2] for one in said(run(log, [9])) if one[3] == "lapsed"} == {("churn", 1)}


def test_of_several_who_lapse_by_one_tick_the_numbers_follow_their_vectors() -> None:
    log = MemoryLog()
    rule(log, "no order.placed for 20d")
    for day, names in ((0, "edc"), (8, "ced")):
        for name in names:
            log.signal(signal(len(log.records), "order.placed", START + day * DAY, {"amount": 12}, customer=name))
    log.tick(START + 29 * DAY)
    for sizes in ([1], [4], [100]):
        labelled = run(log, sizes).labelled
        assert [one[8] for _, one in sorted(labelled.items()) if one[3] == "lapsed"] == ["c", "e", "d"]


def test_who_never_did_what_the_rule_listens_to_does_not_lapse() -> None:
    log = a_shop([], range(0, 40, 2), 80)
    assert {one[3] for one in said(run(log, [50])) if one[0] == "churn"} == {"horizon"}


def test_of_a_rule_that_listens_to_something_else_the_silence_before_it_does_not_count() -> None:
    log = a_shop([0], range(16), 16)
    rule(log, "no usage.measured for 20d")
    log.tick(START + 40 * DAY)
    assert [one for one in said(run(log, [9])) if one[3] == "lapsed"] == []


def test_a_horizon_that_passes_by_the_tick_alone_is_a_stay() -> None:
    log = a_life([0, 1, 2])
    log.tick(START + DAY + HORIZON - HOUR)
    before = [one for one in said(run(log, [9])) if one[0] == "churn"]
    log.tick(START + DAY + HORIZON)
    [(_, label, weight, by, about, offset)] = [one for one in said(run(log, [9])) if one[0] == "churn"]
    assert before == []
    assert (label, weight, by) == (0, 10_000, "horizon")
    assert run(log, [9]).examples[offset][2] == about


def test_quiet_days_of_normal_use_were_steady() -> None:
    log = a_life(range(0, 60, 2))
    quiet = [one for one in said(run(log, [50])) if one[3] == "quiet"]
    assert quiet
    assert {one[:3] for one in quiet} == {("stage", "steady", 3_000)}
    angry = a_life(range(0, 60, 2))
    t = START + 58 * DAY
    angry.signal(signal(900, "message.received", t, {"channel": "chat", "sentiment": -0.9}))
    for day in range(59, 89, 2):
        angry.signal(signal(1000 + day, "message.received", START + day * DAY, NORMAL))
    later = [one for one in said(run(angry, [50])) if one[3] == "quiet" and one[4] + HORIZON > t]
    assert later == []


def test_nothing_is_learned_from_a_customer_that_is_made_up() -> None:
    log = a_life(range(1, 9))
    log.signal(signal(900, "account.closed", START + 9 * DAY, {}))
    assert run(log, [9]).examples
    made_up = MemoryLog()
    made_up.signal(signal(0, "order.placed", START, {"amount": 1, "synthetic": True}))
    for record in a_life(range(1, 9)).records:
        made_up.add(record.kind, record.body, record.tenant, record.customer)
    store = run(made_up, [9])
    assert (store.examples, store.labelled) == ({}, {})
    assert decode(store.records["default", "c-1"]).kept.synthetic


def test_a_label_that_comes_before_the_vector_of_its_moment_waits_for_it() -> None:
    t = START + 3 * DAY
    label = {"target": "stage", "value": "strained", "by": "ana"}
    log = MemoryLog()
    log.signal(signal(1, "label.given", t, label))
    log.signal(signal(2, "message.received", t, NORMAL))
    log.signal(signal(3, "label.given", t + DAY, label | {"about_time": format_time(t - DAY)}))
    log.signal(signal(4, "message.received", t + 2 * DAY, NORMAL))
    for sizes in ([1], [9]):
        store = run(log, sizes)
        assert [(one[1], one[5]) for one in said(store)] == [("strained", 1)]
        assert read_meta(store.body).unmatched == 1


def test_a_label_never_goes_to_the_vector_of_its_own_signal() -> None:
    """It shows the answer that the label is made of."""
    log = MemoryLog()
    log.signal(signal(1, "survey.answered", START, {"instrument": "nps", "score": 2}))
    log.signal(signal(2, "order.placed", START + DAY, {"amount": 1}))
    store = run(log, [1])
    assert said(store) == []
    assert read_meta(store.body).unmatched == 1
