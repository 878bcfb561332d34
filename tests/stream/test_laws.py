"""Laws 1, 4, 7 and 8 over the steps of one partition."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.dictionary import FACTS, FEATURE_PREFIX
from membrane.engine import judge, new_record, next_due, receive
from membrane.facts import RecordFacts
from membrane.features import FEATURE_NAMES, features
from membrane.fold import Folded
from membrane.forecast import copied_tracker
from membrane.pauses import Pause, PauseRecord
from membrane.ports import RecordKind
from membrane.principle_file import read_principles
from membrane.principles import PrincipleSet
from membrane.record import BREACHED, decode
from membrane.settings import TenantSettings
from membrane.signals import TYPES, StoredSignal, typed
from membrane.times import DAY, HOUR, MINUTE, format_time
from membrane.tracker import Score
from membrane.view import Progress, View
from membrane.vocabulary import STAGES
from stream.block import Block, decode_block
from stream.infer import DrivenScorer
from stream.meta import read_meta
from stream.steps import PartitionSteps
from tests.fakes import LinearScorer, MemoryLog, MemoryStore, OneLibrary
from tests.membrane.customer import BY_RULES
from tests.membrane.fakes_principles import principle, principle_set
from tests.strategies import START, payloads, signal, signals, times

FACT_NAMES = [*(fact.name for fact in FACTS), *(FEATURE_PREFIX + name for name in FEATURE_NAMES)]
TERMINAL = {"category": "connectivity", "product": "T1", "severity": 3}


def run(
    log: MemoryLog, sizes: Sequence[int], scorer: DrivenScorer | None = None, library: OneLibrary | None = None
) -> MemoryStore:
    """Apply the log, cut into batches of these sizes (the last one repeats)."""
    store, turn = MemoryStore(), 0
    steps = PartitionSteps(0, store, library or OneLibrary(scorer), TenantSettings())
    while steps.next_offset < len(log.records):
        at, size = steps.next_offset, sizes[min(turn, len(sizes) - 1)]
        steps.write(steps.apply(decode_block(Block(0, at, log.records[at : at + size], False)), 0))
        turn += 1
    return store


def rules_of(store: MemoryStore):
    return PartitionSteps(0, store, OneLibrary(), TenantSettings()).rules


def seen_at(t: int, body: bytes, store: MemoryStore, library: OneLibrary | None = None) -> View:
    """What a decision at t sees of a record, knowing what serving knows: the record and the partition's meta."""
    meta = read_meta(store.body)
    rules = PartitionSteps(0, store, library or OneLibrary(), TenantSettings()).rules
    return View(decode(body), t, rules, progress=Progress(meta.fired_until, meta.revised))


@st.composite
def logs(draw: st.DrawFn) -> MemoryLog:
    """A log of a few customers with ticks and revisions anywhere."""
    log, clock = MemoryLog(), START - DAY
    log.revision("principles", "a" * 64)
    for number in range(draw(st.integers(1, 40))):
        kind = draw(st.sampled_from([*sorted(payloads), "tick", "tick", "tick", "revision", "case.opened"]))
        if kind == "tick":
            clock += draw(st.sampled_from([MINUTE, HOUR, DAY, 10 * DAY]))
            log.tick(clock)
        elif kind == "revision":
            log.revision("principles", draw(st.sampled_from("ab")) * 64)
        else:
            log.signal(signal(number, kind, draw(times), draw(payloads[kind]), customer=draw(st.sampled_from("cde"))))
    return log


@pytest.mark.parametrize("scorer", [None, LinearScorer()], ids=["rules", "model"])
@given(log=logs(), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=60)
def test_law_1_the_cut_into_batches_does_not_show(scorer: DrivenScorer | None, log: MemoryLog, cuts: list[int]) -> None:
    whole = run(log, [len(log.records)], scorer)
    for sizes in ([1], [2], [7], [256], cuts):
        other = run(log, sizes, scorer)
        assert other.records == whole.records
        assert other.effects == whole.effects
        assert other.obligations == whole.obligations
        assert (other.examples, other.labelled) == (whole.examples, whole.labelled)
        assert _counts(other) == _counts(whole)


def _counts(store: MemoryStore) -> dict[str, Any]:
    meta = msgspec.json.decode(store.body)
    return {name: meta[name] for name in ("stages", "lifecycles", "entries")}


@given(log=logs(), later=st.integers(0, 60 * DAY))
@settings(max_examples=60)
def test_law_7_a_decision_at_t_sees_what_a_replay_that_ends_with_a_tick_at_t_has_written(
    log: MemoryLog, later: int
) -> None:
    store = run(log, [5])
    t = max((decode(body).clock for body in store.records.values()), default=START) + later
    ticked = MemoryLog()
    ticked.records = list(log.records)
    ticked.tick(t)
    expected = run(ticked, [5])
    for customer, body in store.records.items():
        view = seen_at(t, body, store)
        written = decode(expected.records[customer])
        assert view.record is not None
        assert view.record.tracker == written.tracker
        assert view.record.obligations == written.obligations
        assert view.record.overdue == written.overdue == []
        seen, told = view.facts(), RecordFacts(written, t, rules_of(store).settings)
        assert [seen.get(name) for name in FACT_NAMES] == [told.get(name) for name in FACT_NAMES]


class TimedPack(OneLibrary):
    """A set whose conditions change as windows, ages and promises pass."""

    def principles(self, digest: str) -> PrincipleSet:
        assert digest
        conditions = (
            "features.contacts_in_7d == 0.0 && features.contacts_in_30d > 0.0",
            "features.silence > 3.0 && features.silence < 12.5",
            "features.silence > features.order_recency",
            "contact.complaints_90d == 0 && features.promises_missed_30d == 0.0",
        )
        call = {"kind": "agent_call", "owner": "service", "due": "4h", "every": "99h"}
        return principle_set(
            *(principle(when, "require", id=f"p-{n}", obligation=call) for n, when in enumerate(conditions))
        )


class RevisedPack(TimedPack):
    """Other sets by digest: what one of them makes owed, the other does not."""

    def principles(self, digest: str) -> PrincipleSet:
        if digest.startswith("a"):
            return super().principles(digest)
        survey = {"kind": "survey_follow_up", "owner": "cx", "due": "9h", "every": "300h"}
        return principle_set(
            principle('stage.age > duration("48h")', "require", id="calm", obligation=CALL),
            principle("features.silence > 2.0", "require", id="silent", obligation=survey),
        )


CALL = {"kind": "agent_call", "owner": "service", "due": "24h", "every": "2000h"}


@pytest.mark.parametrize("library", [TimedPack(), RevisedPack()], ids=["one", "revised"])
@given(log=logs(), later=st.integers(0, 30 * DAY), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=12)
def test_laws_1_and_7_hold_for_what_time_alone_makes_owed(
    library: OneLibrary, log: MemoryLog, later: int, cuts: list[int]
) -> None:
    store = run(log, [5], library=library)
    assert run(log, cuts, library=library).records == store.records
    t = max((decode(body).clock for body in store.records.values()), default=START) + later
    ticked = MemoryLog()
    ticked.records = list(log.records)
    ticked.tick(t)
    expected = run(ticked, [5], library=library)
    for customer, body in store.records.items():
        seen, written = seen_at(t, body, store, library).record, decode(expected.records[customer])
        assert seen is not None
        assert seen.obligations == written.obligations


@given(log=logs())
@settings(max_examples=40)
def test_law_8_signals_that_leave_the_features_alone_leave_the_estimate_alone(log: MemoryLog) -> None:
    before = run(log, [3], LinearScorer())
    noisy = MemoryLog()
    noisy.records = list(log.records)
    clocks = {customer: decode(body).clock for customer, body in before.records.items()}
    for number, ((_, customer), clock) in enumerate(clocks.items()):
        for kind, data in (("journey.moved", {"journey": "j", "step": "s", "status": "x"}),
                           ("incident.declared", {"incident": "i"}),
                           ("profile.updated", {"language": "es", "vulnerable": True}),
                           ("consent.changed", {"channel": "sms", "domain": "sales", "granted": False}),
                           ("label.given", {"target": "churn", "value": True, "by": "ana"}),
                           ("account.closed", {})):  # fmt: skip
            noisy.signal(signal(1000 + number, kind, clock, data, customer=customer))
    after = run(noisy, [3], LinearScorer())
    for customer, body in before.records.items():
        old, new = decode(body).tracker, decode(after.records[customer]).tracker
        assert (new.probabilities, new.churn, new.stage, new.since) == (
            old.probabilities, old.churn, old.stage, old.since
        )  # fmt: skip


@given(stream=signals())
@settings(max_examples=200)
def test_law_8_holds_for_every_type_of_signal_and_what_changes_the_features_is_news(
    stream: list[StoredSignal],
) -> None:
    """A rule may restart the filter; nothing else moves it where the features stay."""
    assert {f"cx.{name}.v1" for name in payloads} == set(TYPES)
    record = new_record("default", "c-1", stream[0].time)
    score = Score((0.3, 0.1, 0.3, 0.1, 0.1, 0.1), 0.4)
    for item in stream:
        clock = max(record.clock, item.time)
        before = features(record.state, clock)
        received = receive(record, item, typed(item), 0, BY_RULES)
        assert (received.folded is Folded.NEWS) == (features(record.state, clock) != before), item.type
        old = copied_tracker(record.tracker)
        judge(received, score, BY_RULES)
        new = record.tracker
        if received.folded is not Folded.NEWS and new.stage == old.stage:
            assert (new.probabilities, new.estimated_at, new.churn) == (old.probabilities, old.estimated_at, old.churn)


@given(log=logs())
@settings(max_examples=40)
def test_law_2_history_is_append_only(log: MemoryLog) -> None:
    store = run(log, [1])
    changes: dict[str, list[tuple[int, str, str]]] = {}
    for kind, at, body in store.effects.values():
        if kind == "stage":
            told = msgspec.json.decode(body)
            changes.setdefault(told["customer"], []).append((at, told["from"], told["to"]))
    for history in changes.values():
        assert [at for at, _, _ in history] == sorted(at for at, _, _ in history)
        assert all(later[1] == earlier[2] for earlier, later in pairwise(history))


def fifth_report(log: MemoryLog) -> int:
    """Five reports of one problem, a day apart, the first four solved; the time of the fifth."""
    log.revision("principles", "a" * 64)
    for n in range(5):
        t = START + n * DAY
        log.signal(signal(10 * n, "case.opened", t, {"case": f"C{n}", **TERMINAL}, customer="shop"))
        if n < 4:
            log.signal(signal(10 * n + 1, "case.resolved", t + HOUR, {"case": f"C{n}"}, customer="shop"))
    return START + 4 * DAY


def test_law_4_due_times_fire_by_the_tick_alone_each_at_its_own_time() -> None:
    log = MemoryLog()
    crisis_at = fifth_report(log)
    log.tick(crisis_at + 71 * HOUR)
    assert "free_service" not in _owed(run(log, [100]))
    log.tick(crisis_at + 73 * HOUR)
    owed = _owed(run(log, [100]))
    assert owed["free_service"]["opened_at"] == crisis_at + 72 * HOUR + 1


def test_law_4_a_due_time_that_a_late_signal_sets_waits_for_the_next_tick() -> None:
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    log.tick(START + 100 * HOUR)
    late = {"case": "C", "category": "net", "severity": 1}
    log.signal(signal(1, "case.opened", START, late, customer="shop"))
    store = run(log, [1])
    assert "free_service" not in _owed(store)
    assert decode(store.records["default", "shop"]).overdue
    healed = MemoryLog()
    healed.records = list(log.records)
    healed.signal(signal(2, "case.resolved", START + HOUR, {"case": "C"}, customer="shop"))
    healed.signal(
        signal(3, "message.received", START + 2 * HOUR, {"channel": "chat", "sentiment": 0.9}, customer="shop")
    )
    for tail, expected in ((log, True), (healed, False)):
        tail.tick(START + 101 * HOUR)
        assert ("free_service" in _owed(run(tail, [1]))) is expected


def _owed(store: MemoryStore) -> dict[str, dict[str, object]]:
    record = decode(store.records["default", "shop"])
    return {owed.kind: msgspec.structs.asdict(owed) for owed in record.obligations}


FREE_SERVICE = {"kind": "free_service", "owner": "service", "due": "24h", "once_per": "episode", "approval": "human"}


class TwoPacks(OneLibrary):
    """Two sets that owe a free service at other ages of a crisis."""

    def principles(self, digest: str) -> PrincipleSet:
        hours = 500 if digest.startswith("a") else 100
        when = f'stage.name == "crisis" && stage.age > duration("{hours}h")'
        return principle_set(principle(when, "require", obligation=FREE_SERVICE))


def test_law_7_holds_when_new_principles_make_other_moments_due() -> None:
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    log.signal(signal(1, "case.opened", START, {"case": "A", "category": "net", "severity": 1}, customer="shop"))
    log.tick(START + 90 * HOUR)
    log.revision("principles", "b" * 64)
    log.tick(START + 110 * HOUR)
    for sizes in ([1], [100]):
        store = run(log, sizes, library=TwoPacks())
        assert _owed(store)["free_service"]["opened_at"] == START + 100 * HOUR + 1


class Escalating(OneLibrary):
    """A call for every open case, which another department is owed by after four hours: which one goes by the set."""

    def principles(self, digest: str) -> PrincipleSet:
        to = "operations" if digest.startswith("a") else "legal"
        call = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case", "escalate_to": to}
        return principle_set(principle("case.open > 0", "require", obligation=call))


@given(log=logs(), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=40)
def test_laws_1_and_2_hold_for_who_owes_what_is_breached(log: MemoryLog, cuts: list[int]) -> None:
    """Who owes it changes once, when it is breached, to whom its principle said when it was opened."""
    store = run(log, [5], library=Escalating())
    other = run(log, cuts, library=Escalating())
    assert (other.records, other.effects, other.obligations) == (store.records, store.effects, store.obligations)
    for body in store.records.values():
        for owed in decode(body).obligations:
            told = {
                state: msgspec.json.decode(store.effects[f"{owed.obligation}-{state}"][2])
                for state in ("open", "breached", "met")
                if f"{owed.obligation}-{state}" in store.effects
            }
            assert (told["open"]["owner"], told["open"]["escalate_to"]) == ("service", owed.escalate_to)
            assert owed.owner == (owed.escalate_to if "breached" in told else "service")
            assert all(one["owner"] == owed.escalate_to for state, one in told.items() if state == "breached")


def test_a_late_change_of_principles_does_not_rewrite_what_was_opened() -> None:
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    log.signal(signal(1, "case.opened", START, {"case": "A", "category": "net", "severity": 1}, customer="shop"))
    log.tick(START + HOUR)
    log.revision("principles", "b" * 64)
    log.tick(START + 5 * HOUR)
    log.revision("principles", "c" * 64)
    log.tick(START + 6 * HOUR)
    store = run(log, [2], library=Escalating())
    call = _owed(store)["agent_call"]
    assert (call["state"], call["owner"]) == (BREACHED, "operations")
    assert [json.loads(body)["owner"] for _, _, body in store.effects.values() if b"agent_call" in body] == [
        "service",
        "operations",
    ]


def test_an_act_is_told_with_who_and_why_and_kept_with_the_obligation() -> None:
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    log.signal(signal(1, "case.opened", START, {"case": "A", "category": "net", "severity": 1}, customer="shop"))
    name = str(_owed(run(log, [9], library=Escalating()))["agent_call"]["obligation"])
    log.act("waive", "shop", name, START + HOUR, by="ana", reason="said no")
    log.tick(START + 9 * HOUR)
    for sizes in ([1], [100]):
        store = run(log, sizes, library=Escalating())
        state, body = store.obligations[name]
        told = json.loads(body)
        assert (state, told["state"], told["closed_by"], told["reason"]) == ("waived", "waived", "ana", "said no")
        assert json.loads(store.effects[f"{name}-waived"][2]) == told


def test_new_principles_apply_to_everybody_alike_from_their_revision_on() -> None:
    log = MemoryLog()
    log.revision("principles", "0" * 64)
    for day in range(1, 80):
        if day == 31:
            log.revision("principles", "1" * 64)
        for customer, last in (("early", 3), ("late", 30), ("between", 12)):
            if day == last:
                log.signal(signal(1, "order.placed", START + day * DAY, {}, customer=customer))
        log.tick(START + day * DAY + HOUR)
    for sizes in ([1], [7], [500]):
        store = run(log, sizes, library=CallsFromOne())
        owed = {c: [one.opened_at for one in decode(body).obligations] for (_, c), body in store.records.items()}
        at = START + 31 * DAY + HOUR
        assert owed == {"early": [at], "late": [START + 32 * DAY + 1], "between": [at]}


class CallsFromOne(OneLibrary):
    """Nothing, then a call for everybody who has been in a stage for two days."""

    def principles(self, digest: str) -> PrincipleSet:
        rule = principle('stage.age > duration("48h")', "require", obligation=CALL)
        return principle_set(*([rule] if digest.startswith("1") else []))


def test_what_waits_for_a_tick_owes_nothing_for_a_moment_before_there_was_the_principle() -> None:
    log = MemoryLog()
    log.revision("principles", "0" * 64)
    log.tick(START + 100 * HOUR)
    late = {"case": "C", "category": "net", "severity": 1}
    log.signal(signal(1, "case.opened", START, late, customer="shop"))
    log.revision("principles", "1" * 64)
    log.tick(START + 101 * HOUR)
    store = run(log, [1], library=CallsFromOne())
    assert _owed(store)["agent_call"]["opened_at"] == START + 101 * HOUR


def test_a_long_tick_after_a_revision_is_written_in_parts_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    log.revision("principles", "0" * 64)
    for number in range(9):
        log.signal(signal(number, "order.placed", START + number, {}, customer=f"c{number}"))
    log.tick(START + 100 * HOUR)
    log.revision("principles", "1" * 64)
    log.signal(signal(20, "order.placed", START + 100 * HOUR + 5, {}, customer="c3"))
    log.tick(START + 101 * HOUR)
    whole = run(log, [100], library=CallsFromOne())
    assert len(whole.obligations) == 9
    monkeypatch.setattr("stream.steps.TICK_CUSTOMERS", 2)
    parts = run(log, [100], library=CallsFromOne())
    assert (parts.records, parts.effects, parts.due) == (whole.records, whole.effects, whole.due)


def test_a_tick_that_many_wait_for_is_written_in_parts_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    for number in range(9):
        opened = {"case": "A", "category": "net", "severity": 3}
        log.signal(signal(number, "case.opened", START + number, opened, customer=f"c{number}"))
    log.tick(START + 30 * HOUR)
    log.signal(signal(100, "order.placed", START + 31 * HOUR, {}, customer="c3"))
    whole = run(log, [100])
    monkeypatch.setattr("stream.steps.TICK_CUSTOMERS", 2)
    parts = run(log, [100])
    assert parts.records == whole.records
    assert parts.effects == whole.effects
    assert sum(kind == "stage" for kind, _, _ in parts.effects.values()) == 9


def test_the_fifth_report_is_a_crisis_that_owes_a_call_and_a_time() -> None:
    log = MemoryLog()
    fifth_report(log)
    store = run(log, [100])
    record = decode(store.records["default", "shop"])
    assert STAGES[record.tracker.stage] == "crisis"
    assert set(_owed(store)) >= {"agent_call", "promised_time"}


def test_a_spurious_due_time_leaves_the_record_as_it_is() -> None:
    log = MemoryLog()
    log.signal(signal(1, "usage.measured", START, {"metric": "m", "value": 1}))
    before = run(log, [1])
    log.tick(START + 8 * DAY)
    after = run(log, [1])
    assert after.records == before.records
    rules = rules_of(after)
    record = decode(after.records["default", "c-1"])
    assert after.due["default", "c-1"] == next_due(record, rules, START + 8 * DAY)


def test_an_undecodable_record_is_dropped_and_the_rest_goes_on() -> None:
    log = MemoryLog()
    log.signal(signal(1, "order.placed", START, {"amount": 1}))
    log.records.append(dataclasses.replace(log.records[0], offset=1, body=b"\xff not json"))
    log.signal(signal(2, "order.placed", START, {"amount": 1}))
    store = run(log, [100])
    assert decode(store.records["default", "c-1"]).state.orders == 2


def test_an_unreadable_record_stops_only_its_own_customer() -> None:
    log = MemoryLog()
    log.signal(signal(1, "order.placed", START, {"amount": 1}))
    store = run(log, [100])
    store.records["default", "c-1"] = b"garbage"
    steps = PartitionSteps(0, store, OneLibrary(), TenantSettings())
    log.signal(signal(2, "order.placed", START, {"amount": 1}))
    log.signal(signal(3, "order.placed", START, {"amount": 1}, customer="c-2"))
    steps.write(steps.apply(decode_block(Block(0, 1, log.records[1:], True)), 0))
    assert store.records["default", "c-1"] == b"garbage"
    assert ("default", "c-2") in store.records
    assert [dropped.reason for dropped in steps.dropped] == ["record_unreadable"]


class LivingPacks(OneLibrary):
    """A set of which a part begins and ends in the time of the log and reaches half of the customers; under digests of
    d a tenant's own over it."""

    def principles(self, digest: str) -> PrincipleSet:
        promise = {"kind": "agent_call", "owner": "service", "due": "9h", "once_per": "case"}
        term = {"valid_from": format_time(START + 5 * DAY), "valid_to": format_time(START + 25 * DAY)}
        if digest.startswith("d"):
            own = principle("case.open > 0", "require", id="own", obligation=promise, **term)
            document = {"pack": "own", "revision": "2026-12-01.1", "extends": "default", "principles": [own]}
            return read_principles(document, {}, digest=digest)
        half = principle("case.open > 1", "require", obligation=promise, rollout="50%")
        return principle_set(principle("case.open > 0", "require", obligation=promise, **term), half)


moments = st.integers(0, 40 * 24).map(lambda hours: START + hours * HOUR)


@st.composite
def living_logs(draw: st.DrawFn) -> MemoryLog:
    """Logs with pauses, tenants' settings and own principles between signals of two tenants and ticks."""
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    for number in range(draw(st.integers(1, 22))):
        what = draw(st.sampled_from(("signal",) * 6 + ("tick",) * 3 + ("pause", "resume", "tenants", "own")))
        if what == "signal":
            kind = draw(st.sampled_from(("case.opened", "case.resolved", "case.reopened", "contact.made")))
            item = signal(number, kind, draw(times), draw(payloads[kind]), customer=draw(st.sampled_from("cd")))
            log.signal(msgspec.structs.replace(item, tenant=draw(st.sampled_from(("default", "acme")))))
        elif what == "tick":
            log.tick(draw(moments))
        elif what == "own":
            log.revision("principles/acme", "d" * 64)
        elif what == "tenants":
            tenants = {"acme": {"go_live": draw(moments)}}
            body = {"kind": "tenants", "revision": "r", "digest": "e" * 64, "tenants": tenants}
            log.add(RecordKind.REVISION, msgspec.json.encode(body))
        else:
            since = draw(moments)
            name = draw(st.sampled_from(("require-it-0", "own")))
            tenant = draw(st.sampled_from(("default", "acme")))
            paused = Pause(f"p-{name}-{tenant}", tenant, "principle", name, since, since + 3 * DAY, "ana", "why")
            log.add(RecordKind.PAUSE, msgspec.json.encode(PauseRecord(what, since, "ana", "why", paused)))
    return log


@given(log=living_logs(), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=40)
def test_law_1_holds_with_terms_shares_layers_settings_and_pauses(log: MemoryLog, cuts: list[int]) -> None:
    whole = run(log, [len(log.records)], library=LivingPacks())
    for sizes in ([1], [2], [7], cuts):
        other = run(log, sizes, library=LivingPacks())
        assert (other.records, other.effects, other.obligations) == (whole.records, whole.effects, whole.obligations)


@given(log=living_logs(), later=st.integers(0, 40 * DAY))
@settings(max_examples=40)
def test_law_7_holds_with_terms_shares_layers_settings_and_pauses(log: MemoryLog, later: int) -> None:
    store = run(log, [5], library=LivingPacks())
    t = max((decode(body).clock for body in store.records.values()), default=START) + later
    ticked = MemoryLog()
    ticked.records = list(log.records)
    ticked.tick(t)
    expected = run(ticked, [5], library=LivingPacks())
    steps, meta = PartitionSteps(0, store, LivingPacks(), TenantSettings()), read_meta(store.body)
    for (tenant, customer), body in store.records.items():
        progress = Progress(meta.fired_until, meta.revised)
        seen = View(decode(body), t, steps.rules_of(tenant), progress=progress).record
        assert seen is not None
        assert seen.obligations == decode(expected.records[tenant, customer]).obligations


@pytest.mark.parametrize("sizes", [[1], [2], [7], [5, 1, 100]])
def test_entries_into_crisis_are_counted_the_same_whatever_the_batches(sizes: list[int]) -> None:
    log = MemoryLog()
    for number in range(120):
        t = START + number * 7 * HOUR
        data = {**TERMINAL, "case": f"A{number}", "severity": 1}
        log.signal(signal(number, "case.opened", t, data, customer=f"c-{number}"))
        if number % 3 == 0:
            log.tick(t + HOUR)
    counted = [_counts(run(log, batches))["entries"] for batches in ([1000], sizes)]
    assert counted[0]["default"]["means"]
    assert counted[1] == counted[0]
