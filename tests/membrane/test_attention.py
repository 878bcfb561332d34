from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.attention import CAUTION, CUSTOMER, OTHER, AttentionLedger, favoured, week_of
from membrane.times import DAY, parse_time

MONDAY = parse_time("2026-11-23T00:00:00Z")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60 * DAY),
            st.sampled_from(["sales", "marketing", "astrology"]),
            st.sampled_from(["allow", "defer", "forbid"]),
            st.sampled_from([CUSTOMER, CAUTION, "sales"]),
        )
    )
)
def test_every_verdict_is_in_one_account_once_and_every_refusal_in_somebodys_favour(verdicts):
    ledger = AttentionLedger()
    for t, domain, verdict, favour in verdicts:
        ledger.add(MONDAY + t, domain, verdict, favour)
    accounts = [account for week in ledger.weeks(100).values() for account in week.values()]
    assert sum(one.asked for one in accounts) == len(verdicts)
    for one in accounts:
        assert one.asked == one.allowed + one.deferred + one.forbidden
        assert sum(one.in_favour_of.values()) == one.deferred + one.forbidden
        assert list(one.in_favour_of.values()) == sorted(one.in_favour_of.values(), reverse=True)


def test_weeks_begin_on_monday_utc_and_the_last_ones_are_told():
    assert (week_of(MONDAY - 1), week_of(MONDAY), week_of(MONDAY + 7 * DAY - 1)) == (
        "2026-11-16", "2026-11-23", "2026-11-23",
    )  # fmt: skip
    ledger = AttentionLedger()
    for week in (3, 0, 1):
        ledger.add(MONDAY + week * 7 * DAY, "sales", "allow", "")
    assert list(ledger.weeks(2)) == ["2026-11-30", "2026-12-14"]


@pytest.mark.parametrize(
    ("sources", "lost_to", "expected"),
    [
        (["arbitration", "principle"], "b", "marketing"),
        (["arbitration"], "odd", OTHER),
        (["principle", "degraded"], None, CUSTOMER),
        (["cap"], None, CUSTOMER),
        (["degraded", "principle"], None, CAUTION),
        (["default"], None, CAUTION),
        ([], None, CAUTION),
    ],
)
def test_a_refusal_is_in_favour_of_who_was_chosen_the_customer_or_caution(sources, lost_to, expected):
    assert favoured(sources, lost_to, {"b": "marketing", "odd": "astrology"}) == expected
