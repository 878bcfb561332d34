"""Due times: each moment at which time alone may change something, to the millisecond, and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.due import deadlines, first_after, moments
from membrane.record import Case, Metric, State, Tracker
from membrane.signals import StoredSignal
from membrane.stages import AT_RISK, CRISIS, RECOVERING, STEADY, STRAINED, lifecycle, rule_stage
from membrane.tiles import MEASURE
from membrane.times import DAY, HOUR
from membrane.tracker import named_until
from tests.membrane.customer import Customer
from tests.strategies import START, signals

ETA = START + 5 * HOUR
CALM = Tracker(STEADY, START)


def case(**more: object) -> Case:
    """An open case in our court since START."""
    return Case("A", START, START, **{"reported_at": START, "severity": 3} | more)  # type: ignore[arg-type]


# ---- deadlines of open cases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [START + 24 * HOUR + 1]),
        ({"severity": 4}, []),
        ({"status": 1}, []),
        ({"status": 2}, [START + 24 * HOUR + 1]),
        ({"eta": ETA}, [START + 24 * HOUR + 1, ETA + 1]),
        ({"eta": ETA, "severity": 4}, [ETA + 1]),
        ({"eta": ETA, "status": 1}, []),
        ({"eta": ETA, "status": 2}, [START + 24 * HOUR + 1]),
        ({"reopenings": [START + DAY]}, [START + 2 * DAY + 1]),
        ({"resolved_at": START + 1, "eta": ETA}, []),
        ({"resolved_at": START + 1, "reopenings": [START + 1]}, [START + 24 * HOUR + 2]),
    ],
)
def test_an_open_case_sets_the_moments_at_which_it_is_late(more: dict[str, object], expected: list[int]) -> None:
    assert deadlines(State(first_at=START, cases=[case(**more)])) == expected


def test_every_case_sets_its_own() -> None:
    closed = case(resolved_at=START + 1)
    assert len(deadlines(State(cases=[closed, case(), closed, case()]))) == 2


# ---- all moments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [AT_RISK, STRAINED])
def test_what_the_model_named_ends_when_it_names_it_no_more(stage: int) -> None:
    tracker = Tracker(stage, START, probabilities=[10_000] * 6, estimated_at=START)
    tracker.probabilities[stage] = 950_000
    assert named_until(tracker) > START
    assert moments(State(first_at=START), tracker) == [named_until(tracker), START + 30 * DAY]
    tracker.stage = STEADY
    assert moments(State(first_at=START), tracker) == [START + 30 * DAY]


def test_a_customer_of_whom_little_is_known_only_stops_being_new() -> None:
    assert moments(State(first_at=START), CALM) == [START + 30 * DAY]
    assert moments(State(first_at=START, opened_at=START + DAY), CALM) == [START + 31 * DAY]


SILENT = {"active_days": [1, 2, 3, 4], "inbound_at": START + 5}


@pytest.mark.parametrize(
    ("more", "tracker", "expected"),
    [
        ({"cases": [case(product="")]}, CALM, {START + 24 * HOUR + 1}),
        ({"cases": [case(product="T1", resolved_at=START + 1)]}, CALM, {START + 60 * DAY}),
        ({"cases": [case(product="T1", resolved_at=START + 1, reported_at=0)]}, CALM, set()),
        ({"negative_at": START}, CALM, set()),
        ({"negative_at": START}, Tracker(CRISIS, START), {START + 24 * HOUR}),
        ({"cases": [case(reopenings=[START + 5], resolved_at=START + 6)]}, Tracker(CRISIS, START), {START + DAY + 5}),
        ({"very_negative": [START, START + 1]}, CALM, set()),
        ({"very_negative": [START, START + 1]}, Tracker(CRISIS, START), {DAY, START + 48 * HOUR}),
        ({}, Tracker(RECOVERING, START, left_crisis_at=START + 1), {START + 14 * DAY + 1}),
        ({"low_csat_at": START}, CALM, {START + 7 * DAY}),
        ({"nps": (START, 600)}, CALM, {START + 90 * DAY}),
        (SILENT, CALM, {START + 30 * DAY + 5}),
        ({"tiles_1d": {100: {MEASURE["tone_count"]: 1}}}, CALM, {107 * DAY}),
        ({"tiles_1d": {100: {MEASURE["in"]: 1}}}, CALM, set()),
        ({"metrics": [Metric("m", START, {100: [1, 1], 102: [1, 1]})]}, CALM,
         {107 * DAY, 130 * DAY, 109 * DAY, 132 * DAY}),
    ],
)  # fmt: skip
def test_each_fact_that_time_can_change_sets_its_moment(
    more: dict[str, object], tracker: Tracker, expected: set[int]
) -> None:
    state = State(first_at=START, **more)  # type: ignore[arg-type]
    assert set(moments(state, tracker)) == expected | {START + 30 * DAY}


def test_every_case_and_every_day_sets_its_own_moment() -> None:
    cases = [
        case(product=""),
        case(product="T1", severity=4, reported_at=START + 1),
        case(product="T1", severity=4, reported_at=START + 2),
    ]
    tone = {MEASURE["tone_count"]: 1}
    state = State(first_at=START, cases=cases, tiles_1d={100: tone, 101: {}, 102: tone})
    assert sorted(moments(state, CALM)) == sorted(
        [
            START + 24 * HOUR + 1,
            START + 60 * DAY + 1,
            START + 60 * DAY + 2,
            107 * DAY,
            109 * DAY,
            START + 30 * DAY,
        ]
    )


# ---- to the millisecond: one before, at, one after -----------------------------------------------------------------


def _late() -> Customer:
    customer = Customer()
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    return customer


def _rated(instrument: str) -> Customer:
    customer = Customer()
    customer.tell("survey.answered", START, instrument=instrument, score=1)
    return customer


def _quiet() -> Customer:
    customer = Customer()
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    customer.tell("message.received", START, channel="chat", sentiment=-1)
    customer.tell("case.resolved", START, case="A")
    return customer


def _healed() -> Customer:
    customer = Customer()
    customer.tell("case.opened", START - 1, case="A", category="net", severity=1)
    customer.tell("case.resolved", START, case="A")
    return customer


@pytest.mark.parametrize(
    ("make", "after", "before_stage", "stage"),
    [
        (_late, 24 * HOUR + 1, "steady", "strained"),
        (lambda: _rated("csat"), 7 * DAY, "strained", "steady"),
        (lambda: _rated("nps"), 90 * DAY, "at_risk", "steady"),
        (_quiet, 24 * HOUR, "crisis", "recovering"),
        (_healed, 14 * DAY, "recovering", "steady"),
    ],
    ids=["late case", "bad rating", "detractor", "quiet day", "recovered"],
)
def test_a_due_time_fires_at_its_moment_and_not_a_millisecond_before(
    make: object, after: int, before_stage: str, stage: str
) -> None:
    for extra, expected in ((-1, before_stage), (0, stage), (1, stage)):
        customer = make()  # type: ignore[operator]
        happened = customer.tick(START + after + extra)
        assert customer.stage == expected
        assert [one.at for one in happened] == ([] if extra < 0 else [START + after])


def test_anger_holds_a_crisis_that_a_person_has_called_over_for_48_hours() -> None:
    customer = Customer()
    customer.tell("case.opened", START, case="A", category="net", severity=2)
    for n in range(2):
        customer.tell("message.received", START + n, channel="chat", sentiment=-1)
    customer.tell("label.given", START + HOUR, target="stage", value="steady", by="ana")
    customer.tick(START + 48 * HOUR - 1)
    assert customer.stage == "crisis"
    customer.tick(START + 48 * HOUR)
    assert (customer.stage, customer.tracker.since) == ("recovering", START + 48 * HOUR)


# ---- the law -------------------------------------------------------------------------------------------------------


@given(signals(max_size=25), st.integers(0, 120 * DAY), st.floats(0, 1))
def test_between_two_due_times_time_changes_nothing(stream: list[StoredSignal], wait: int, share: float) -> None:
    customer = Customer()
    for item in stream:
        customer.hear(item)
    customer.tick(customer.record.clock)
    t = customer.record.clock + wait
    customer.tick(t)
    state, tracker = customer.state, customer.tracker
    following = first_after(moments(state, tracker), t)
    until = (following or t + 1000 * DAY) - 1
    later = t + int(share * (until - t))
    for moment in (t + 1, later, until):
        if t <= moment <= until:
            assert rule_stage(state, tracker, moment).stage == rule_stage(state, tracker, t).stage
            assert lifecycle(state, tracker, moment) == lifecycle(state, tracker, t)


def test_the_first_moment_after_is_strictly_after_and_the_earliest() -> None:
    assert first_after([30, 10, 20], 10) == 20
    assert first_after([30, 10, 20], 9) == 10
    assert first_after([30, 10, 20], 30) is None
    assert first_after([], 0) is None
