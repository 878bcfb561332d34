"""Contacts, their answers and consents: the same in whatever order they arrive."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.contacts import (
    KEPT_ANSWERS,
    KEPT_CONTACTS,
    KEPT_KIND,
    brief,
    consent_key,
    set_consent,
    told_id,
)
from membrane.record import State
from membrane.scope import ALL_KINDS
from membrane.times import HOUR
from membrane.vocabulary import CHANNEL_INDEX, DOMAIN_INDEX, OUTCOMES
from tests.membrane.customer import Customer
from tests.membrane.windows import total
from tests.strategies import START

SMS_MARKETING = consent_key(CHANNEL_INDEX["sms"], DOMAIN_INDEX["marketing"])
MADE = {"domain": "marketing", "kind": "newsletter", "channel": "sms", "contact": "k"}
Told = tuple[str, int, dict[str, Any]]


def told(*items: Told) -> State:
    """The state after that history, the same in every order of arrival."""
    states = []
    for order in permutations(items):
        customer = Customer()
        for kind, t, data in order:
            customer.tell(kind, t, **data)
        states.append(customer.state)
    assert all(
        (state.contacts, state.answers, state.consents) == (states[0].contacts, states[0].answers, states[0].consents)
        for state in states
    )
    return states[0]


def answered(t: int, outcome: str) -> Told:
    return "contact.answered", t, {"contact": "k", "outcome": outcome}


def test_the_latest_answer_counts() -> None:
    state = told(("contact.made", START, MADE), answered(START + 1, "opened"), answered(START + 2, "ignored"))
    (contact,) = state.contacts
    assert (OUTCOMES[contact.outcome], contact.outcome_at, contact.made_at) == ("ignored", START + 2, START)


def test_the_same_id_at_two_times_is_two_contacts_and_an_answer_goes_to_both() -> None:
    state = told(("contact.made", START, MADE), ("contact.made", START + HOUR, MADE), answered(START + 1, "clicked"))
    assert [(c.made_at, OUTCOMES[c.outcome]) for c in state.contacts] == [
        (START, "clicked"),
        (START + HOUR, "clicked"),
    ]


def test_a_contact_told_twice_is_one() -> None:
    assert len(told(("contact.made", START, MADE), ("contact.made", START, MADE)).contacts) == 1


def test_a_contact_without_an_id_takes_that_of_its_signal() -> None:
    unnamed = {name: value for name, value in MADE.items() if name != "contact"}
    customer = Customer()
    for n in range(2):
        customer.tell("contact.made", START + n, **unnamed)
    assert [contact.contact for contact in customer.state.contacts] == ["~1", "~2"]


@pytest.mark.parametrize("outcome", ["unsubscribed", "complained"])
def test_an_opt_out_holds_for_the_channel_and_domain_of_its_contact_alone(outcome: str) -> None:
    state = told(
        ("contact.made", START, MADE),
        ("contact.made", START, MADE | {"contact": "other", "channel": "email"}),
        answered(START + 1, outcome),
        answered(START + 2, "opened"),
    )
    assert state.consents == {SMS_MARKETING: (START + 1, False)}
    assert bool(state.complained_at) is (outcome == "complained")


def test_an_answer_whose_contact_never_comes_changes_no_consent() -> None:
    state = told(answered(START, "unsubscribed"))
    assert (state.consents, state.contacts, len(state.answers)) == ({}, [], 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1))
def test_the_latest_word_on_a_consent_counts_and_a_refusal_wins_a_tie(words: list[tuple[int, bool]]) -> None:
    state = State()
    for t, granted in words:
        set_consent(state, 1, 0, granted, t)
    last = max(t for t, _ in words)
    assert state.consents == {consent_key(1, 0): (last, all(granted for t, granted in words if t == last))}


def test_a_consent_given_later_ends_an_opt_out() -> None:
    granted = ("consent.changed", START + 2, {"channel": "sms", "domain": "marketing", "granted": True})
    state = told(("contact.made", START, MADE), answered(START + 1, "unsubscribed"), granted)
    assert state.consents == {SMS_MARKETING: (START + 2, True)}


def test_contacts_count_by_channel_and_by_domain_and_answers_by_what_they_say() -> None:
    state = told(("contact.made", START, MADE), answered(START, "converted"), answered(START, "complained"))
    sums = {name: total(state, START, "30d", name) for name in ("out", "out_sms", "out_marketing", "out_email")}
    assert sums == {"out": 1, "out_sms": 1, "out_marketing": 1, "out_email": 0}
    assert [total(state, START, "30d", name) for name in ("answers_positive", "answers_ignored", "opt_outs")] == [
        1,
        0,
        1,
    ]


def test_a_service_contact_is_remembered_by_its_latest_time() -> None:
    call = {"domain": "service", "kind": "agent_call", "channel": "phone", "contact": "k"}
    assert told(("contact.made", START + 1, call), ("contact.made", START, call)).service_contact_at == START + 1
    assert told(("contact.made", START, MADE)).service_contact_at == 0


def test_two_ways_to_tell_one_contact_are_two_contacts() -> None:
    other = MADE | {"channel": "email"}
    state = told(("contact.made", START, MADE), ("contact.made", START, other), answered(START + 1, "unsubscribed"))
    assert (len(state.contacts), len(state.consents)) == (2, 2)


def test_the_latest_made_are_kept_whatever_their_ids_and_answers() -> None:
    customer = Customer()
    for n in range(KEPT_CONTACTS + 8):
        long = {"contact": f"{n:0128}", "permit": "p" * 128, "kind": "k" * 128}
        customer.tell("contact.made", START + n, **MADE | long)
        customer.tell("contact.answered", START + n, contact=f"{0:0128}", outcome="opened")
    assert [c.made_at for c in customer.state.contacts] == [START + n for n in range(8, KEPT_CONTACTS + 8)]
    assert all(len(c.contact) <= 16 and len(c.kind) == KEPT_KIND for c in customer.state.contacts)
    assert max(map(len, ALL_KINDS)) < KEPT_KIND


@given(st.permutations(range(KEPT_CONTACTS + 8)))
def test_what_is_kept_and_what_is_said_of_the_lost_do_not_show_the_order(order: list[int]) -> None:
    customer = Customer()
    for n in order:
        domain = ("marketing", "service", "legal")[n % 3]
        customer.tell("contact.made", START + n, **MADE | {"contact": f"k{n}", "domain": domain})
    state = customer.state
    assert [c.made_at for c in state.contacts] == [START + n for n in range(8, KEPT_CONTACTS + 8)]
    assert state.contacts_lost == {DOMAIN_INDEX[name]: START + n for name, n in LAST_LOST}
    assert state.overflow == 8


LAST_LOST = (("marketing", 6), ("service", 7), ("legal", 5))


def test_answers_without_their_contact_are_bounded_apart() -> None:
    customer = Customer()
    customer.tell("contact.made", START, **MADE)
    for n in range(KEPT_CONTACTS + 8):
        customer.tell("contact.answered", START + n, contact=f"unknown-{n}", outcome="opened")
    assert (len(customer.state.contacts), len(customer.state.answers)) == (1, KEPT_ANSWERS)
    assert customer.state.answers[-1].contact == f"unknown-{KEPT_CONTACTS + 7}"


@given(st.text(min_size=1, max_size=40))
def test_an_id_is_kept_as_it_is_or_as_a_hash_that_no_id_can_be_taken_for(name: str) -> None:
    kept = brief(name)
    assert len(kept.encode()) <= 16
    assert told_id(kept) == (name if kept == name else None)
    assert brief(kept) != kept or kept == name
