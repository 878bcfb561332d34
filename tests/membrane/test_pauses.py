"""Pauses of domains and principles, and customers left in peace."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from membrane.decide import decide
from membrane.decisions import encode_answer
from membrane.engine import Rules, next_due
from membrane.pauses import PAUSABLE, Pause, named
from membrane.record import encode
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, format_time, parse_time
from membrane.view import View
from membrane.vocabulary import KINDS
from tests.membrane.customer import Customer
from tests.membrane.fakes_principles import NOON, TEXT, candidate, principle, principle_set, request, view
from tests.strategies import START

CALL = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case"}
PROBLEM = {"case.open": 1}


def pause(what="domain", name="marketing", since=NOON, until=NOON + DAY):
    return Pause(f"p-{what}-{name}-{since}-{until}", "default", what, name, since, until, "ana", "outage")


def seen(*pauses, t=NOON, **parts):
    found = view(t=t, **parts)
    found.pauses = pauses
    return found


def answer(principles, looked, *candidates, **fields):
    asked = request(*(candidates or [candidate()]), **fields)
    return decide(asked, looked, principles, TenantSettings(), t=looked.t)


def verdicts(*args, **fields):
    return [one.verdict for one in answer(*args, **fields).verdicts]


def test_a_paused_domain_waits_until_the_end_with_who_and_why():
    found = answer(principle_set(), seen(pause()), candidate(), candidate("sales"), language="es")
    waits, goes = found.verdicts
    assert (waits.verdict, waits.until, goes.verdict) == ("defer", format_time(NOON + DAY), "allow")
    (reason,) = waits.reasons
    assert (reason.source, reason.text) == ("pause", "Los mensajes de este departamento están en pausa.")
    assert reason.facts == {"by": "ana", "why": "outage", "until": format_time(NOON + DAY)}
    assert json.loads(encode_answer(found))["pauses"] == [
        {"pause": pause().id, "what": "domain", "name": "marketing", "by": "ana", "why": "outage",
         "until": format_time(NOON + DAY)}
    ]  # fmt: skip


def test_what_no_pause_touches_has_nothing_of_it_in_the_answer():
    for looked in (seen(), seen(pause(until=NOON)), seen(pause(since=NOON + 1)), seen(pause(name="billing"))):
        assert answer(principle_set(), looked).pauses is UNSET
    assert "pauses" not in json.loads(encode_answer(answer(principle_set(), seen())))


def test_help_and_duty_are_never_paused_nor_what_a_customer_comes_in_for():
    assert set(PAUSABLE) == {"marketing", "sales", "survey", "billing"}
    for domain in KINDS:
        kinds = [kind for some in KINDS[domain].values() for kind in some]
        asked = [candidate(domain, kind, "letter", id=kind) for kind in kinds]
        expected = "defer" if domain in PAUSABLE else "allow"
        assert set(verdicts(principle_set(), seen(pause(name=domain)), *asked, choose="none")) == {expected}
    coming_in = candidate(direction="inbound")
    assert verdicts(principle_set(), seen(pause()), coming_in) == ["allow"]


def test_guarantees_are_never_paused():
    bills = {"id": "bills", "domains": ["billing"], "text": TEXT}
    looked = seen(pause(name="billing"), pause("principle", "bills"))
    found = answer(principle_set(guarantees=[bills]), looked, candidate("billing", "invoice"))
    assert (found.verdicts[0].verdict, found.pauses) == ("allow", UNSET)


def test_a_customer_left_in_peace_is_neither_persuaded_nor_asked():
    asked = [candidate(), candidate("sales"), candidate("survey", "nps"), candidate("service"), candidate("billing")]
    found = answer(principle_set(), seen(pause("customer", "c-1")), *asked)
    assert [one.verdict for one in found.verdicts] == ["defer", "defer", "defer", "allow", "allow"]
    assert found.verdicts[0].reasons[0].text == "This customer is left in peace for now."


def test_a_paused_principle_says_nothing_and_the_answer_says_so():
    principles = principle_set(principle("case.open > 0"), principle("case.open > 0", "modify", set={"tone": "calm"}))
    paused = seen(pause("principle", "forbid-it-0"), values=PROBLEM)
    found = answer(principles, paused, explain="full")
    assert (found.verdicts[0].verdict, found.verdicts[0].until) == ("allow", format_time(NOON + DAY))
    assert [one.id for one in found.verdicts[0].evaluated] == ["modify-it-1"]
    assert [(one.what, one.name) for one in found.pauses] == [("principle", "forbid-it-0")]
    assert answer(principles, seen(pause("principle", "modify-it-1"), values={})).pauses is not UNSET
    assert answer(principles, paused, candidate("service")).pauses is UNSET


def test_what_is_locked_cannot_be_paused():
    principles = principle_set(
        principle("case.open > 0", locked=True), principle("case.open > 0", "require", obligation=CALL, locked=True)
    )
    assert verdicts(principles, seen(pause("principle", "forbid-it-0"), values=PROBLEM)) == ["forbid"]
    customer = Customer(Rules(principles, pauses=(pause("principle", "require-it-1", START - DAY, START + DAY),)))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    assert len(customer.record.obligations) == 1


def test_a_pause_is_stronger_than_an_allow_and_weaker_than_a_forbid():
    principles = principle_set(principle("case.open > 0"))
    assert verdicts(principles, seen(pause(), values=PROBLEM)) == ["forbid"]
    assert answer(principles, seen(pause())).verdicts[0].unless is None


@given(st.lists(st.tuples(st.sampled_from(["domain", "customer"]), st.integers(NOON, NOON + 2)), max_size=8))
def test_each_beginning_has_an_id_of_its_own_which_the_same_history_gives_again(begun):
    def history():
        known = []
        for what, since in begun:
            known.append(named(pause(what, since=since), known))
        return known

    ids = [one.id for one in history()]
    assert len(set(ids)) == len(begun)
    assert [one.id for one in history()] == ids


PAUSES = st.lists(
    st.tuples(
        st.sampled_from([("domain", "marketing"), ("customer", "c-1"), ("principle", "forbid-it-0")]),
        st.integers(-30, 40),
        st.integers(1, 40),
    ),
    max_size=4,
)


@settings(max_examples=80)
@given(PAUSES, st.booleans())
def test_until_is_the_first_flip_of_pauses(given_pauses, problem):
    pauses = [pause(*what, NOON + at * HOUR, NOON + (at + long) * HOUR) for what, at, long in given_pauses]
    principles = principle_set(principle("case.open > 0"))
    looked = seen(*pauses, values=PROBLEM if problem else {})
    first = answer(principles, looked).verdicts[0]
    flip = parse_time(first.until) if first.until else NOON + 100 * HOUR
    for t in (*range(NOON, flip, HOUR), flip - 1):
        assert verdicts(principles, looked.at(t)) == [first.verdict]
    if first.until:
        assert verdicts(principles, looked.at(flip)) != [first.verdict]


# ---- what is owed --------------------------------------------------------------------------------------------------


def owing(*pauses):
    return Rules(principle_set(principle("case.open > 0", "require", obligation=CALL)), pauses=pauses)


def test_nothing_is_owed_while_its_principle_is_paused_and_what_still_holds_is_from_the_end_on():
    customer = Customer(owing(pause("principle", "require-it-0", START - HOUR, START + 3 * DAY)))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tell("case.opened", START + HOUR, case="B", category="net", severity=3)
    customer.tell("case.resolved", START + 2 * HOUR, case="B")
    assert customer.record.obligations == []
    assert next_due(customer.record, customer.rules, START + 2 * DAY) == START + 3 * DAY
    customer.tick(START + 9 * DAY)
    assert [(one.about, one.opened_at) for one in customer.record.obligations] == [("A", START + 3 * DAY)]


def test_a_late_signal_from_a_pause_makes_something_owed_from_its_end_on():
    customer = Customer(owing(pause("principle", "require-it-0", START - HOUR, START + 3 * DAY)))
    customer.tell("order.placed", START + 5 * DAY)
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    customer.tick(START + 6 * DAY)
    assert [one.opened_at for one in customer.record.obligations] == [START + 3 * DAY]


def test_pauses_of_other_things_change_nothing_that_is_owed():
    customer = Customer(owing(pause("domain", "service", START - DAY, START + DAY), pause("customer", "c-1")))
    customer.tell("case.opened", START, case="A", category="net", severity=3)
    assert len(customer.record.obligations) == 1


@settings(max_examples=50)
@given(st.integers(-20, 100), st.integers(1, 100), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_ticks_of_any_size_and_a_decision_say_the_same_of_a_pause(at, long, steps):
    rules = owing(pause("principle", "require-it-0", START + at * HOUR, START + (at + long) * HOUR))
    small, great = Customer(rules), Customer(rules)
    for customer in (small, great):
        customer.tell("case.opened", START, case="A", category="net", severity=3)
        customer.tick(START)
    t = START
    for step in steps:
        t += step * HOUR
        small.tick(t)
    foreseen = View(great.record, t, rules).record
    great.tick(t)
    assert small.record.obligations == great.record.obligations
    assert encode(foreseen) == encode(great.record)


@pytest.mark.parametrize("what", ["domain", "customer"])
def test_a_pause_that_is_still_to_come_is_told_as_until(what):
    later = pause(what, "marketing" if what == "domain" else "c-1", NOON + HOUR)
    assert answer(principle_set(), seen(later)).verdicts[0].until == format_time(NOON + HOUR)
