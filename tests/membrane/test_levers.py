"""Levers: what a domain's or a kind's candidates count for in arbitration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.arbitration import score
from membrane.decide import decide
from membrane.errors import InvalidPrinciples
from membrane.levers import COMPETING, LEAST, MOST, factor
from membrane.settings import TenantSettings
from tests.membrane.fakes_principles import NOON, candidate, principle_set, request, view

percents = st.integers(LEAST, MOST)


def asked(principles, *candidates, **fields):
    return decide(request(*candidates, **fields), view(), principles, TenantSettings(), t=NOON)


def test_a_lever_of_55_percent_multiplies_by_1_55():
    assert factor({("sales", ""): 55}, "sales", "renewal") == 1.55
    assert factor({}, "sales", "renewal") == 1.0
    assert factor({("sales", "renewal"): -100}, "sales", "renewal") == 0.0


@given(percents, percents)
def test_the_lever_of_a_kind_goes_before_that_of_its_domain(kind, domain):
    levers = {("sales", "renewal"): kind, ("sales", ""): domain}
    assert factor(levers, "sales", "renewal") == (100 + kind) / 100
    assert factor(levers, "sales", "upgrade") == factor(levers, "sales", "unheard-of") == (100 + domain) / 100
    assert factor(levers, "marketing", "upsell") == 1.0


def test_the_score_is_propensity_times_value_times_context_times_lever():
    assert score(0.5, 10.0, 2.0, 1.55) == 15.5
    assert score(None, None, None, 0.8) == 0.8


def test_a_lever_turns_a_choice_and_the_loser_hears_by_which_scores_in_full():
    two = candidate(id="a", value=10.0), candidate(kind="referral", id="b", value=7.0, context=1.2)
    assert asked(principle_set(), *two).choice == ["a"]
    pushed = principle_set(levers=[{"domain": "marketing", "kind": "referral", "percent": 55}])
    answer = asked(pushed, *two, explain="full")
    assert answer.choice == ["b"]
    (reason,) = answer.verdicts[0].reasons
    assert (reason.source, reason.facts) == (
        "arbitration",
        {"lost_to": "b", "score": 10.0, "lost_to_score": 13.02, "lost_to_owed": False},
    )
    (short,) = asked(pushed, *two).verdicts[0].reasons
    assert short.facts == {"lost_to": "b"}


def test_only_what_persuades_competes():
    assert set(COMPETING) == {"marketing", "sales"}


@pytest.mark.parametrize(
    ("lever", "problem"),
    [
        ({"domain": "service", "percent": 5}, "levers[0].domain: must be one of marketing, sales; came 'service'"),
        ({"domain": "sales", "kind": "newsletter", "percent": 5}, "levers[0].kind: must be one of upsell"),
        ({"domain": "sales", "percent": 5.5}, "levers[0].percent: must be a whole number from -100 to 900"),
        ({"domain": "sales", "percent": -101}, "levers[0].percent: must be a whole number from -100 to 900"),
        ({"domain": "sales"}, "levers[0]: misses the field 'percent'"),
        ({"domain": "sales", "percent": 5, "weight": 2}, "levers[0].weight: unknown field"),
    ],
)
def test_a_fault_of_a_lever_is_told(lever, problem):
    with pytest.raises(InvalidPrinciples) as caught:
        principle_set(levers=[lever])
    assert problem in str(caught.value)


def test_two_levers_for_the_same_are_a_fault():
    lever = {"domain": "sales", "kind": "renewal", "percent": 5}
    with pytest.raises(InvalidPrinciples, match=r"levers\[1\]: sales/renewal has a lever in this file already"):
        principle_set(levers=[lever, lever])
