"""The life of a principle: drafts, terms and shares of the customers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.decide import decide
from membrane.decisions import encode_answer
from membrane.engine import Rules, next_due
from membrane.errors import InvalidPrinciples
from membrane.life import Life
from membrane.record import encode
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, format_time, parse_time
from membrane.view import View
from tests.membrane.customer import Customer
from tests.membrane.fakes_principles import NOON, candidate, principle, principle_set, request, view
from tests.strategies import START, signal

SETTINGS = TenantSettings()
CALL = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case"}
MONEY = CALL | {"kind": "service_credit"}
HOURS = st.integers(-40, 40)


def verdict(principles, seen, **fields):
    return decide(request(candidate(**fields)), seen, principles, SETTINGS, t=seen.t).verdicts[0]


def life(**fields):
    return principle_set(principle("incident.active", **fields)).principles[0].life


def faults(one):
    with pytest.raises(InvalidPrinciples) as caught:
        principle_set(one)
    return str(caught.value)


def test_a_principle_lives_for_everybody_and_always_unless_its_file_says_otherwise():
    assert life() == Life()
    assert not principle_set(principle("incident.active")).principles[0].bounded


def test_dates_are_whole_days_in_utc_and_times_are_taken_to_the_millisecond():
    found = life(valid_from="2026-12-01", valid_to="2026-12-31")
    assert found.edges == (parse_time("2026-12-01T00:00:00Z"), parse_time("2027-01-01T00:00:00Z"))
    found = life(valid_from="2026-12-01T10:00:00.001+01:00", valid_to="2026-12-01T12:00:00Z")
    assert found.edges == (parse_time("2026-12-01T09:00:00.001Z"), parse_time("2026-12-01T12:00:00Z"))


def test_a_term_has_its_beginning_in_and_its_end_out():
    found = Life(valid_from=10, valid_to=20)
    assert [t for t in range(8, 23) if found.counts("p", ("default", "c-1"), t)] == list(range(10, 20))


@pytest.mark.parametrize("status", ["draft", "shadow", "retired"])
def test_what_is_not_live_leaves_no_trace_in_an_answer(status):
    apart = principle("case.open > 0", "forbid", status=status)
    owing = principle("case.open > 0", "require", obligation=CALL, status=status)
    manner = principle("case.open > 0", "modify", set={"tone": "calm"}, status=status)
    kept = principle('stage.name == "crisis"', "defer")
    seen = view(values={"case.open": 1, "stage.name": "crisis"})
    asked = request(candidate(), candidate("service", "agent_call"), explain="full")
    answers = [
        encode_answer(decide(asked, seen, principle_set(kept, *more), SETTINGS, t=NOON))
        for more in ((), (apart, owing, manner))
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("status", ["draft", "shadow", "retired"])
def test_what_is_not_live_makes_nothing_owed(status):
    customer = Customer(Rules(principle_set(principle("case.open > 0", "require", obligation=CALL, status=status))))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tick(START + 10 * DAY)
    assert customer.record.obligations == []


def test_what_is_owed_is_met_as_its_principle_says_after_it_has_retired():
    def rules(status):
        promise = CALL | {"met_by": ["upsell"]}
        return Rules(principle_set(principle("case.open > 0", "require", obligation=promise, status=status)))

    customer = Customer(rules("live"))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.rules = rules("retired")
    (met,) = customer.tell("contact.made", START + HOUR, domain="sales", kind="upsell", channel="email")
    assert (met.kind, customer.record.obligations[0].closed_at) == ("obligation", START + HOUR)


# ---- terms: time alone begins and ends them ------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.tuples(HOURS, HOURS), min_size=1, max_size=4), st.sampled_from(["forbid", "defer"]))
def test_until_is_the_first_flip_of_principles_that_begin_and_end(terms, effect):
    principles = principle_set(
        *(
            principle(
                "case.open > 0",
                effect if place % 2 else "defer",
                valid_from=format_time(NOON + min(term) * HOUR),
                valid_to=format_time(NOON + (max(term) + 1) * HOUR),
            )
            for place, term in enumerate(terms)
        )
    )
    seen = view(values={"case.open": 1})
    first = verdict(principles, seen)
    flip = parse_time(first.until) if first.until else NOON + 50 * HOUR
    for t in range(NOON, flip, HOUR):
        assert verdict(principles, seen.at(t)).verdict == first.verdict
    assert verdict(principles, seen.at(flip - 1)).verdict == first.verdict
    if first.until:
        assert verdict(principles, seen.at(flip)).verdict != first.verdict


def test_an_answer_is_valid_until_a_principle_begins_that_would_only_change_the_manner():
    begins = format_time(NOON + DAY)
    principles = principle_set(principle("case.open > 0", "modify", set={"tone": "calm"}, valid_from=begins))
    seen = view(values={"case.open": 1})
    answer = decide(request(candidate()), seen, principles, SETTINGS, t=NOON)
    assert (answer.valid_until, answer.verdicts[0].modifications) == (begins, [])
    assert len(verdict(principles, seen.at(NOON + DAY)).modifications) == 1


def test_facts_are_no_way_round_a_principle_that_does_not_count_yet():
    later = principle('stage.name in ["crisis", "strained"]', valid_from=format_time(NOON + DAY))
    now = principle('stage.name == "crisis"')
    found = verdict(principle_set(now, later), view(values={"stage.name": "crisis"}))
    assert "strained" in found.unless.any[0][0].would_be
    assert [reason.id for reason in found.reasons] == ["forbid-it-0"]


def owing(**fields):
    return Rules(principle_set(principle("case.open > 0", "require", obligation=CALL, **fields)))


def test_what_already_holds_is_owed_from_the_moment_its_principle_begins():
    customer = Customer(owing(valid_from=format_time(START + 3 * DAY)))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    assert next_due(customer.record, customer.rules, START + 2 * DAY) == START + 3 * DAY
    assert [one.kind for one in customer.tick(START + 10 * DAY)] == ["stage", "obligation", "obligation"]
    (owed,) = customer.record.obligations
    assert (owed.opened_at, owed.due) == (START + 3 * DAY, START + 3 * DAY + 4 * HOUR)


def test_a_late_signal_makes_nothing_owed_for_a_time_before_its_principle():
    begins = START + 3 * DAY
    customer = Customer(owing(valid_from=format_time(begins)))
    customer.tell("order.placed", START + 5 * DAY)
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tick(START + 6 * DAY)
    assert [one.opened_at for one in customer.record.obligations] == [begins]


def test_nothing_new_is_owed_once_a_principle_has_ended_and_what_is_owed_stays():
    customer = Customer(owing(valid_to=format_time(START + DAY)))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tell("case.opened", START + DAY, case="B", category="net", severity=3)
    assert [one.about for one in customer.record.obligations] == ["A"]


@settings(max_examples=50)
@given(st.tuples(st.integers(0, 200), st.integers(0, 200)), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_ticks_of_any_size_and_a_decision_say_the_same_of_a_term(term, steps):
    rules = owing(
        valid_from=format_time(START + min(term) * HOUR), valid_to=format_time(START + (max(term) + 1) * HOUR)
    )
    small, great = Customer(rules), Customer(rules)
    for customer in (small, great):
        customer.tell("case.opened", START, case="A", category="net", severity=3)
        customer.tell("case.opened", START - DAY, case="B", category="net", severity=3)
        customer.tick(START)
    t = START
    for step in steps:
        t += step * HOUR
        small.tick(t)
    foreseen = View(great.record, t, rules).record
    great.tick(t)
    assert small.record.obligations == great.record.obligations
    assert encode(foreseen) == encode(great.record)


# ---- shares of the customers ---------------------------------------------------------------------------------------


@given(st.integers(1, 100), st.integers(1, 100), st.text(min_size=1), st.text(min_size=1))
def test_a_greater_share_only_adds_customers(a, b, tenant, customer):
    small, great = sorted((a, b))
    reached = [Life(rollout=percent).counts("p", (tenant, customer), 0) for percent in (small, great, 100)]
    assert reached == sorted(reached)


def test_a_share_reaches_that_many_customers_and_every_principle_its_own():
    reached = {
        name: {number for number in range(5000) if Life(rollout=30).counts(name, ("t", f"c-{number}"), 0)}
        for name in ("a", "b")
    }
    assert all(abs(len(one) / 5000 - 0.3) < 0.03 for one in reached.values())
    assert abs(len(reached["a"] & reached["b"]) / 5000 - 0.09) < 0.03


def test_whom_a_share_reaches_is_the_same_in_every_version():
    reached = [number for number in range(20) if Life(rollout=40).counts("p", ("default", f"c-{number}"), 0)]
    assert reached == REACHED


REACHED = [0, 2, 4, 5, 6, 7, 8, 9, 12, 16, 19]


def test_a_share_decides_for_customers_in_decisions_and_in_what_is_owed():
    half = principle_set(
        principle("case.open > 0", rollout="50%"), principle("case.open > 0", "require", obligation=CALL, rollout="50%")
    )
    forbidden, owed = set(), set()
    for number in range(40):
        name = f"c-{number}"
        seen = view(values={"case.open": 1})
        seen.who = ("default", name)
        if verdict(half, seen).verdict == "forbid":
            forbidden.add(name)
        customer = Customer(Rules(half))
        customer.hear(signal(1, "case.opened", START, {"case": "A", "category": "net", "severity": 3}, customer=name))
        owed |= {name} if customer.record.obligations else set()
    blocks, requires = half.principles
    assert forbidden == {f"c-{n}" for n in range(40) if blocks.counts(("default", f"c-{n}"), 0)}
    assert owed == {f"c-{n}" for n in range(40) if requires.counts(("default", f"c-{n}"), 0)}
    assert 0 < len(forbidden) < 40 > len(owed) > 0


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"status": "alive"}, "status: must be one of draft, shadow, live, retired; came 'alive'"),
        ({"valid_from": "tomorrow"}, "valid_from: must be a date such as 2026-12-01, or an RFC 3339 time"),
        ({"valid_from": "2026-02-30"}, "valid_from: must be a date"),
        ({"valid_to": "2026-12-01T10:00:00"}, "valid_to: must be a date"),
        ({"valid_to": 20261201}, "valid_to: must be a date such as 2026-12-01, or an RFC 3339 time, came '20261201'"),
        ({"valid_from": "2026-12-02", "valid_to": "2026-12-01"}, "valid_to: must be later than valid_from"),
        ({"review_by": "2026-12-01T10:00:00Z"}, "review_by: must be a date such as 2026-12-01"),
        ({"approved_by": ""}, "approved_by: must be a text, came an empty text"),
        ({"rollout": "0%"}, "rollout: must be a share of the customers from 1% to 100%"),
        ({"rollout": "101%"}, "rollout: must be a share"),
        ({"rollout": 90}, "rollout: must be a share"),
        ({"rollout": "90%", "owner": "legal"}, "rollout: a principle of legal counts for every customer"),
        (
            {"rollout": "90%", "effect": "modify", "set": {"tone": "calm"}, "applies": {"domains": ["legal"]}},
            "rollout: reaches legal and safety notices",
        ),
        (
            {"rollout": "90%", "effect": "require", "obligation": MONEY},
            "rollout: what costs money ('service_credit') is owed to every customer",
        ),
    ],
)
def test_a_fault_of_a_life_is_told(fields, problem):
    assert problem in faults(principle("incident.active") | fields)


def test_a_guarantee_has_no_life():
    guarantee = {"id": "g", "text": {"es": "x", "en": "x"}, "domains": ["billing"], "rollout": "90%"}
    with pytest.raises(InvalidPrinciples, match=r"guarantees\[0\].rollout: unknown field"):
        principle_set(guarantees=[guarantee])
