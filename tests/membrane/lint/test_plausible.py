"""Which facts go together: no customer there can be is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from membrane.dictionary import FACTS
from membrane.facts import About, RecordFacts
from membrane.lint.plausible import completed, plausible
from membrane.record import Record
from membrane.settings import TenantSettings
from membrane.times import DAY
from tests.membrane.customer import Customer
from tests.strategies import START, signals


def all_facts(record: Record | None, t: int) -> dict[str, object]:
    facts = RecordFacts(record, t, TenantSettings(), About("email", "granted", known=True, ended_at=t - DAY))
    return {fact.name: facts.get(fact.name) for fact in FACTS}


@given(signals(max_size=25), st.integers(0, 60))
def test_whatever_has_happened_to_a_customer_is_plausible(told, days):
    customer = Customer()
    clock = 0
    for item in told:
        customer.hear(item)
        clock = max(clock, item.time)
        waiting = bool(customer.record.overdue)  # what a late signal made due waits for the tick
        assert plausible(all_facts(customer.record, customer.record.clock), ages=not waiting)
    customer.tick(max(clock, START) + days * DAY)
    assert plausible(all_facts(customer.record, customer.record.clock))


def test_of_somebody_never_seen_nothing_is_known():
    facts = all_facts(None, START)
    assert plausible(facts)
    assert not plausible({**facts, "case.open": 1})
    assert not plausible({**facts, "stage.age": DAY})
    assert plausible({**facts, "stage.age": DAY}, ages=False)
    assert not plausible({"lifecycle": "unknown", "stage.name": "steady"})


def test_what_is_not_named_breaks_no_law():
    assert plausible({})
    assert plausible({"case.eta_missed": 3})
    assert not plausible({"case.eta_missed": 3, "case.open": 2})


@given(st.sampled_from(["case.open", "case.eta_missed", "problem.recurrences", "case.open_billing"]), st.integers(0, 8))
def test_what_facts_imply_is_plausible_and_leaves_them_as_they_are(name, count):
    whole = completed({name: count})
    assert plausible(whole)
    assert whole[name] == count


def test_a_worst_case_is_a_crisis():
    assert completed({"case.worst_severity": 1})["stage.name"] == "crisis"
    assert not plausible({"case.worst_severity": 1, "stage.name": "steady"})
    assert not plausible({"problem.recurrences": 4, "stage.name": "strained"})
