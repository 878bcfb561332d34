"""The facts a condition may use: each by name, its unknown value, its anchor, and when it changes next."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.dictionary import BY_NAME, FACTS, FEATURE_PREFIX, CaseFacts, Value
from membrane.engine import Rules
from membrane.facts import NOTHING, About, RecordFacts
from membrane.features import AGES, FEATURE_NAMES, features
from membrane.record import Profile, Record, State, Tracker
from membrane.settings import TenantSettings
from membrane.signals import StoredSignal
from membrane.stages import CRISIS, STEADY
from membrane.times import DAY, HOUR, MINUTE, format_time
from membrane.view import View
from membrane.vocabulary import CHANNEL_INDEX
from tests.membrane.customer import Customer
from tests.strategies import START, signals

SETTINGS = TenantSettings()
NAMES = [fact.name for fact in FACTS]


def facts(customer: Customer, t: int, about: About = NOTHING, narrow: tuple[str, str] | None = None) -> RecordFacts:
    return RecordFacts(customer.record, t, SETTINGS, about, narrow)


def of_state(t: int = START, tracker: Tracker | None = None, **state: object) -> RecordFacts:
    """The facts of a made-up record."""
    made = State(first_at=START, **state)  # type: ignore[arg-type]
    return RecordFacts(Record("t", "c", 1, t, 0, made, tracker or Tracker(STEADY, START)), t, SETTINGS)


def troubled() -> Customer:
    """Four open cases: late, waiting, about a bill, and severe; and a closed one."""
    customer = Customer()
    eta = format_time(START + HOUR)
    for n, more in enumerate(
        (
            {"category": "net", "severity": 3, "eta": eta, "product": "T1"},
            {"category": "net", "severity": 4, "product": "T1"},
            {"category": "invoice", "severity": 3},
            {"category": "net", "severity": 2, "product": "T2"},
            {"category": "net", "severity": 2, "product": "T1"},
        )
    ):
        customer.tell("case.opened", START + n, case=f"C{n}", **more)
    customer.tell("case.updated", START + 9, case="C1", status="waiting_on_customer")
    customer.tell("case.resolved", START + 9, case="C4")
    return customer


# ---- each name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_of_a_customer_never_seen_every_fact_has_its_unknown_value(name: str) -> None:
    unseen = RecordFacts(None, START, SETTINGS)
    assert unseen.get(name) == (BY_NAME[name].unknown if name != "lifecycle" else "unknown")
    assert unseen.next_change(name) is None
    assert unseen.anchor(name) is None


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_has_its_type_and_its_enumeration(name: str) -> None:
    types = {"string": str, "int": int, "double": float, "bool": bool, "duration": int}
    for source in (of_state(), facts(troubled(), START + DAY), RecordFacts(None, START, SETTINGS)):
        value = source.get(name)
        assert type(value) is types[BY_NAME[name].type]
        assert not BY_NAME[name].values or value in BY_NAME[name].values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("case.open", 4),
        ("case.open_without_eta", 2),
        ("case.waiting_on_customer", 1),
        ("case.worst_severity", 2),
        ("case.eta_missed", 1),
        ("case.open_billing", 1),
        ("problem.recurrences", 1),
        ("stage.name", "strained"),
        ("stage.p_crisis", 0.0),
        ("stage.age", 22 * HOUR - 1),
        ("lifecycle", "new"),
        ("customer.tenure", DAY - HOUR),
        ("episode.age", 0),
        ("closed.age", 0),
        ("risk.relapse", False),
        ("risk.churn", 0.0),
        ("features.open_cases", 4.0),
    ],
)
def test_facts_of_a_customer_in_trouble(name: str, value: Value) -> None:
    customer = troubled()
    customer.tick(START + DAY - HOUR)
    assert facts(customer, START + DAY - HOUR).get(name) == value


def test_ages_grow_from_their_anchors_and_are_unknown_without_one() -> None:
    tracker = Tracker(CRISIS, START + 1, episode_at=START + 2)
    source = of_state(START + DAY, tracker, opened_at=START + 3, closed_at=START + 4)
    ages = {"stage.age": 1, "episode.age": 2, "customer.tenure": 3, "closed.age": 4}
    for name, after in ages.items():
        assert (source.get(name), source.anchor(name)) == (DAY - after, START + after)
    plain = of_state()
    assert (plain.get("closed.age"), plain.anchor("closed.age")) == (0, None)
    assert plain.anchor("customer.tenure") == START
    assert of_state(START - 5).get("stage.age") == 0


def test_what_a_request_says_are_facts_even_of_a_stranger() -> None:
    about = About("sms", "granted", known=True, ended_at=START - HOUR)
    for record in (None, of_state().record):
        source = RecordFacts(record, START, SETTINGS, about)
        assert [source.get(name) for name in ("request.channel", "consent.state", "about.known")] == [
            "sms", "granted", True
        ]  # fmt: skip
        assert (source.get("about.age"), source.anchor("about.age")) == (HOUR, START - HOUR)
    assert RecordFacts(None, START, SETTINGS).anchor("about.age") is None


def test_what_ended_as_the_clocks_of_computers_began_is_known_and_old() -> None:
    source = RecordFacts(None, START, SETTINGS, About(known=True, ended_at=0))
    assert (source.anchor("about.age"), source.get("about.age")) == (0, START)


@pytest.mark.parametrize(("churn", "value"), [(-1, 0.0), (0, 0.0), (712_345, 0.712345)])
def test_the_risk_of_churn_is_a_probability_and_zero_when_unknown(churn: int, value: float) -> None:
    assert of_state(tracker=Tracker(STEADY, START, churn=churn)).get("risk.churn") == value


@pytest.mark.parametrize(
    ("channels", "value"), [(None, True), (([CHANNEL_INDEX["sms"]], START), False), (([0, 1], START), True)]
)
def test_everybody_has_email_until_we_know_their_channels(channels: tuple[list[int], int] | None, value: bool) -> None:
    assert of_state(profile=Profile(channels=channels)).get("profile.has_email") is value


@pytest.mark.parametrize(("vulnerable", "value"), [(None, False), ((False, START), False), ((True, START), True)])
def test_a_customer_is_vulnerable_when_we_were_told(vulnerable: tuple[bool, int] | None, value: bool) -> None:
    assert of_state(profile=Profile(vulnerable=vulnerable)).get("profile.vulnerable") is value


def test_a_complaint_counts_for_90_days() -> None:
    t = START + 90 * DAY
    assert (of_state(t - 1, complained_at=START).get("contact.complaints_90d")) == 1
    assert (of_state(t, complained_at=START).get("contact.complaints_90d")) == 0
    assert of_state(START, complained_at=START).next_change("contact.complaints_90d") == t


def test_a_bad_answer_counts_for_30_days_or_until_service_has_been_in_touch() -> None:
    customer = Customer()
    customer.tell("survey.answered", START, instrument="nps", score=6, survey="s1")
    customer.tell("survey.answered", START + 1, instrument="csat", score=2, survey="s2")
    name = "survey.low_unanswered"
    assert facts(customer, START + 30 * DAY - 1).get(name) == 2
    assert facts(customer, START + 30 * DAY).get(name) == 1
    assert facts(customer, START + 5).next_change(name) == START + 30 * DAY
    customer.tell("contact.made", START, domain="service", kind="status_call", channel="phone")
    assert facts(customer, START + 5).get(name) == 1


def test_a_name_that_is_not_in_the_dictionary_is_an_error() -> None:
    with pytest.raises(KeyError):
        of_state().get("stage.nmae")


# ---- features as facts ---------------------------------------------------------------------------------------------


def test_features_are_facts_by_their_registry_names() -> None:
    customer = troubled()
    source = facts(customer, START + HOUR)
    assert [source.get(FEATURE_PREFIX + name) for name in FEATURE_NAMES] == features(customer.state, START + HOUR)
    assert RecordFacts(None, START, SETTINGS).get("features.tenure") == 0.0


def test_a_feature_that_is_an_age_has_an_anchor() -> None:
    source = of_state(START + DAY, inbound_at=START + 1, opened_at=START - DAY)
    assert source.anchor("features.silence") == START + 1
    assert source.anchor("features.tenure") == START - DAY
    assert source.anchor("features.nps_age") is None
    assert source.anchor("features.orders_total") is None
    assert RecordFacts(None, START, SETTINGS).anchor("features.silence") is None


def test_a_feature_changes_when_a_tile_leaves_its_window() -> None:
    customer = Customer()
    customer.tell("contact.made", START, domain="sales", kind="upsell", channel="email")
    source = facts(customer, START)
    assert source.next_change("features.contacts_out_1h") == (START // (5 * MINUTE) + 12) * 5 * MINUTE
    assert source.next_change("features.contacts_out_7d") == (START // DAY + 7) * DAY
    assert source.next_change("features.contacts_in_7d") is None
    assert source.next_change("features.orders_total") is None


# ---- cases, and one entity alone -----------------------------------------------------------------------------------


def test_open_cases_are_shown_as_they_are_now_called() -> None:
    customer = troubled()
    customer.tell("case.updated", START + 20, case="C0", category="modem", product="T7")
    customer.tell("case.updated", START + 20, case="N", severity=4)
    shown = {case.case: case for case in facts(customer, START + DAY).cases()}
    assert shown["C0"] == CaseFacts("C0", "modem", "T7", 3, "open", DAY, True, True, 0)
    assert shown["C1"].status == "waiting_on_customer"
    assert (shown["N"].category, shown["N"].product, shown["N"].age_ms) == ("unknown", "", DAY - 20)
    assert "C4" not in shown


@pytest.mark.parametrize(
    ("narrow", "cases"),
    [
        (None, {"C0", "C1", "C2", "C3"}),
        (("case", "C1"), {"C1"}),
        (("case", "C4"), set()),  # it is closed
        (("problem", "net\x1fT1\x1f7"), {"C0", "C1"}),
        (("product", "T1"), {"C0", "C1"}),
        (("survey", "s"), {"C0", "C1", "C2", "C3"}),
    ],
)
def test_narrowed_to_one_entity_only_its_cases_are_there(narrow: tuple[str, str] | None, cases: set[str]) -> None:
    source = facts(troubled(), START + DAY, narrow=narrow)
    assert {case.case for case in source.cases()} == cases
    assert source.get("case.open") == len(cases)
    assert source.get("case.worst_severity") == min((c.severity for c in source.cases()), default=9)


def test_narrowed_to_one_product_only_its_risk_of_relapse_is_there() -> None:
    customer = Customer()
    for n in range(3):
        customer.tell("case.opened", START + n, case=f"C{n}", category="net", severity=4, product="T1")
        customer.tell("case.resolved", START + n, case=f"C{n}")
    assert [facts(customer, START + DAY, narrow=("product", p)).get("risk.relapse") for p in ("T1", "T2")] == [
        True, False
    ]  # fmt: skip
    assert facts(customer, START + DAY, narrow=("case", "C0")).get("risk.relapse") is True


def test_narrowed_to_one_survey_only_its_answer_is_there() -> None:
    customer = Customer()
    for survey in ("s1", "s2"):
        customer.tell("survey.answered", START, instrument="csat", score=1, survey=survey)
    source = facts(customer, START, narrow=("survey", "s2"))
    assert (source.get("survey.low_unanswered"), source.low_scores) == (1, ["s2"])


# ---- the law -------------------------------------------------------------------------------------------------------


def having_heard(stream: list[StoredSignal]) -> Customer:
    customer = Customer()
    for item in stream:
        customer.hear(item)
    return customer


TIMED = [fact.name for fact in FACTS if fact.timed == "changes"]
UNTIMED = [fact.name for fact in FACTS if fact.timed == "no"]


@given(signals(max_size=20), st.integers(0, 120 * DAY), st.floats(0, 1))
@settings(max_examples=60)
def test_no_fact_changes_by_time_before_the_moment_it_names(
    stream: list[StoredSignal], wait: int, share: float
) -> None:
    customer = having_heard(stream)
    t = customer.record.clock + wait
    view = View(customer.record, t, Rules(None))
    now = view.facts()
    for name in TIMED:
        following = now.next_change(name)
        assert following is None or following > t
        until = (following or t + 1000 * DAY) - 1
        for moment in (until, t + int(share * (until - t))):
            assert view.at(moment).facts().get(name) == now.get(name), name
    far = view.at(t + 1000 * DAY).facts()
    for name in UNTIMED:
        assert now.next_change(name) is None
        assert far.get(name) == now.get(name), name


@given(signals(max_size=20), st.integers(0, 40 * DAY), st.floats(0, 1))
@settings(max_examples=60)
def test_no_feature_changes_by_time_before_the_moment_it_names(
    stream: list[StoredSignal], wait: int, share: float
) -> None:
    customer = having_heard(stream)
    t = customer.record.clock + wait
    now = facts(customer, t)
    for name in FEATURE_NAMES:
        if name in AGES:
            continue
        fact = FEATURE_PREFIX + name
        following = now.next_change(fact)
        assert following is None or following > t
        until = (following or t + 1000 * DAY) - 1
        for moment in (until, t + int(share * (until - t))):
            assert facts(customer, moment).get(fact) == now.get(fact), name


@given(signals(max_size=20), st.integers(0, 40 * DAY))
@settings(max_examples=60)
def test_a_feature_that_is_an_age_grows_from_its_anchor_to_its_cap(stream: list[StoredSignal], wait: int) -> None:
    customer = having_heard(stream)
    t = customer.record.clock + wait
    for name, age in AGES.items():
        fact, now = FEATURE_PREFIX + name, facts(customer, t)
        anchor, following = now.anchor(fact), now.next_change(fact)
        if anchor is None:
            assert following is None
            assert facts(customer, t + 1000 * DAY).get(fact) == now.get(fact) == age.unknown
        else:
            assert now.get(fact) == min(max(t - anchor, 0) / age.unit_ms, age.cap)
            assert (following is None) == (now.get(fact) >= age.cap)
            assert following is None or t < following <= t + HOUR
