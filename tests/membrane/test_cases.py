"""Cases, the problems they report, recurrences and the risk of relapse: always functions of the set of signals."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.cases import (
    KEPT_BYTES,
    KEPT_CASES,
    KEPT_PROBLEM_BYTES,
    KEPT_PROBLEMS,
    KEPT_REPLACED,
    KEPT_REPORTS,
    find_problem,
    keep_latest,
    missed_eta,
    problem_key,
    recurrences,
    relapse_products,
    reports,
)
from membrane.record import Case, State
from membrane.times import DAY, HOUR, format_time
from tests.membrane.customer import Customer
from tests.strategies import START

NET = {"category": "net", "product": "T1", "severity": 3}
Told = tuple[str, int, dict[str, Any]]


def told(*items: Told) -> State:
    """The state after that history."""
    customer = Customer()
    for kind, t, data in items:
        customer.tell(kind, t, **data)
    return customer.state


def only(*items: Told) -> Case:
    """The one case of that history, the same in every order of arrival."""
    found = [told(*order).cases for order in permutations(items)]
    assert all(cases == found[0] for cases in found)
    (case,) = found[0]
    return case


def opened(case: str, t: int, **more: Any) -> Told:
    return "case.opened", t, NET | {"case": case} | more


# ---- one case ------------------------------------------------------------------------------------------------------


def test_the_latest_word_on_a_case_wins_and_its_first_name_stays() -> None:
    case = only(
        opened("A", START, severity=4),
        ("case.updated", START + 1, {"case": "A", "severity": 2, "category": "bill", "product": "T2"}),
        ("case.updated", START + 2, {"case": "A", "status": "waiting_on_supplier"}),
    )
    assert (case.severity, case.status) == (2, 2)
    assert (case.category, case.category_now, case.product, case.product_now) == ("net", "bill", "T1", "T2")


def test_of_two_words_of_one_moment_the_worse_or_the_more_pressing_wins() -> None:
    case = only(
        ("case.updated", START, {"case": "A", "severity": 2, "status": "waiting_on_customer"}),
        ("case.updated", START, {"case": "A", "severity": 3, "status": "waiting_on_supplier"}),
    )
    assert (case.severity, case.status) == (2, 1)


def test_a_promise_can_be_renewed_and_withdrawn_and_silence_leaves_it() -> None:
    later = format_time(START + 9 * HOUR)
    given = only(opened("A", START), ("case.updated", START + 1, {"case": "A", "eta": later}))
    kept = only(opened("A", START, eta=later), ("case.updated", START + 1, {"case": "A", "severity": 2}))
    assert given.eta == kept.eta == START + 9 * HOUR
    withdrawn = only(opened("A", START, eta=later), ("case.updated", START + 1, {"case": "A", "eta": None}))
    assert withdrawn.eta is None


@pytest.mark.parametrize(
    ("change", "missed"), [({}, True), ({"status": 1}, False), ({"status": 2}, False), ({"resolved_at": 9}, False)]
)
def test_a_promise_is_missed_while_the_ball_is_in_our_court(change: dict[str, int], missed: bool) -> None:
    case = Case("A", 1, 1, eta=5, **change)  # type: ignore[arg-type]
    assert (missed_eta(case, 5), missed_eta(case, 6)) == (False, missed)


def test_a_resolution_keeps_its_code_and_a_later_one_replaces_it() -> None:
    case = only(
        opened("A", START),
        ("case.resolved", START + 1, {"case": "A", "resolution_code": "auto_closed"}),
        ("case.resolved", START + 2, {"case": "A"}),
    )
    assert (case.resolved_at, case.code, case.open) == (START + 2, -1, False)


def test_a_late_opening_makes_of_the_earlier_one_a_reopening() -> None:
    case = only(opened("A", START), opened("A", START + HOUR), ("case.reopened", START + 2 * HOUR, {"case": "A"}))
    assert (case.reported_at, case.reopenings) == (START, [START + HOUR, START + 2 * HOUR])


def test_the_same_opening_told_twice_reopens_nothing() -> None:
    assert only(opened("A", START), opened("A", START)).reopenings == []


@given(
    st.lists(
        st.tuples(st.sampled_from(("case.opened", "case.reopened", "case.resolved")), st.integers(0, 5)),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_openings_and_reopenings_arrive_does_not_show(
    words: list[tuple[str, int]], rng: random.Random
) -> None:
    """Not in the case, and not in how often the next case of that problem says it came back."""
    items: list[Told] = [(kind, START + n, (NET if kind == "case.opened" else {}) | {"case": "A"}) for kind, n in words]
    shuffled = items.copy()
    rng.shuffle(shuffled)
    after = opened("B", START + 9)
    state, other = told(*items, after), told(*shuffled, after)
    assert other.cases == state.cases
    assert other.problems == state.problems
    assert recurrences(other, other.cases[-1]) == recurrences(state, state.cases[-1])


def test_an_opening_told_again_at_a_later_moment_reopens_once() -> None:
    items = (opened("A", START), opened("A", START + 1), opened("A", START + 1))
    assert only(*items).reopenings == [START + 1]
    for order in permutations(items):
        state = told(*order, opened("B", START + 2))
        assert recurrences(state, state.cases[-1]) == 2


def test_of_a_promise_and_its_withdrawal_at_one_moment_the_promise_stays_be_it_for_the_epoch() -> None:
    case = only(
        ("case.updated", START, {"case": "A", "eta": format_time(0)}),
        ("case.updated", START, {"case": "A", "eta": None}),
    )
    assert case.eta == 0


def test_only_the_latest_reopenings_are_kept() -> None:
    state = told(opened("A", START), *(("case.reopened", START + n, {"case": "A"}) for n in range(1, 20)))
    assert state.cases[0].reopenings == [START + n for n in range(12, 20)]


# ---- problems and recurrences --------------------------------------------------------------------------------------


def test_recurrences_are_counted_from_the_problems_own_reports_not_from_the_cases_kept() -> None:
    others = [opened(f"X{n}", START + 10 + n, category="other", product=None) for n in range(30)]
    state = told(*(opened(f"C{n}", START + n) for n in range(4)), *others, opened("C9", START + 90))
    assert {case.case for case in state.cases}.isdisjoint({"C0", "C1", "C2", "C3"})
    assert recurrences(state, state.cases[-1]) == 4


def test_the_eight_latest_reports_of_a_problem_are_kept() -> None:
    state = told(*(opened(f"C{n}", START + n) for n in range(12)))
    problem = find_problem(state, "net", "T1")
    assert problem is not None
    assert [t for t, _ in reports(problem)] == [START + n for n in range(12 - KEPT_REPORTS, 12)]
    assert recurrences(state, state.cases[-1]) == KEPT_REPORTS - 1


def test_a_late_first_name_moves_the_reports_to_the_problem_they_belong_to() -> None:
    state = told(
        opened("A", START + 1),
        ("case.updated", START, {"case": "A", "category": "bill"}),
        opened("B", START + 2),
    )
    assert {(p.category, p.product) for p in state.problems} == {("bill", "T1"), ("net", "T1")}
    assert recurrences(state, state.cases[-1]) == 0


def test_a_case_known_by_updates_alone_reports_nothing() -> None:
    state = told(opened("A", START), ("case.updated", START + 1, {"case": "B", "category": "net", "product": "T1"}))
    assert recurrences(state, state.cases[-1]) == 0


def test_a_report_at_the_very_time_of_the_replacement_belongs_to_the_old_product() -> None:
    items = (opened("A", START), ("product.replaced", START, {"old": "T1", "new": "T2"}), opened("B", START + 1))
    for order in permutations(items):
        state = told(*order)
        case = next(known for known in state.cases if known.case == "B")
        assert recurrences(state, case) == 0


def since(*items: Told) -> int:
    """When the one problem of that history began."""
    customer = Customer()
    for kind, t, data in items:
        customer.tell(kind, t, **data)
    (problem,) = customer.state.problems
    assert list(customer.tracker.problems) == [problem_key(problem)]
    return customer.tracker.problems[problem_key(problem)]


@pytest.mark.parametrize(("gap", "same"), [(30 * DAY, True), (30 * DAY + 1, False)])
def test_a_problem_ends_after_30_days_without_a_report(gap: int, same: bool) -> None:
    assert since(opened("A", START), opened("B", START + gap)) == (START if same else START + gap)


def test_a_problem_ends_when_its_product_is_replaced() -> None:
    replaced = ("product.replaced", START + 1, {"old": "T1", "new": "T2"})
    assert since(opened("A", START), replaced, opened("B", START + 2)) == START + 2


def test_when_a_problem_began_goes_by_the_log_and_is_not_told_otherwise_by_a_late_report() -> None:
    """An obligation that was owed for a problem is not owed again because history came late."""
    two = (opened("A", START), opened("B", START + 40 * DAY))
    assert since(*two) == since(*two, opened("C", START + 20 * DAY)) == START + 40 * DAY
    assert since(two[1], two[0]) == START + 40 * DAY
    assert since(*(opened(f"C{n}", START + n * DAY) for n in range(12))) == START


# ---- relapse -------------------------------------------------------------------------------------------------------


def solved(case: str, t: int, **more: Any) -> list[Told]:
    return [opened(case, t, **more), ("case.resolved", t + 1, {"case": case})]


def thrice(**last: Any) -> list[Told]:
    return [*solved("A", START), *solved("B", START + DAY), *solved("C", START + 2 * DAY, **last)]


@pytest.mark.parametrize(
    ("items", "products"),
    [
        (thrice(), ["T1"]),
        (thrice(category="bill"), []),
        (thrice(product="T2"), []),
        (thrice()[:-1], []),  # the last one is open
        ([*thrice(), *solved("D", START + 3 * DAY)], ["T1"]),
        ([*thrice(), opened("D", START - 100 * DAY)], []),  # an old one of the same problem is open
        ([*thrice(), opened("D", START, category="bill")], ["T1"]),  # an open one of another problem is not
        ([*thrice(), ("product.replaced", START + 2 * DAY, {"old": "T1", "new": "T2"})], []),
        ([*thrice(), ("product.replaced", START + 2 * DAY, {"old": "T9", "new": "T1"})], ["T1"]),
    ],
)
def test_a_product_is_at_risk_of_relapse_after_three_solved_cases_of_one_problem(
    items: list[Told], products: list[str]
) -> None:
    assert relapse_products(told(*items), START + 3 * DAY) == products


def test_the_risk_of_relapse_looks_back_60_days() -> None:
    state = told(*thrice())
    assert relapse_products(state, START + 60 * DAY - 1) == ["T1"]
    assert relapse_products(state, START + 60 * DAY) == []


# ---- bounds --------------------------------------------------------------------------------------------------------


def test_cases_are_kept_by_recency_within_their_number_and_their_bytes() -> None:
    state = told(*(opened(f"{n:0128}", START + n, category=f"c{n:0120}", product=f"p{n:0120}") for n in range(30)))
    assert 1 < len(state.cases) < KEPT_CASES
    assert sum(len(c.case) + len(c.category) + len(c.product) for c in state.cases) <= KEPT_BYTES
    assert [int(case.case) for case in state.cases] == list(range(30 - len(state.cases), 30))


def test_a_name_changed_later_counts_as_bytes_too() -> None:
    renamed = [
        ("case.updated", START + n, {"case": f"C{n}", "category": "x" * 128, "product": "y" * 128}) for n in range(9)
    ]
    state = told(*(opened(f"C{n}", START) for n in range(9)), *renamed)
    assert len(state.cases) < 9


def test_problems_are_kept_by_recency_within_their_number_and_their_bytes() -> None:
    many = told(*(opened(f"C{n}", START + n, category=f"k{n}") for n in range(KEPT_PROBLEMS + 4)))
    assert [p.category for p in many.problems] == [f"k{n}" for n in range(4, KEPT_PROBLEMS + 4)]
    long = told(*(opened(f"C{n}", START + n, category=f"{n:0128}") for n in range(9)))
    assert sum(len(p.category) + len(p.product) for p in long.problems) <= KEPT_PROBLEM_BYTES
    assert long.overflow


def test_replacements_are_kept_by_recency() -> None:
    state = told(*(("product.replaced", START + n, {"old": f"T{n}", "new": "N"}) for n in range(KEPT_REPLACED + 2)))
    assert list(state.replaced) == [f"T{n}" for n in range(2, KEPT_REPLACED + 2)]
    assert state.overflow == 2


def test_a_single_name_stays_however_long_it_is() -> None:
    times = {"x" * 1000: 1}
    assert (keep_latest(times, 8), len(times)) == (0, 1)
    times["y"] = 2
    assert (keep_latest(times, 8), list(times)) == (1, ["y"])
