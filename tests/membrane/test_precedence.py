"""The ordered table of verdicts."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.precedence import STRONGEST_FIRST, place, strongest, weaker
from membrane.vocabulary import Verdict

ALLOW, DEFER, FORBID = Verdict.ALLOW, Verdict.DEFER, Verdict.FORBID


@pytest.mark.parametrize(
    ("a", "b", "wins"),
    [
        (ALLOW, ALLOW, ALLOW),
        (ALLOW, DEFER, DEFER),
        (ALLOW, FORBID, FORBID),
        (DEFER, DEFER, DEFER),
        (DEFER, FORBID, FORBID),
        (FORBID, FORBID, FORBID),
    ],
)
def test_of_every_pair_the_stronger_wins_in_either_order(a, b, wins):
    assert strongest([a, b]) is wins
    assert strongest([b, a]) is wins


def test_nothing_said_is_allow():
    assert strongest([]) is ALLOW


@given(st.lists(st.sampled_from(tuple(Verdict)), max_size=5))
def test_the_order_in_which_verdicts_come_does_not_matter(verdicts):
    assert {strongest(order) for order in permutations(verdicts)} == {strongest(verdicts)}


@given(st.lists(st.sampled_from(tuple(Verdict))), st.lists(st.sampled_from(tuple(Verdict))))
def test_verdicts_may_be_combined_in_parts(some, others):
    assert strongest([strongest(some), strongest(others)]) is strongest([*some, *others])


def test_weaker_is_a_strict_order_from_allow_to_forbid():
    order = [ALLOW, DEFER, FORBID]
    for one, other in product(order, order):
        assert weaker(one, than=other) is (order.index(one) < order.index(other))


def test_the_table_holds_every_verdict_once_strongest_first():
    assert STRONGEST_FIRST == (FORBID, DEFER, ALLOW)
    assert [place(verdict) for verdict in (FORBID, DEFER, ALLOW)] == [0, 1, 2]
