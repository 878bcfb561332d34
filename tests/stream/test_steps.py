"""The steps of a partition: acts, revisions that cannot be loaded, and what is set aside without a fuss."""

from __future__ import annotations

import json

import msgspec
import pytest

from membrane.errors import InvalidBundle, InvalidPrinciples, StoreRefused
from membrane.pauses import Pause, PauseRecord
from membrane.ports import RecordKind
from membrane.principle_file import read_principles
from membrane.principles import PrincipleSet
from membrane.record import MET, OPEN, WAIVED, decode
from membrane.settings import TenantSettings
from membrane.times import HOUR
from membrane.vocabulary import STAGES
from stream.block import Block, decode_block
from stream.infer import DrivenScorer
from stream.meta import read_meta
from stream.steps import PartitionSteps
from tests.fakes import MemoryLog, MemoryStore, OneLibrary
from tests.membrane.fakes_principles import principle
from tests.strategies import START, signal

SEVERE = {"case": "A", "category": "net", "severity": 1}


class PickyLibrary(OneLibrary):
    """Cannot use digests of b; those of c are missing while `lacks` says so."""

    lacks = False

    def principles(self, digest: str) -> PrincipleSet:
        if self.lacks and digest.startswith("c"):
            raise StoreRefused("c.yaml: missing")
        if digest.startswith("b"):
            raise InvalidPrinciples([])
        return super().principles(digest)

    def scorer(self, stage: str | None, churn: str | None) -> DrivenScorer:
        if self.lacks and (stage or "").startswith("c"):
            raise StoreRefused("c: missing")
        if stage is not None and stage.startswith("b"):
            raise InvalidBundle("missing")
        return super().scorer(stage, churn)


class Bench:
    """Steps over a memory store; `go` applies what was added to the log since."""

    def __init__(self) -> None:
        self.log, self.store = MemoryLog(), MemoryStore()
        self.library = PickyLibrary()
        self.start()

    def start(self) -> None:
        self.steps = PartitionSteps(0, self.store, self.library, TenantSettings())

    def go(self) -> None:
        while (first := self.steps.next_offset) < len(self.log.records):
            block = Block(0, first, self.log.records[first:], at_end=True)
            self.steps.write(self.steps.apply(decode_block(block), START))
            if self.steps.missing is not None:
                return

    def owed(self) -> dict[str, int]:
        record = decode(self.store.records["default", "c-1"])
        return {one.kind: one.state for one in record.obligations}


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.log.revision("principles", "a" * 64)
    made.log.signal(signal(1, "case.opened", START, SEVERE))
    made.go()
    assert made.owed() == {"promised_time": OPEN}
    return made


@pytest.mark.parametrize(("word", "state"), [("meet", MET), ("waive", WAIVED)])
def test_an_act_closes_what_is_owed(word: str, state: int, bench: Bench) -> None:
    (obligation,) = bench.store.obligations
    bench.log.act(word, "c-1", obligation, START + 1)
    bench.go()
    assert bench.owed() == {"promised_time": state}
    assert bench.store.obligations[obligation][0] in {"met", "waived"}


@pytest.mark.parametrize(("word", "customer"), [("meet", "c-1"), ("meet", "stranger"), ("ponder", "c-1")])
def test_an_act_about_nothing_that_is_owed_is_dropped(word: str, customer: str, bench: Bench) -> None:
    known = next(iter(bench.store.obligations))
    bench.log.act(word, customer, known if word == "ponder" else "0" * 16, START + 1)
    bench.go()
    assert [lost.reason for lost in bench.steps.dropped] == ["act: the obligation is unknown or closed"]
    assert bench.owed() == {"promised_time": OPEN}


def test_a_revision_that_cannot_be_loaded_leaves_the_last_good_one_in_force(bench: Bench) -> None:
    good = bench.steps.rules.principles
    bench.log.revision("principles", "b" * 64)
    bench.log.revision("stage_model", "b" * 64)
    bench.go()
    assert bench.steps.rules.principles is good
    assert read_meta(bench.store.body).unreadable == ["models", "principles"]
    bench.log.revision("stage_model", "a" * 64)
    bench.log.revision("principles", "a" * 64)
    bench.go()
    assert read_meta(bench.store.body).unreadable == []


def test_the_last_good_one_is_in_force_after_a_restart_too(bench: Bench) -> None:
    bench.log.revision("principles", "b" * 64)
    bench.go()
    before = bench.steps.meta
    bench.start()
    assert bench.steps.rules.principles is not None
    assert bench.steps.meta == before


@pytest.mark.parametrize("kind", ["principles", "stage_model"])
def test_nothing_is_applied_behind_a_revision_of_which_the_file_is_missing(kind: str, bench: Bench) -> None:
    bench.library.lacks = True
    bench.log.signal(signal(2, "order.placed", START, {}))
    bench.log.revision(kind, "c" * 64)
    bench.log.signal(signal(3, "order.placed", START, {}))
    bench.go()
    bench.go()
    assert (bench.store.next_offset, str(bench.steps.missing)[:1]) == (3, "c")
    assert decode(bench.store.records["default", "c-1"]).state.orders == 1
    assert read_meta(bench.store.body).unreadable == ["principles" if kind == "principles" else "models"]
    bench.library.lacks = False
    assert bench.steps.find_missing()
    bench.go()
    assert decode(bench.store.records["default", "c-1"]).state.orders == 2
    assert read_meta(bench.store.body).unreadable == []


@pytest.mark.parametrize("kind", ["principles", "stage_model"])
def test_a_start_without_a_file_that_is_in_force_waits_for_it(kind: str, bench: Bench) -> None:
    bench.log.revision(kind, "c" * 64)
    bench.go()
    bench.library.lacks = True
    bench.start()
    assert bench.steps.missing is not None
    assert bench.steps.find_missing() is False
    bench.library.lacks = False
    assert bench.steps.find_missing() is True
    assert bench.steps.rules.principles is not None


def test_who_cannot_be_read_is_counted_once_and_no_longer_due(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.steps.TICK_CUSTOMERS", 2)
    for number in range(5):
        bench.log.signal(signal(number, "case.opened", START, SEVERE, customer=f"d-{number}"))
    bench.go()
    for number in range(5):
        bench.store.records["default", f"d-{number}"] = b"damaged"
    bench.log.tick(START + 300 * HOUR)
    bench.log.tick(START + 301 * HOUR)
    bench.go()
    assert bench.store.next_offset == len(bench.log.records)
    reasons = [lost.reason.partition(":")[0] for lost in bench.steps.dropped]
    assert reasons == ["record_unreadable"] * 5
    assert {bench.store.due["default", f"d-{number}"] for number in range(5)} == {None}


def test_a_start_without_principles_that_can_be_loaded_owes_nothing_and_goes_on() -> None:
    bench = Bench()
    bench.log.revision("principles", "b" * 64)
    bench.log.signal(signal(1, "case.opened", START, SEVERE))
    bench.go()
    assert bench.steps.rules.principles is None
    assert bench.owed() == {}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RecordKind.TICK, b"{}"),
        (RecordKind.TICK, b"\xff"),
        (RecordKind.REVISION, b"[]"),
        (RecordKind.ACT, b'{"act": 5}'),
        (RecordKind.ERASE, b"{}"),
        (RecordKind.SIGNAL, b"{}"),
        (RecordKind.SIGNAL, b"\xff"),
    ],
)
def test_what_cannot_be_read_is_dropped_and_the_rest_goes_on(kind: RecordKind, body: bytes, bench: Bench) -> None:
    bench.log.add(kind, body, "default", "c-1")
    bench.log.signal(signal(2, "order.placed", START, {}))
    bench.go()
    assert [lost.offset for lost in bench.steps.dropped] == [2]
    assert decode(bench.store.records["default", "c-1"]).state.orders == 1


def test_what_was_set_aside_is_skipped(bench: Bench) -> None:
    bench.log.signal(signal(2, "order.placed", START, {}))
    bench.log.signal(signal(3, "order.placed", START, {}))
    bench.steps.skipped = frozenset({2})
    bench.go()
    assert decode(bench.store.records["default", "c-1"]).state.orders == 1
    assert (bench.store.next_offset, bench.steps.dropped) == (4, [])


def test_a_commit_that_was_not_written_changes_nothing(bench: Bench) -> None:
    before = (bench.steps.next_offset, bench.steps.meta, dict(bench.store.records))
    bench.log.signal(signal(2, "order.placed", START, {}))
    bench.steps.apply(decode_block(Block(0, 2, bench.log.records[2:], at_end=True)), START)
    assert (bench.steps.next_offset, bench.steps.meta, bench.store.records) == before


def test_only_the_moment_at_which_the_end_was_seen_comes_from_the_wall_clock(bench: Bench) -> None:
    body = msgspec.json.decode(bench.store.body)
    block = Block(0, 2, (), at_end=True)
    bench.steps.write(bench.steps.apply(decode_block(block), START + 5))
    assert msgspec.json.decode(bench.store.body) == body | {"seen_end_ms": START + 5}


class LayeredLibrary(OneLibrary):
    """Under digests of d a tenant's own set, by which a call is owed for any open case."""

    def principles(self, digest: str) -> PrincipleSet:
        if not digest.startswith("d"):
            return super().principles(digest)
        promise = {"kind": "agent_call", "owner": "service", "due": "1h", "once_per": "case"}
        own = principle("case.open > 0", "require", id="own", obligation=promise)
        document = {"pack": "own", "revision": "2026-12-01.1", "extends": "default", "principles": [own]}
        return read_principles(document, {}, digest=digest)


def owed_by(bench: Bench, tenant: str) -> list[str]:
    return sorted(one.principle for one in decode(bench.store.records[tenant, "c-1"]).obligations)


def test_a_tenants_own_principles_make_something_owed_to_its_customers_alone() -> None:
    bench = Bench()
    bench.library = LayeredLibrary()
    bench.start()
    bench.log.revision("principles", "a" * 64)
    for number, tenant in enumerate(("acme", "other")):
        item = signal(number, "case.opened", START, {"case": "A", "category": "net", "severity": 3})
        bench.log.signal(msgspec.structs.replace(item, tenant=tenant))
    bench.log.revision("principles/acme", "d" * 64)
    bench.log.tick(START + HOUR)
    bench.go()
    assert set(owed_by(bench, "acme")) - set(owed_by(bench, "other")) == {"own"}
    bench.start()
    assert bench.steps.rules_of("acme").principles.name.startswith("2026-12-01.1+dddddddd over ")
    assert bench.steps.rules_of("other") is bench.steps.rules


def test_a_tenants_own_set_that_cannot_be_loaded_leaves_everything_as_it_was(bench: Bench) -> None:
    before = bench.steps.rules_of("default")
    bench.log.revision("principles/default", "b" * 64)
    bench.go()
    assert bench.steps.rules_of("default") == before
    assert read_meta(bench.store.body).unreadable == ["principles"]


def settings_of(**tenants: dict[str, object]) -> bytes:
    return json.dumps({"kind": "tenants", "revision": "r", "digest": "e" * 64, "tenants": tenants}).encode()


def both_tell(bench: Bench, number: int, kind: str, t: int, data: dict[str, object]) -> None:
    for tenant in ("acme", "other"):
        bench.log.signal(msgspec.structs.replace(signal(number, kind, t, data), tenant=tenant))


def test_a_tenant_that_is_not_live_yet_owes_nothing_and_its_settings_outlive_a_restart() -> None:
    bench = Bench()
    bench.log.revision("principles", "a" * 64)
    bench.log.add(RecordKind.REVISION, settings_of(acme={"go_live": START + 30 * HOUR}))
    both_tell(bench, 1, "case.opened", START, SEVERE)
    bench.log.tick(START + HOUR)
    bench.go()
    assert (owed_by(bench, "acme"), owed_by(bench, "other") != []) == ([], True)
    bench.start()
    both_tell(bench, 2, "case.opened", START + 40 * HOUR, SEVERE | {"case": "B"})
    bench.go()
    assert len(owed_by(bench, "acme")) > 0


def test_what_tenants_set_is_judged_by_from_its_place_in_the_log_on() -> None:
    bench = Bench()
    bench.library = LayeredLibrary()
    bench.start()
    bench.log.revision("principles", "a" * 64)
    bench.log.add(RecordKind.REVISION, settings_of(acme={"churn_threshold": 0.25, "billing_categories": ["net"]}))
    bench.go()
    assert bench.steps.rules_of("acme").settings.billing_categories == ("net",)
    assert bench.steps.rules_of("acme").principles is bench.steps.rules.principles
    bench.log.revision("principles/acme", "d" * 64)
    bench.log.add(RecordKind.REVISION, settings_of(other={}))
    bench.go()
    assert bench.steps.rules_of("acme").settings == bench.steps.rules.settings
    assert bench.steps.rules_of("acme").principles.extends == "default"


def test_what_tenants_set_of_money_and_recurrences_acts_from_its_place_however_the_log_is_cut() -> None:
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    for number, (currency, t) in enumerate([("EUR", 0), ("COP", 1)]):
        data = {"amount": 10, "currency": currency}
        log.signal(msgspec.structs.replace(signal(number, "order.placed", START + t, data), tenant="acme"))
    log.add(RecordKind.REVISION, settings_of(acme={"currency": "COP", "recurrences": {"more_than": 1, "days": 5}}))
    for number, (currency, t) in enumerate([("EUR", 2), ("COP", 3)], 2):
        data = {"amount": 10, "currency": currency}
        log.signal(msgspec.structs.replace(signal(number, "order.placed", START + t, data), tenant="acme"))
    for number, days in enumerate((0, 4, 7, 8), 4):
        data = {"case": f"c{number}", "category": "net", "severity": 4}
        told = signal(number, "case.opened", START + days * 24 * HOUR, data)
        log.signal(msgspec.structs.replace(told, tenant="acme"))
        log.signal(msgspec.structs.replace(told, tenant="other"))
    log.tick(START + 10 * 24 * HOUR)
    written = []
    for size in (1, 2, 7, 100):
        store = MemoryStore()
        steps = PartitionSteps(0, store, OneLibrary(), TenantSettings())
        while (first := steps.next_offset) < len(log.records):
            steps.write(
                steps.apply(decode_block(Block(0, first, log.records[first : first + size], at_end=True)), START)
            )
        written.append(dict(store.records))
    assert all(one == written[0] for one in written)
    acme, other = decode(written[0]["acme", "c-1"]), decode(written[0]["other", "c-1"])
    assert (acme.state.orders, acme.state.order_value, acme.state.foreign_orders) == (4, 3_000, 1)
    assert (STAGES[acme.tracker.stage], STAGES[other.tracker.stage]) == ("crisis", "strained")


def test_settings_that_cannot_be_read_are_dropped_and_those_before_stay() -> None:
    bench = Bench()
    bench.log.add(RecordKind.REVISION, settings_of(acme={"consent": "opt_in"}))
    bench.log.add(RecordKind.REVISION, settings_of(acme={"consent": "perhaps"}))
    bench.go()
    assert [lost.reason.split(":")[0] for lost in bench.steps.dropped] == ["undecodable"]
    assert bench.steps.rules_of("acme").settings.consent == "opt_in"


def pause_said(act: str, t: int, *, what: str = "principle", tenant: str = "default", until: int = 0) -> bytes:
    paused = Pause("p-1", tenant, what, "promise-a-time", START, until or START + 90 * HOUR, "ana", "why")
    return msgspec.json.encode(PauseRecord(act, t, "ana", "why", paused))


def test_a_paused_principle_makes_nothing_owed_until_somebody_ends_the_pause() -> None:
    bench = Bench()
    bench.log.revision("principles", "a" * 64)
    bench.log.add(RecordKind.PAUSE, pause_said("pause", START))
    bench.log.signal(signal(1, "case.opened", START, SEVERE))
    bench.log.tick(START + HOUR)
    bench.go()
    assert "promised_time" not in bench.owed()
    bench.start()
    bench.log.add(RecordKind.PAUSE, pause_said("resume", START + 2 * HOUR))
    bench.log.tick(START + 3 * HOUR)
    bench.go()
    assert bench.owed()["promised_time"] == OPEN
    assert (bench.steps.meta.pauses, bench.steps.dropped) == ([], [])


def test_a_paused_principle_makes_something_owed_when_the_pause_runs_out() -> None:
    bench = Bench()
    bench.log.revision("principles", "a" * 64)
    bench.log.add(RecordKind.PAUSE, pause_said("pause", START, until=START + 10 * HOUR))
    bench.log.signal(signal(1, "case.opened", START, SEVERE))
    bench.log.tick(START + HOUR)
    bench.log.tick(START + 12 * HOUR)
    bench.go()
    (owed,) = [one for one in decode(bench.store.records["default", "c-1"]).obligations if one.kind == "promised_time"]
    assert owed.opened_at == START + 10 * HOUR


@pytest.mark.parametrize(("what", "tenant"), [("domain", "default"), ("customer", "default"), ("principle", "other")])
def test_what_else_is_paused_changes_nothing_that_is_owed(what: str, tenant: str) -> None:
    bench = Bench()
    bench.log.revision("principles", "a" * 64)
    bench.log.add(RecordKind.PAUSE, pause_said("pause", START, what=what, tenant=tenant))
    bench.log.signal(signal(1, "case.opened", START, SEVERE))
    bench.go()
    assert bench.owed()["promised_time"] == OPEN


def test_a_pause_that_cannot_be_read_is_dropped(bench: Bench) -> None:
    bench.log.add(RecordKind.PAUSE, b'{"act": "pause"}')
    bench.go()
    assert [lost.reason.split(":")[0] for lost in bench.steps.dropped] == ["undecodable"]
