"""The engine: due times before signals, late ones that wait for a tick, obligations, acts, and going live."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.engine import KEPT_OVERDUE, Happening, Rules, act, advance, judge, next_due, receive
from membrane.record import BREACHED, MET, OPEN, WAIVED, Obligation, encode
from membrane.signals import StoredSignal, typed
from membrane.times import DAY, HOUR, format_time
from membrane.tracker import Score
from membrane.vocabulary import STAGES
from tests.fakes import default_pack
from tests.membrane.customer import BY_RULES, Customer
from tests.membrane.fakes_principles import principle, principle_set
from tests.strategies import START, signal, signals

PACK = Rules(default_pack())


def stages(happened: list[Happening]) -> list[int]:
    """When the stage changed."""
    return [one.at for one in happened if one.kind == "stage"]


def owed(customer: Customer, kind: str) -> Obligation:
    (one,) = [one for one in customer.record.obligations if one.kind == kind]
    return one


def in_crisis() -> Customer:
    customer = Customer(PACK)
    customer.tell("case.opened", START, case="A", category="net", severity=1, product="T1")
    return customer


# ---- the clock and its due times -----------------------------------------------------------------------------------


def test_the_clock_is_the_latest_of_signals_and_ticks_and_never_goes_back() -> None:
    customer = Customer()
    clocks = []
    for t, tick in ((START, 0), (START - DAY, 0), (START + 5, START + HOUR), (START + DAY, 0)):
        customer.last_tick = max(customer.last_tick, tick)
        customer.tell("order.placed", t)
        clocks.append(customer.record.clock)
    assert clocks == [START, START, START + HOUR, START + DAY]


def test_what_was_due_before_a_signal_fires_first_each_at_its_own_time() -> None:
    customer = Customer()
    customer.tell("survey.answered", START, instrument="csat", score=1)
    customer.tell("case.opened", START + DAY, case="A", category="net", severity=3)
    happened = customer.tell("order.placed", START + 30 * DAY)
    assert stages(happened) == []  # strained all along: by the rating, then by the late case
    customer.tell("case.resolved", START + 30 * DAY, case="A")
    customer.tell("survey.answered", START + 30 * DAY, instrument="csat", score=1)
    happened = customer.tell("order.placed", START + 60 * DAY)
    assert stages(happened) == [START + 37 * DAY]


def test_a_tick_that_changes_nothing_leaves_the_record_alone() -> None:
    customer = Customer()
    customer.tell("order.placed", START)
    before = copy.deepcopy(customer.record)
    assert advance(customer.record, START + DAY, BY_RULES) is None
    assert customer.record == before


def test_a_tick_that_only_changes_the_lifecycle_is_news_without_a_happening() -> None:
    customer = Customer()
    customer.tell("order.placed", START)
    assert advance(customer.record, START + 30 * DAY, BY_RULES) == []
    assert (customer.lifecycle, customer.record.clock) == ("active", START + 30 * DAY)


def test_a_rule_that_lapses_where_the_model_keeps_the_stage_is_news_without_a_happening() -> None:
    customer = Customer()
    customer.score = Score((0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    customer.tell("survey.answered", START, instrument="csat", score=1)
    assert (customer.stage, customer.tracker.by_rules) == ("strained", True)
    assert advance(customer.record, START + 8 * DAY, BY_RULES) == []
    assert (customer.stage, customer.tracker.by_rules) == ("strained", False)


@given(signals(max_size=25), st.lists(st.integers(0, 20 * DAY), min_size=1, max_size=5), st.integers(0, 5))
@settings(max_examples=50)
def test_a_tick_that_is_no_news_has_left_every_byte_alone(
    sent: list[StoredSignal], gaps: list[int], likeliest: int
) -> None:
    customer = Customer(PACK)
    customer.score = Score(tuple(0.75 if stage == likeliest else 0.05 for stage in range(6)))
    for one in sent:
        customer.hear(one)
    t = customer.record.clock
    for gap in gaps:
        t += gap
        before = encode(customer.record)
        if advance(customer.record, t, PACK) is None:
            assert encode(customer.record) == before


@given(signals(max_size=25), st.lists(st.integers(0, 10 * DAY), min_size=1, max_size=5))
@settings(max_examples=50)
def test_many_small_ticks_say_the_same_as_one_great_one(stream: list[StoredSignal], steps: list[int]) -> None:
    small, great = Customer(PACK), Customer(PACK)
    for item in stream:
        small.hear(item)
        great.hear(item)
    for customer in (small, great):  # what waits for a tick is told at the first one
        customer.tick(customer.record.clock)
    t = small.record.clock
    told: list[tuple[str, int]] = []
    for step in steps:
        t += step
        told += [(one.kind, one.at) for one in small.tick(t)]
    assert [(one.kind, one.at) for one in great.tick(t)] == told
    assert small.tracker == great.tracker
    assert small.record.obligations == great.record.obligations


@given(signals(max_size=25))
@settings(max_examples=50)
def test_the_next_due_time_is_never_behind_unless_something_waits(stream: list[StoredSignal]) -> None:
    customer = Customer(PACK)
    for item in stream:
        customer.hear(item)
        record = customer.record
        due = next_due(record, PACK, record.clock)
        assert due is None or due > record.clock or due == record.overdue[0]
        assert len(record.overdue) <= KEPT_OVERDUE


# ---- late signals --------------------------------------------------------------------------------------------------


def test_a_deadline_that_a_late_signal_sets_in_the_past_waits_for_the_tick() -> None:
    customer = Customer()
    for t in (START, START + 10 * DAY):
        customer.tell("order.placed", t)
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    assert (customer.stage, customer.record.overdue) == ("steady", [START + 24 * HOUR + 1])
    assert next_due(customer.record, BY_RULES, customer.record.clock) == START + 24 * HOUR + 1
    assert stages(customer.tick(START + 10 * DAY)) == [START + 24 * HOUR + 1]
    assert (customer.stage, customer.record.overdue) == ("strained", [])


def test_history_that_still_arrives_takes_the_deadline_back() -> None:
    customer = Customer()
    customer.tell("order.placed", START + 10 * DAY)
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tell("case.resolved", START + HOUR, case="A")
    assert customer.tick(START + 10 * DAY) == []
    assert customer.stage == "steady"


def test_no_more_deadlines_wait_than_are_kept() -> None:
    customer = Customer()
    customer.tell("order.placed", START + 100 * DAY)
    for n in range(24):
        customer.tell("case.opened", START + n * HOUR, case=f"C{n}", category=f"k{n}", severity=3)
    assert len(customer.record.overdue) == KEPT_OVERDUE


# ---- the score -----------------------------------------------------------------------------------------------------


def test_a_signal_that_is_no_news_leaves_the_estimate_alone() -> None:
    customer = Customer()
    customer.score = Score([0.1, 0.1, 0.2, 0.2, 0.2, 0.2], 0.3)
    customer.tell("order.placed", START)
    before = copy.deepcopy(customer.tracker)
    customer.score = Score([0.9, 0.02, 0.02, 0.02, 0.02, 0.02], 0.9)
    customer.tell("journey.moved", START + DAY, journey="j", step="s", status="x")
    customer.tell("of.our.own", START + DAY)
    assert customer.tracker == before
    assert customer.state.signals == 3


def test_a_model_that_gives_no_number_leaves_the_rules_in_force_and_flags_it() -> None:
    customer = in_crisis()
    customer.score = Score(invalid=True)
    customer.tell("order.placed", START + 1)
    assert (customer.stage, customer.tracker.model_invalid, customer.tracker.probabilities) == ("crisis", True, [])


# ---- obligations ---------------------------------------------------------------------------------------------------


def test_a_crisis_owes_a_time_and_the_fourth_day_a_free_service() -> None:
    customer = in_crisis()
    assert owed(customer, "promised_time").due == START + 4 * HOUR
    customer.tick(START + 72 * HOUR)
    assert [one.kind for one in customer.record.obligations if one.kind == "free_service"] == []
    customer.tick(START + 72 * HOUR + 1)
    assert owed(customer, "free_service").opened_at == START + 72 * HOUR + 1
    customer.tick(START + 50 * DAY)
    owed(customer, "free_service")


def test_what_is_not_done_in_time_is_breached_at_its_time_and_can_still_be_met() -> None:
    customer = in_crisis()
    assert [one.at for one in customer.tick(START + 4 * HOUR)] == [START + 4 * HOUR]
    assert owed(customer, "promised_time").state == BREACHED
    customer.tell("case.updated", START + 5 * HOUR, case="A", eta="2030-01-01T00:00:00Z")
    assert owed(customer, "promised_time").state == MET


def test_a_solved_case_needs_no_promise() -> None:
    customer = in_crisis()
    customer.tell("case.resolved", START + HOUR, case="A")
    assert owed(customer, "promised_time").state == WAIVED


def test_each_change_is_told_as_the_obligation_was_then() -> None:
    """Opened, breached and escalated within one tick."""
    call = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "episode", "escalate_to": "legal"}
    when = 'stage.name == "crisis" && stage.age > duration("1h")'
    customer = Customer(Rules(principle_set(principle(when, "require", obligation=call))))
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    told = [one.what for one in customer.tick(START + DAY) if isinstance(one.what, Obligation)]
    assert [(one.state, one.owner) for one in told] == [(OPEN, "service"), (BREACHED, "legal")]


@pytest.mark.parametrize("state", [MET, WAIVED])
def test_a_person_closes_an_obligation_once(state: int) -> None:
    customer = in_crisis()
    one = owed(customer, "promised_time")
    (told,) = act(customer.record, one.obligation, state, START + HOUR, PACK, by="ana", reason="called") or ()
    assert (told.kind, told.at, one.state, one.closed_at) == ("obligation", START + HOUR, state, START + HOUR)
    assert (told.what, told.by, told.reason) == (one, "ana", "called")
    assert act(customer.record, one.obligation, MET, START + HOUR, PACK) is None
    assert act(customer.record, "0" * 16, MET, START + HOUR, PACK) is None


def test_without_principles_nothing_becomes_owed() -> None:
    customer = Customer()
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    customer.tick(START + 30 * DAY)
    assert customer.record.obligations == []


def test_before_going_live_history_builds_the_stage_but_owes_nothing() -> None:
    rules = Rules(default_pack(), go_live=START + 2 * DAY)
    customer = Customer(rules)
    (change,) = customer.tell("case.opened", START, case="A", category="net", severity=1)
    assert (change.kind, change.backfill, customer.stage) == ("stage", True, "crisis")
    assert customer.record.obligations == []
    customer.tick(START + 80 * HOUR)
    assert owed(customer, "free_service").state == OPEN
    (change,) = [one for one in customer.tell("case.resolved", START + 4 * DAY, case="A") if one.kind == "stage"]
    assert change.backfill is False


# ---- purity --------------------------------------------------------------------------------------------------------


def test_the_same_signals_give_the_same_record_and_the_signal_is_not_changed() -> None:
    made = []
    for _ in range(2):
        customer = in_crisis()
        item = signal(9, "message.received", START + 1, {"channel": "chat", "sentiment": -1})
        before = copy.deepcopy(item)
        judge(receive(customer.record, item, typed(item), 0, PACK), Score(), PACK)
        assert item == before
        made.append(customer.record)
    assert made[0] == made[1]


# ---- conditions of `require` that time alone makes true ------------------------------------------------------------


def opened_days(when: str, *told: tuple[str, int, dict[str, object]], ticks: range) -> list[float]:
    """The days after START at which the condition made something owed, with a tick now and then."""
    call = {"kind": "agent_call", "owner": "service", "due": "4h", "every": "8760h"}
    customer = Customer(Rules(principle_set(principle(when, "require", obligation=call))))
    for kind, t, data in told:
        customer.tell(kind, t, **data)
    for day in ticks:
        customer.tick(START + day * DAY)
    return [(one.opened_at - START) / DAY for one in customer.record.obligations]


MESSAGE = ("message.received", START, {"channel": "chat"})
ORDER = ("order.placed", START, {})
CONTACT = ("contact.made", START, {"domain": "sales", "kind": "upsell", "channel": "sms", "contact": "k"})
COMPLAINT = ("contact.answered", START, {"contact": "k", "outcome": "complained"})
TODAY = -(-START // DAY) * DAY


@pytest.mark.parametrize("ticks", [range(1, 200), range(7, 200, 50), range(199, 200)], ids=["daily", "rarely", "once"])
@pytest.mark.parametrize(
    ("when", "told", "days"),
    [
        ("features.silence >= 20.0 && features.silence < 25.0", [MESSAGE], 20),
        ("contact.complaints_90d == 0 && features.orders_total >= 1.0", [CONTACT, COMPLAINT, ORDER], 90),
        ("features.contacts_in_7d == 0.0 && features.contacts_in_30d > 0.0", [MESSAGE], 6 + (TODAY - START) / DAY),
        ("survey.low_unanswered == 0", [("survey.answered", START, {"instrument": "csat", "score": 1})], 30),
    ],
)
def test_what_time_alone_makes_true_is_owed_from_then_whenever_the_ticks_come(when, told, days, ticks) -> None:
    assert opened_days(when, *told, ticks=ticks) == [pytest.approx(days)]


def test_the_shipped_pack_has_no_moments_of_its_own_for_what_is_due_anyway() -> None:
    changing = {name for stage in STAGES for name in default_pack().requires_in(stage)[1].changing}
    assert changing == {"risk.relapse", "case.eta_missed", "survey.low_unanswered"}


def test_a_tick_that_only_finds_no_room_for_a_debt_is_written() -> None:
    customer = Customer(PACK)
    customer.tell("case.opened", START, case="A", category="net", severity=3, eta=format_time(START + DAY))
    record = customer.record
    record.obligations = [Obligation(f"{n:016x}", "x", "agent_call", "service", 1, 1, BREACHED) for n in range(24)]
    assert advance(record, START + DAY + 1, PACK) is not None
    assert record.unopened == 1
    assert advance(record, START + DAY + 2, PACK) is None


# ---- what changes nothing ------------------------------------------------------------------------------------------

updates = st.fixed_dictionaries(
    {"case": st.sampled_from(["A", "B"])},
    optional={
        "severity": st.sampled_from([2, 3]),
        "status": st.sampled_from(["open", "waiting_on_customer"]),
        "category": st.sampled_from(["net", "bill"]),
        "eta": st.sampled_from([None, format_time(START + DAY)]),
    },
)
steps = st.tuples(st.sampled_from(["case.updated"] * 5 + ["case.opened", "case.resolved", "credit.given"]), updates)


@settings(max_examples=300)
@given(st.lists(st.tuples(steps, st.integers(-2 * HOUR, 30 * HOUR)), min_size=1, max_size=25))
def test_a_signal_that_changes_nothing_is_not_judged_and_judging_it_would_change_nothing(told) -> None:
    judged, spared = Customer(PACK), Customer(PACK)
    t, due = START, 0
    for number, ((kind, data), later) in enumerate(told):
        t = max(t + later, START)
        given = {"case": data["case"]} if kind == "case.resolved" else dict(data)
        if kind == "case.opened":
            given |= {"category": given.get("category", "net"), "severity": given.get("severity", 3)}
            given.pop("status", None)
        if kind == "credit.given":
            given = {"kind": "free_service"}
        item = signal(number, kind, t, given)
        happened = judged.hear(item)
        record = spared.meet(item)
        received = receive(record, item, typed(item), 0, PACK, due=due)
        assert judge(received, Score(), PACK) == happened
        due = next_due(record, PACK, record.clock) if not received.still else due
        assert due == next_due(record, PACK, record.clock) == next_due(judged.record, PACK, record.clock)
    for customer in (judged, spared):
        customer.tracker.drivers = []  # those say what the last signal that was judged found
    assert spared.record == judged.record


def test_most_updates_of_a_case_change_nothing() -> None:
    customer = Customer(PACK)
    customer.tell("case.opened", START, case="A", category="net", severity=3, product="T1")
    record, due = customer.record, next_due(customer.record, PACK, START)
    said = {"case": "A", "severity": 3, "status": "open", "category": "net"}
    for number, (data, still) in enumerate(
        [(said, True), (said | {"severity": 2}, False), (said | {"case": "B"}, False)]
    ):
        item = signal(100 + number, "case.updated", START + 1 + number, data)
        received = receive(record, item, typed(item), 0, PACK, due=due)
        assert received.still is still
        judge(received, Score(), PACK)
        due = next_due(record, PACK, record.clock)
