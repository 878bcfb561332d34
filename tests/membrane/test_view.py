"""A customer as a decision sees it: advanced to now on a copy, with the consents of record and log."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.engine import Rules
from membrane.times import DAY, HOUR
from membrane.view import LogConsent, View
from membrane.vocabulary import CHANNEL_INDEX, CHANNELS, DOMAIN_INDEX
from tests.fakes import default_pack
from tests.membrane.customer import BY_RULES, Customer
from tests.strategies import START

SMS, MARKETING = CHANNEL_INDEX["sms"], DOMAIN_INDEX["marketing"]
words = st.none() | st.tuples(st.integers(1, 3), st.booleans())


def customer() -> Customer:
    """In crisis since START."""
    made = Customer(Rules(default_pack()))
    made.tell("case.opened", START, case="A", category="net", severity=1)
    return made


def test_time_passes_on_a_copy_and_the_record_stays_as_it_was() -> None:
    record = customer().record
    before = copy.deepcopy(record)
    view = View(record, START + 80 * HOUR, Rules(default_pack()))
    assert view.record is not None
    assert {one.kind for one in view.record.obligations} >= {"free_service", "promised_time"}
    assert record == before


def test_where_nothing_is_due_the_record_itself_is_shown() -> None:
    record = customer().record
    assert View(record, START, BY_RULES).record is record
    assert View(record, START + 60, BY_RULES).record is record


def test_a_due_time_that_changes_nothing_shows_the_record_itself() -> None:
    made = Customer()
    made.tell("usage.measured", START, metric="m", value=1)
    assert View(made.record, START + 8 * DAY, BY_RULES).record is made.record


def test_a_later_moment_of_the_same_customer_sees_what_falls_due_until_then() -> None:
    rules = Rules(default_pack())
    record = customer().record
    now = View(record, START + HOUR, rules, [(SMS, MARKETING, False, START)])
    later = now.at(START + 80 * HOUR)
    direct = View(record, START + 80 * HOUR, rules)
    assert later.record == direct.record
    assert (later.t, later.consent(SMS, MARKETING)) == (START + 80 * HOUR, "denied")
    assert now.next_due() == START + 4 * HOUR


def test_the_stored_records_clock_is_told_whatever_has_fallen_due_since() -> None:
    view = View(customer().record, START + 80 * HOUR, Rules(default_pack()))
    assert view.record is not None
    assert view.record.clock == START + 80 * HOUR
    assert (view.as_of, view.at(START + 90 * HOUR).as_of, view.foresee(START + 90 * HOUR).as_of) == (START,) * 3


def test_of_a_stranger_only_the_consents_are_known() -> None:
    view = View(None, START, BY_RULES, [(SMS, MARKETING, True, START)])
    assert (view.record, view.next_due(), view.as_of) == (None, None, None)
    assert (view.consent(SMS, MARKETING), view.consent(SMS + 1, MARKETING)) == ("granted", "none")
    assert view.facts().get("lifecycle") == "unknown"
    assert view.at(START + DAY).consent(SMS, MARKETING) == "granted"


def test_facts_are_those_of_the_moment() -> None:
    view = View(customer().record, START + 80 * HOUR, Rules(default_pack()))
    assert view.facts().get("stage.age") == 80 * HOUR
    assert view.facts(narrow=("case", "B")).get("case.open") == 0


@given(words, words)
def test_the_latest_word_of_record_and_log_counts_and_a_refusal_wins_a_tie(
    recorded: tuple[int, bool] | None, logged: tuple[int, bool] | None
) -> None:
    made = Customer()
    made.tell("order.placed", START)
    if recorded is not None:
        made.tell("consent.changed", START + recorded[0], channel="sms", domain="marketing", granted=recorded[1])
    log: list[LogConsent] = [] if logged is None else [(SMS, MARKETING, logged[1], START + logged[0])]
    spoken = [word for word in (recorded, logged) if word is not None]
    last = [granted for t, granted in spoken if t == max(t for t, _ in spoken)]
    expected = "none" if not spoken else "granted" if all(last) else "denied"
    assert View(made.record, START + 9, BY_RULES, log).consent(SMS, MARKETING) == expected


@pytest.mark.parametrize("channel", [c for c in CHANNELS if c != "sms"])
def test_a_consent_is_for_one_channel_and_domain(channel: str) -> None:
    view = View(None, START, BY_RULES, [(SMS, MARKETING, False, START)])
    assert view.consent(CHANNEL_INDEX[channel], MARKETING) == "none"
    assert view.consent(SMS, DOMAIN_INDEX["survey"]) == "none"
