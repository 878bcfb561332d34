"""Which vectors are kept, and which one a label is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.examples import (
    CHURN,
    HORIZON,
    JOINED_FOR,
    KEPT_LATEST,
    KEPT_WATCHED,
    STAGE,
    hear,
    is_kept,
    join,
    keep,
    lapses_at,
    leave,
    pairs,
    passed,
    silent_until,
)
from membrane.lapse import read_lapse
from membrane.record import Kept, Label, Record
from membrane.times import DAY, HOUR
from tests.membrane.customer import Customer
from tests.strategies import START

ORDER = "cx.order.placed.v1"


def at(t: int, signals: int = 100) -> Record:
    """A customer known for a year, whose clock is at t."""
    customer = Customer()
    customer.tell("order.placed", START - 365 * DAY)
    record = customer.record
    record.clock, record.state.signals = t, signals
    return record


def about(t: int) -> Label:
    return Label(STAGE, 0, 10_000, "ana", t, t)


@given(
    times=st.lists(st.integers(0, 60), max_size=KEPT_LATEST, unique=True).map(sorted),
    moment=st.integers(-1, 61),
)
def test_a_label_goes_to_the_latest_vector_up_to_its_moment(times: list[int], moment: int) -> None:
    kept = Kept(latest=[number for n, t in enumerate(times) for number in (t * DAY, n)])
    fit = [n for n, t in enumerate(times) if t <= moment]
    expected = fit[-1] if fit and (moment - times[fit[-1]]) * DAY <= JOINED_FOR else None
    assert join(kept, about(moment * DAY)) == expected


@given(later=st.lists(st.integers(1, 10**9), min_size=1, max_size=KEPT_LATEST - 1, unique=True).map(sorted))
def test_a_later_vector_that_is_planted_is_never_taken(later: list[int]) -> None:
    planted = [number for n, t in enumerate(later) for number in (START + t, 100 + n)]
    assert join(Kept(latest=planted), about(START)) is None
    assert join(Kept(latest=[START - HOUR, 7, *planted]), about(START)) == 7


@pytest.mark.parametrize(
    ("age", "more", "kind", "moved", "expected"),
    [
        (7 * DAY, 1, ORDER, False, True),
        (7 * DAY - 1, 1, ORDER, False, False),
        (DAY, 8, ORDER, False, True),
        (DAY, 7, ORDER, False, False),
        (DAY - 1, 8, ORDER, False, False),
        (HOUR, 1, ORDER, True, True),
        (HOUR - 1, 1, ORDER, True, False),
        (HOUR, 1, "cx.case.resolved.v1", False, True),
        (HOUR, 1, "cx.interaction.ended.v1", False, False),
    ],
)
def test_a_vector_is_kept_now_and_then_and_where_labels_will_look(
    age: int, more: int, kind: str, moved: bool, expected: bool
) -> None:
    record = at(START + age, 100 + more)
    record.kept = Kept(at=START, signals=100)
    assert is_kept(record, 9, kind, moved=moved) is expected


def test_an_interaction_about_an_open_case_is_such_a_place() -> None:
    customer = Customer()
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tell("interaction.ended", START + 2 * HOUR, interaction="I", channel="phone")
    assert is_kept(customer.record, 9, "cx.interaction.ended.v1", moved=False)
    customer.tell("account.closed", START + 4 * HOUR)
    assert not is_kept(customer.record, 9, "cx.interaction.ended.v1", moved=False)


def test_what_a_record_knows_is_bounded_and_one_a_week_is_watched() -> None:
    record = at(START)
    ends = []
    for day in range(200):
        record.clock = START + day * DAY
        ends.append(keep(record, day)[0])
    assert len(pairs(record.kept.latest)) == KEPT_LATEST
    assert 1 < len(pairs(record.kept.watched)) <= KEPT_WATCHED
    assert [day for day, end in enumerate(ends) if end is not None] == list(range(0, 200, 7))
    assert ends[7] == START + 7 * DAY + HORIZON


def test_who_leaves_is_the_churn_of_the_vectors_whose_horizon_it_falls_into() -> None:
    kept = Kept(watched=[0, 1, DAY, 2, 29 * DAY, 3, 32 * DAY, 4])
    said, decided = leave(kept, 31 * DAY, 33 * DAY, 5_000)
    assert [(offset, one.target, one.label, one.weight, one.about) for offset, one in said] == [
        (2, CHURN, 1, 5_000, DAY),
        (3, CHURN, 1, 5_000, 29 * DAY),
    ]
    assert decided == [2, 3, 4]  # the first one's horizon had passed; the last was served after the closing
    assert kept.watched == []


def test_a_horizon_that_passes_says_that_the_customer_stayed() -> None:
    found = passed(START)
    assert (found.target, found.label, found.about, found.found_at) == (CHURN, 0, START, START + HORIZON)


def test_the_silence_of_the_lapse_rule_counts_from_the_latest_signal_that_it_listens_to() -> None:
    rule, kept = read_lapse("no order.placed for 10d"), Kept()
    assert silent_until(kept, rule) is None
    for kind, day in ((ORDER, 3), (ORDER, 1), ("cx.message.received.v1", 9)):
        hear(kept, rule, kind, day * DAY)
    assert silent_until(kept, rule) == 13 * DAY
    assert silent_until(kept, read_lapse("no order.placed for 20d")) == 23 * DAY
    assert silent_until(kept, read_lapse("no message.received for 10d")) is None
    assert silent_until(kept, None) is None


@pytest.mark.parametrize(
    ("watched", "synthetic", "expected"),
    [
        ([], False, None),
        ([10 * DAY, 1], False, 40 * DAY),
        ([10 * DAY - 1, 1], False, None),
        ([10 * DAY, 1], True, None),
    ],
)
def test_nobody_looks_for_a_silence_that_is_the_churn_of_no_vector(
    watched: list[int], synthetic: bool, expected: int | None
) -> None:
    rule, kept = read_lapse("no order.placed for 30d"), Kept(watched=watched, synthetic=synthetic)
    hear(kept, rule, ORDER, 10 * DAY)
    assert lapses_at(kept, rule) == expected
