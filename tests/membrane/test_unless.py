"""`unless`: single facts whose change alone gives a weaker verdict."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.decide import decide
from membrane.decisions import About
from membrane.precedence import weaker
from membrane.settings import TenantSettings
from membrane.times import HOUR
from membrane.vocabulary import Verdict
from tests.membrane.fakes_principles import (
    NOON,
    candidate,
    contact,
    default_pack,
    principle,
    principle_set,
    request,
    view,
)

SETTINGS = TenantSettings()


def answers(principles, seen, *candidates, **fields):
    return decide(request(*(candidates or [candidate()]), **fields), seen, principles, SETTINGS, t=seen.t).verdicts


def unless(principles, seen, *candidates, **fields):
    found = answers(principles, seen, *candidates, **fields)[0].unless
    return None if found is None else [(change.fact, change.now, change.would_be) for [change] in found.any]


def test_other_values_of_an_enumeration_are_tried_but_never_the_unknown():
    found = unless(
        principle_set(principle('stage.name in ["crisis", "strained"]')), view(values={"stage.name": "crisis"})
    )
    assert found == [("stage.name", "crisis", ["recovering", "at_risk", "thriving", "steady"])]


def test_a_weaker_verdict_is_enough():
    principles = principle_set(principle('stage.name == "crisis"'), principle('stage.name != "steady"', "defer"))
    found = unless(principles, view(values={"stage.name": "crisis"}))
    assert found == [("stage.name", "crisis", ["recovering", "strained", "at_risk", "thriving", "steady"])]


@pytest.mark.parametrize(
    ("when", "values", "expected"),
    [
        ("case.open > 0", {"case.open": 3}, ("case.open", 3, [0])),
        ("case.open >= 2", {"case.open": 3}, ("case.open", 3, [1])),
        ("case.open == 3", {"case.open": 3}, ("case.open", 3, [2, 4])),
        ("case.open in [3, 5]", {"case.open": 3}, ("case.open", 3, [2, 4, 6])),
        ("stage.p_crisis > 0.4", {"stage.p_crisis": 0.7}, ("stage.p_crisis", 0.7, [0.39, 0.4])),
        ("features.contacts_7d >= 5.0", {"features.contacts_7d": 9.0}, ("features.contacts_7d", 9.0, [4.99])),
        ("profile.vulnerable", {"profile.vulnerable": True}, ("profile.vulnerable", True, [False])),
        ("!profile.has_email", {"profile.has_email": False}, ("profile.has_email", False, [True])),
    ],
)
def test_values_next_to_a_literal_and_the_other_truth_are_tried(when, values, expected):
    assert unless(principle_set(principle(when)), view(values=values)) == [expected]


def test_a_fact_compared_with_another_is_tried_next_to_that_one():
    seen = view(values={"case.open": 2, "case.waiting_on_customer": 1})
    assert unless(principle_set(principle("case.open > case.waiting_on_customer")), seen) == [
        ("case.open", 2, [0, 1]),
        ("case.waiting_on_customer", 1, [2, 3]),
    ]


def test_a_fact_that_does_not_hold_the_verdict_up_alone_is_not_named():
    principles = principle_set(*map(principle, ('stage.name == "crisis"', "case.open > 0", "profile.vulnerable")))
    held = {"stage.name": "crisis", "case.open": 1, "profile.vulnerable": True}
    assert unless(principles, view(values=held)) is None
    assert unless(principles, view(values={"stage.name": "crisis"})) is not None


def test_where_no_single_fact_is_enough_two_are_tried_together():
    principles = principle_set(principle('stage.name == "crisis"'), principle("case.open > 0"))
    seen = view(values={"stage.name": "crisis", "case.open": 1})
    found = answers(principles, seen)[0].unless
    assert [[(one.fact, one.now, one.would_be) for one in both] for both in found.any] == [
        [("case.open", 1, [0]), ("stage.name", "crisis", ["recovering"])]
    ]


def test_so_many_pairs_are_tried_and_no_more():
    others = [principle(f"features.contacts_7d < {limit}.0") for limit in range(2, 10)]
    principles = principle_set(principle("case.open > 0"), *others)
    seen = view(values={"case.open": 1, "features.contacts_7d": 1.0})
    assert unless(principles, seen) is None  # the values that would do come later than the twentieth pair
    few = principle_set(principle("case.open > 0"), *others[:2])
    assert answers(few, seen)[0].unless is not None


def test_several_facts_can_each_be_enough():
    principles = principle_set(principle('stage.name == "crisis" && case.open > 0'))
    found = unless(principles, view(values={"stage.name": "crisis", "case.open": 1}))
    assert found is not None
    assert [fact for fact, _, _ in found] == ["case.open", "stage.name"]


def test_consent_would_be_enough_where_consent_is_what_is_missing():
    seen = view(consents={("email", "marketing"): "denied"})
    assert unless(default_pack(), seen) == [("consent.state", "denied", ["granted"])]
    opt_in = decide(request(candidate()), view(), default_pack(), TenantSettings(consent="opt_in"), t=NOON)
    assert opt_in.verdicts[0].unless is not None


def test_caps_and_quiet_hours_cannot_be_changed_by_a_fact():
    cap = {"id": "cap", "domains": ["marketing"], "at_most": 1, "per": "24h"}
    assert unless(principle_set(caps=[cap]), view(contact(NOON - HOUR))) is None


def test_the_requests_own_facts_and_ages_are_left_out():
    principles = principle_set(
        principle('about.known && request.channel == "email" && stage.age > duration("1h") && case.open > 0')
    )
    asked = candidate(about=About(at="2024-01-01T00:00:00Z"))
    seen = view(values={"case.open": 1}, anchors={"stage.age": NOON - 2 * HOUR})
    assert unless(principles, seen, asked) == [("case.open", 1, [0])]


def test_what_is_allowed_or_lost_to_another_has_no_unless():
    found = answers(principle_set(), view(), candidate(id="a"), candidate(id="b"))
    assert [(one.verdict, one.unless) for one in found] == [("allow", None), ("defer", None)]


def test_a_change_that_would_only_lose_to_another_is_no_way_out():
    principles = principle_set(
        principle("case.open > 0", "defer", applies={"kinds": ["newsletter"]}),
    )
    seen = view(values={"case.open": 1})
    newsletter, upsell = candidate(kind="newsletter", id="n"), candidate(id="u", value=9.0)
    assert unless(principles, seen, newsletter, upsell) is None
    assert unless(principles, seen, newsletter, upsell, choose="none") == [("case.open", 1, [0])]


def test_explain_none_looks_for_nothing():
    found = answers(default_pack(), view(values={"stage.name": "crisis"}), explain="none")[0]
    assert (found.verdict, found.unless, found.reasons[0].facts) == ("forbid", None, {})


values = st.fixed_dictionaries(
    {
        "stage.name": st.sampled_from(["crisis", "recovering", "strained", "at_risk", "thriving", "steady"]),
        "lifecycle": st.sampled_from(["new", "active", "dormant", "closed", "unknown"]),
        "case.open": st.integers(0, 3),
        "case.waiting_on_customer": st.integers(0, 2),
        "case.open_without_eta": st.integers(0, 1),
        "case.worst_severity": st.sampled_from([1, 3, 4, 9]),
        "contact.complaints_90d": st.integers(0, 1),
        "stage.p_crisis": st.sampled_from([0.0, 0.5]),
        "profile.vulnerable": st.booleans(),
    }
)
asked = st.lists(
    st.sampled_from(
        ["marketing-upsell-phone", "marketing-newsletter-email", "sales-upgrade-email", "survey-nps-email"]
    ),
    min_size=1,
    max_size=3,
    unique=True,
)


@given(values, asked, st.sampled_from(["none", "denied", "granted"]), st.sampled_from(["per_domain", "one", "none"]))
def test_unless_really_gives_a_weaker_verdict(facts, names, consent, choose):
    candidates = [candidate(*one.split("-"), id=one) for one in names]

    def decided(known, consent):
        consents = {(one.channel, one.domain): consent for one in candidates}
        return answers(default_pack(), view(values=known, consents=consents), *candidates, choose=choose)

    for place, verdict in enumerate(decided(facts, consent)):
        for together in verdict.unless.any if verdict.unless else []:
            for values in product(*([(one.fact, value) for value in one.would_be] for one in together)):
                known = facts | dict(values)
                then = decided(known, known.pop("consent.state", consent))[place]
                assert weaker(Verdict(then.verdict), than=Verdict(verdict.verdict))
