"""The customers that are tried stand for all: whatever can come out of a condition comes out for one of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from membrane.given import Given
from membrane.lint.customers import MOST_OF_A_SPACE, Search, space_of
from membrane.lint.plausible import plausible
from membrane.principle_tests import given_form
from membrane.stages import CRISIS_RECURRENCES, RECOVERING_FOR
from membrane.times import HOUR
from membrane.vocabulary import CASE_STATUSES
from tests.membrane.lint.drafts import default_draft, draft, only, rule

NUMBERS = {
    "case.open": st.integers(0, 9).map(str),
    "case.waiting_on_customer": st.integers(0, 9).map(str),
    "case.eta_missed": st.integers(0, 9).map(str),
    "problem.recurrences": st.integers(0, 9).map(str),
    "stage.p_crisis": st.integers(0, 10).map(lambda tenths: f"{tenths / 10}"),
    "features.contacts_in_7d": st.integers(0, 18).map(lambda halves: f"{halves / 2}"),
    "features.tone_mean_7d": st.integers(-9, 9).map(lambda tenths: f"{tenths / 10}"),
    "stage.age": st.integers(0, 400).map(lambda hours: f'duration("{hours}h")'),
    "episode.age": st.integers(0, 400).map(lambda hours: f'duration("{hours}h")'),
}
operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
atoms = st.sampled_from(sorted(NUMBERS)).flatmap(
    lambda name: st.builds("{} {} {}".format, st.just(name), operators, NUMBERS[name])
)
words = st.sampled_from(
    [
        'stage.name == "crisis"',
        'stage.name != "recovering"',
        'lifecycle in ["dormant", "unknown"]',
        "risk.relapse",
        "case.open > case.waiting_on_customer",
    ]
)
conditions = st.lists(atoms | words, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from([" && ".join(parts), " || ".join(parts), f"!({' && '.join(parts)})"])
)


def mended(values: dict[str, Any]) -> dict[str, Any]:
    """Facts that go together."""
    count = values["case.open"]
    values["case.waiting_on_customer"] = min(values["case.waiting_on_customer"], count)
    values["case.eta_missed"] = min(values["case.eta_missed"], count - values["case.waiting_on_customer"])
    values["problem.recurrences"] *= count > 0
    if values["problem.recurrences"] >= CRISIS_RECURRENCES:
        values["stage.name"] = "crisis"
    if values["stage.name"] == "crisis":
        values["stage.p_crisis"] = 1.0
    if values["stage.name"] == "recovering":
        values["stage.age"] %= RECOVERING_FOR
    in_episode = values["stage.name"] in {"crisis", "recovering"}
    values["episode.age"] = max(values["episode.age"], values["stage.age"]) if in_episode else 0
    if values["stage.name"] == "crisis" or count:
        values["lifecycle"] = values["lifecycle"].replace("dormant", "active")
    assert plausible(values)
    return values


never_seen = {
    **dict.fromkeys(NUMBERS, 0),
    "stage.p_crisis": 0.0,
    "features.contacts_in_7d": 0.0,
    "features.tone_mean_7d": 0.0,
    "stage.name": "none",
    "lifecycle": "unknown",
    "risk.relapse": False,
}
customers = st.fixed_dictionaries(
    {
        "case.open": st.integers(0, 12),
        "case.waiting_on_customer": st.integers(0, 24),
        "case.eta_missed": st.integers(0, 24),
        "problem.recurrences": st.integers(0, 8),
        "stage.p_crisis": st.floats(0, 1),
        "features.contacts_in_7d": st.integers(0, 12).map(float),
        "features.tone_mean_7d": st.floats(-1, 1),
        "stage.age": st.integers(0, 500 * HOUR),
        "episode.age": st.integers(0, 500 * HOUR),
        "stage.name": st.sampled_from(["crisis", "recovering", "strained", "steady"]),
        "lifecycle": st.sampled_from(["active", "new", "dormant", "closed"]),
        "risk.relapse": st.booleans(),
    }
).map(mended) | st.just(never_seen)


@given(conditions, customers)
def test_what_a_condition_says_of_anybody_it_says_of_one_who_is_tried(when, values):
    principle = only(when)
    space = space_of([principle])
    said = principle.condition.evaluate(Given(values))
    assert not space.exact or Search().first(space, lambda customer: principle.condition.evaluate(customer) is said)


@given(st.lists(conditions, min_size=2, max_size=2), customers)
def test_what_two_conditions_say_together_they_say_of_one_who_is_tried(pair, values):
    one, other = (only(when).condition.evaluate for when in pair)
    space = space_of([only(when) for when in pair])
    said = (one(Given(values)), other(Given(values)))
    assert not space.exact or Search().first(space, lambda customer: (one(customer), other(customer)) == said)


def test_everybody_who_is_tried_can_be_and_can_be_written_down():
    for principle in default_draft().principles.principles:
        for customer in space_of([principle]):
            assert plausible(customer.values)
            given = given_form(customer)
            again = draft(rule("true", tests=[{"given": given, "matches": True}]))
            assert (again.faults, again.principles.principles[0].tests[0].given) == ([], customer)


def test_open_cases_are_made_of_the_literals_and_agree_with_the_facts_about_them():
    space = space_of([only('case.open > 1 && cases.exists(c, c.severity == 2 && c.age > duration("48h"))')])
    assert not space.exact
    assert all(customer.get("case.open") == len(customer.open_cases) for customer in space)
    kinds = {(case.severity, case.age_ms) for customer in space for case in customer.open_cases}
    assert (2, 49 * HOUR) in kinds


def test_cases_of_every_kind_that_a_condition_tells_apart_are_tried():
    fields = 'c.category == "net" && c.has_eta && c.status == "open" && c.recurrences > 2 && c.product != "T1"'
    found = space_of([only(f"cases.exists(c, {fields})")])
    cases = [case for one in found for case in one.open_cases]
    assert {(case.category, case.has_eta) for case in cases} == {
        (name, so) for name in ("net", "unknown") for so in (True, False)
    }
    assert {case.status for case in cases} == set(CASE_STATUSES)
    assert {case.product for case in cases} == {"", "T1"}
    assert {2, 3} <= {case.recurrences for case in cases}


def test_of_too_many_an_even_share_is_tried():
    facts = " && ".join(
        f"features.in_{channel}_30d > 3.0" for channel in ("email", "sms", "phone", "web", "chat", "app")
    )
    space = space_of([only(f"{facts} && case.open > 1 && problem.recurrences > 2")])
    tried = list(space)
    assert not space.exact
    assert len(tried) <= MOST_OF_A_SPACE
    assert {customer.get("features.in_email_30d") for customer in tried} == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_a_search_stops_where_there_is_no_room_and_says_so():
    search = Search(most=3)
    space = space_of([only("case.open > 9")])
    assert search.first(space, lambda customer: customer.get("case.open") == 8) is not None
    assert not search.none(space, lambda customer: customer.get("case.open") > 24)
    assert (search.tried, search.complete) == (3, False)
