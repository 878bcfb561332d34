"""What customers who entered crisis have in common, beside others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from membrane.in_common import MOST_SHOWN, in_common, traits
from membrane.record import Case, Record, State
from membrane.tiles import IN_CHANNEL
from membrane.times import DAY
from membrane.tracker import start
from membrane.vocabulary import CHANNELS
from tests.strategies import START


def customer(*products, category="net", touched_at=START, resolved_at=0, channel="chat"):
    cases = [
        Case(f"A{number}", touched_at, touched_at, category=category, product=product, resolved_at=resolved_at)
        for number, product in enumerate(products)
    ]
    tiles = {START // DAY: {IN_CHANNEL + CHANNELS.index(channel): 1}}
    return Record("t", "c", 1, START, 0, State(first_at=START, cases=cases, tiles_1d=tiles), start(START))


def test_a_product_that_others_hardly_have_stands_first():
    entered = [customer("T1")] * 8 + [customer("T2")] * 8
    others = [customer("T2")] * 50 + [customer("T1")] * 2 + [customer()] * 48
    found = in_common(entered, others)["product"]
    assert [one.name for one in found] == ["T1", "T2"]
    assert (found[0].customers, found[0].share, found[0].base_share) == (8, 0.5, 0.02)
    assert found[0].lift == round((8.5 / 17) / (2.5 / 101), 2)
    assert found[1].lift < 1.5


def test_what_everybody_does_has_no_lift():
    [chat] = in_common([customer("T1")] * 9, [customer()] * 99)["channel"]
    assert (chat.name, chat.lift) == ("chat", round(9.5 / 10 / (99.5 / 100), 2))


def test_cases_that_were_closed_long_ago_are_no_trait():
    old = START - 3 * DAY
    assert ("product", "T1") not in traits(customer("T1", touched_at=old, resolved_at=old))
    assert ("product", "T1") in traits(customer("T1", touched_at=old))
    assert ("product", "T1") in traits(customer("T1", resolved_at=START))


def test_what_one_customer_alone_has_is_not_shown_and_nobody_is_compared_with_nobody():
    assert in_common([customer("T1")], []) == {"product": [], "category": [], "channel": []}
    assert in_common([], []) == {"product": [], "category": [], "channel": []}


@given(products=st.lists(st.sampled_from([f"P{number}" for number in range(9)]), max_size=40))
def test_what_is_shown_is_bounded_and_in_the_order_of_lift(products):
    found = in_common([customer(one) for one in products], [customer("P1"), customer("P2")])["product"]
    assert len(found) <= MOST_SHOWN
    assert found == sorted(found, key=lambda one: -one.lift)
    assert all(0 < one.share <= 1 and 0 <= one.base_share <= 1 for one in found)
