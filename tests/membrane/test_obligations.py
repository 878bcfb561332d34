"""What the company owes: opened, met, waived, breached."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane import signals as s
from membrane.cases import problem_key
from membrane.entities import SEPARATOR
from membrane.facts import RecordFacts
from membrane.ids import stable_id
from membrane.ledger import KEPT
from membrane.obligations import breach, due_moments, require_moments, required, settle
from membrane.record import (
    BREACHED,
    MET,
    OPEN,
    WAIVED,
    Case,
    LowScore,
    Obligation,
    Problem,
    Record,
    State,
    Tracker,
)
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR
from membrane.vocabulary import STAGES, Stage
from tests.membrane.fakes_principles import NOON, FakeFacts, default_pack, principle, principle_set

SETTINGS = TenantSettings()
PACK = default_pack()


def case(name="k-1", *, opened=NOON - HOUR, **fields):
    plain = {"severity": 3, "category": "terminal", "product": "t-1", "reported_at": opened}
    return Case(name, opened, opened, **(plain | fields))


def customer(*cases, stage=Stage.STEADY, since=NOON - DAY, owed=(), **state):
    tracker = Tracker(STAGES.index(stage), since, episode_at=since if stage is Stage.CRISIS else 0)
    return Record("default", "c-1", 1, NOON, 0, State(first_at=1, cases=list(cases), **state), tracker, list(owed))


def opened(record, principles=PACK, t=NOON):
    return required(principles, record, SETTINGS, t=t, at=t)


def owing(kind, *, about="", opened_at=NOON, due=NOON + DAY, state=OPEN, name="o-1", rule="p", scope=""):
    return Obligation(name, rule, kind, "service", opened_at, due, state, scope, about)


def rule(kind="agent_call", when='stage.name == "crisis"', **fields):
    obligation = {"kind": kind, "owner": "service", "due": "4h"} | fields
    return principle_set(principle(when, "require", obligation=obligation))


def put(record, name, t, **data):
    return settle(record, f"cx.{name}.v1", msgspec.convert(data, s.TYPES[f"cx.{name}.v1"]), t)


# ---- opening -------------------------------------------------------------------------------------------------------


def test_a_promised_time_is_owed_for_each_case_that_has_none_and_is_severe():
    record = customer(case("k-1", severity=2), case("k-2", severity=3), case("k-3", severity=1, eta=NOON))
    [found] = opened(record)
    assert (found.kind, found.about, found.scope, found.due) == ("promised_time", "k-1", "case", NOON + 4 * HOUR)
    assert record.obligations == [found]


def test_in_crisis_a_promised_time_is_owed_for_every_case_without_one():
    record = customer(case("k-1"), case("k-2"), stage=Stage.CRISIS)
    assert [one.about for one in opened(record)] == ["k-1", "k-2"]


def test_nothing_is_owed_for_a_case_from_before_it_was_opened():
    record = customer(case("k-1", opened=NOON - DAY), case("k-2", opened=NOON - HOUR), stage=Stage.CRISIS)
    found = required(PACK, record, SETTINGS, t=NOON, at=NOON - 2 * HOUR)
    assert [(one.about, one.opened_at) for one in found] == [("k-1", NOON - 2 * HOUR), ("k-2", NOON - HOUR)]
    assert found[1].due == NOON - HOUR + 4 * HOUR


def test_nothing_is_opened_twice_not_even_when_it_was_met():
    record = customer(case(severity=1))
    [found] = opened(record)
    assert opened(record, t=NOON + 1) == []
    found.state = MET
    assert opened(record, t=NOON + HOUR) == []


def test_ids_come_from_principle_customer_and_what_it_is_once_per():
    [found] = opened(customer(case(severity=1)))
    assert found.obligation == stable_id("promise-a-time", "default", "c-1", "case:k-1")
    assert found.obligation == opened(customer(case(severity=1)), t=NOON + DAY)[0].obligation


def test_a_free_service_is_owed_after_72_hours_of_crisis_once_an_episode_and_a_year():
    record = customer(stage=Stage.CRISIS, since=NOON - 72 * HOUR)
    assert opened(record) == []
    [found] = opened(record, t=NOON + 1)
    assert (found.kind, found.about, found.episode_at) == ("free_service", str(NOON - 72 * HOUR), NOON - 72 * HOUR)
    record.tracker.since = record.tracker.episode_at = NOON + 30 * DAY
    assert opened(record, t=NOON + 40 * DAY) == []
    record.tracker.since = record.tracker.episode_at = NOON + 364 * DAY
    assert opened(record, t=NOON + 370 * DAY)[0].kind == "free_service"


def test_an_agent_call_is_owed_at_the_fifth_report_of_a_problem():
    earlier = [NOON - day * DAY for day in (5, 4, 3, 2)]
    problem = Problem("terminal", "t-1", [x for t in earlier for x in (t, t)] + [NOON - HOUR, 0])
    record = customer(case(), problems=[problem])
    record.tracker.problems = {problem_key(problem): NOON - 5 * DAY}
    calls = [one for one in opened(record) if one.kind == "agent_call"]
    assert [one.about for one in calls] == [SEPARATOR.join(("terminal", "t-1", str(NOON - 5 * DAY)))]
    assert [one for one in opened(record, t=NOON + 1) if one.kind == "agent_call"] == []


def test_a_bad_rating_is_owed_an_answer_each():
    record = customer(low_scores=[LowScore(NOON - HOUR, "s-1"), LowScore(NOON - 1, "s-2")])
    assert [one.about for one in opened(record)] == ["s-1", "s-2"]


def test_after_a_relapse_risk_the_offer_is_owed_once_a_product_and_a_credit_each_month():
    solved = [case(f"k-{n}", opened=NOON - n * DAY, resolved_at=NOON - n * DAY + 1, code=0) for n in (1, 2, 3)]
    record = customer(*solved, stage=Stage.RECOVERING, since=NOON - HOUR)
    found = opened(record)
    assert [(one.kind, one.about) for one in found] == [("rescue_offer", "t-1"), ("service_credit", "t-1")]
    assert opened(record, t=NOON + 30 * DAY - 1) == []
    [credit] = opened(record, t=NOON + 30 * DAY)
    assert (credit.kind, credit.obligation == found[1].obligation) == ("service_credit", False)


def test_periods_stop_at_the_most_that_is_owed_in_a_window():
    principles = rule("service_credit", every="24h", at_most={2: "72h"})
    record = customer(stage=Stage.CRISIS)
    days = [day for day in range(8) if opened(record, principles, t=NOON + day * DAY)]
    assert days == [0, 1, 3, 4, 6, 7]


def test_a_condition_that_fails_owes_care_but_no_money():
    fails = "case.open + 9223372036854775807 < 0"
    record = customer(case("k-1"))
    assert [one.kind for one in opened(record, rule(when=fails, once_per="case"))] == ["agent_call"]
    assert opened(record, rule("free_service", when=fails, once_per="case")) == []


# ---- met and waived ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [OPEN, BREACHED])
@pytest.mark.parametrize(
    ("owed", "name", "data"),
    [
        (owing("agent_call"), "contact.made", {"domain": "service", "kind": "agent_call", "channel": "phone"}),
        (owing("status_call"), "contact.made", {"domain": "service", "kind": "status_call", "channel": "phone"}),
        (owing("outage_notice"), "contact.made", {"domain": "service", "kind": "outage_notice", "channel": "sms"}),
        (owing("rescue_offer"), "contact.made", {"domain": "sales", "kind": "rescue_offer", "channel": "email"}),
        (owing("survey_follow_up"), "contact.made", {"domain": "service", "kind": "ticket_reply", "channel": "email"}),
        (owing("free_service"), "credit.given", {"kind": "free_service"}),
        (owing("service_credit"), "credit.given", {"kind": "service_credit"}),
        (owing("service_credit"), "credit.given", {"kind": "goodwill", "obligation": "o-1"}),
        (owing("promised_time", about="k-1"), "case.updated", {"case": "k-1", "eta": "2030-01-01T00:00:00Z"}),
        (
            owing("promised_time", about="k-1"),
            "case.opened",
            {"case": "k-1", "category": "x", "severity": 1, "eta": "2030-01-01T00:00:00Z"},
        ),
    ],
)
def test_an_obligation_is_met_by_what_was_owed_even_when_breached(owed, name, data, state):
    record = customer(owed=[msgspec.structs.replace(owed, state=state)])
    [changed] = put(record, name, NOON, **data)
    assert (changed.state, changed.closed_at) == (MET, NOON)
    assert put(record, name, NOON + 1, **data) == []


@pytest.mark.parametrize(
    ("owed", "name", "data"),
    [
        (owing("agent_call"), "contact.made", {"domain": "service", "kind": "status_call", "channel": "phone"}),
        (owing("survey_follow_up"), "contact.made", {"domain": "marketing", "kind": "newsletter", "channel": "email"}),
        (owing("free_service"), "contact.made", {"domain": "billing", "kind": "free_service", "channel": "email"}),
        (owing("free_service"), "credit.given", {"kind": "service_credit"}),
        (owing("service_credit"), "credit.given", {"kind": "service_credit", "obligation": "another"}),
        (owing("agent_call"), "credit.given", {"kind": "agent_call"}),
        (owing("promised_time", about="k-1"), "case.updated", {"case": "k-2", "eta": "2030-01-01T00:00:00Z"}),
        (owing("promised_time", about="k-1"), "case.updated", {"case": "k-1", "eta": None}),
        (owing("promised_time", about="k-1"), "case.updated", {"case": "k-1", "severity": 1}),
        (owing("agent_call"), "account.closed", {}),
    ],
)
def test_something_else_does_not_meet_it(owed, name, data):
    record = customer(owed=[msgspec.structs.replace(owed)])
    assert put(record, name, NOON, **data) == []
    assert record.obligations[0].state == OPEN


def test_what_was_done_before_it_was_owed_does_not_meet_it():
    record = customer(owed=[owing("agent_call")])
    assert put(record, "contact.made", NOON - 1, domain="service", kind="agent_call", channel="phone") == []


def test_one_credit_pays_the_oldest_debt():
    record = customer(
        owed=[owing("service_credit", name="new"), owing("service_credit", name="old", opened_at=NOON - 1)]
    )
    assert [one.obligation for one in put(record, "credit.given", NOON, kind="service_credit")] == ["old"]
    assert [one.obligation for one in put(record, "credit.given", NOON, kind="service_credit")] == ["new"]


def test_a_principle_can_say_what_else_meets_it():
    principles = rule("agent_call", once_per="episode", met_by=["status_call"])
    record = customer(owed=[owing("agent_call", rule=principles.principles[0].id)])
    made = s.ContactMade("service", "agent_call", "phone")
    assert settle(record, "cx.contact.made.v1", made, NOON, principles) == []
    made.kind = "status_call"
    assert len(settle(record, "cx.contact.made.v1", made, NOON, principles)) == 1
    credit = rule("agent_call", once_per="episode", met_by=["refund"])
    record = customer(owed=[owing("agent_call", rule=credit.principles[0].id)])
    assert len(settle(record, "cx.credit.given.v1", s.CreditGiven("refund"), NOON, credit)) == 1


def test_what_a_resolved_case_was_owed_is_waived_unless_it_is_open_again():
    owed = [owing(kind, about="k-1", name=kind) for kind in ("promised_time", "status_call", "agent_call")]
    resolved = customer(case("k-1", resolved_at=NOON), owed=owed)
    assert {one.kind for one in put(resolved, "case.resolved", NOON, case="k-1")} == {"promised_time", "status_call"}
    assert [one.state for one in resolved.obligations] == [WAIVED, WAIVED, OPEN]
    again = customer(case("k-1", resolved_at=NOON, reopenings=[NOON + 1]), owed=[owing("status_call", about="k-1")])
    assert put(again, "case.resolved", NOON, case="k-1") == []
    other = customer(case("k-1", resolved_at=NOON), owed=[owing("status_call", about="k-2")])
    assert put(other, "case.resolved", NOON, case="k-1") == []


def test_a_late_resolution_waives_what_was_opened_without_knowing_of_it():
    record = customer(case("k-1", resolved_at=NOON - DAY), owed=[owing("promised_time", about="k-1")])
    assert len(put(record, "case.resolved", NOON - DAY, case="k-1")) == 1


def test_what_a_replaced_product_was_owed_is_waived():
    owed = [owing(kind, about="t-1", name=kind) for kind in ("rescue_offer", "service_credit", "free_service")]
    record = customer(owed=owed)
    assert len(put(record, "product.replaced", NOON, old="t-1", new="t-2")) == 2
    assert (
        put(customer(owed=[owing("rescue_offer", about="t-9")]), "product.replaced", NOON, old="t-1", new="t-2") == []
    )


def test_an_unknown_signal_settles_nothing():
    record = customer(owed=[owing("agent_call")])
    assert settle(record, "cx.unheard.of.v1", None, NOON) == []
    assert settle(record, "cx.contact.made.v1", None, NOON) == []


# ---- time ----------------------------------------------------------------------------------------------------------


def test_what_is_breached_becomes_that_of_whom_it_escalates_to():
    record = customer(case(severity=1), stage=Stage.CRISIS)
    [found] = opened(record, rule(once_per="episode", escalate_to="operations", approval="human"))
    assert (found.owner, found.escalate_to, found.approval) == ("service", "operations", "human")
    assert breach(record, found.due - 1) == []
    [late] = breach(record, found.due)
    assert (late.state, late.owner) == (BREACHED, "operations")
    assert [
        one.state for one in put(record, "contact.made", NOON, domain="service", kind="agent_call", channel="phone")
    ] == [MET]


def test_what_is_open_when_it_is_due_is_breached_and_stays_owed():
    record = customer(owed=[owing("agent_call", due=NOON), owing("agent_call", due=NOON, state=MET)])
    assert breach(record, NOON - 1) == []
    assert [one.state for one in breach(record, NOON)] == [BREACHED]
    assert breach(record, NOON + 1) == []


def test_moments_are_due_times_next_periods_and_windows_that_make_room():
    principles = rule("service_credit", every="24h", at_most={2: "72h"})
    name = principles.principles[0].id
    record = customer(owed=[owing("service_credit", rule=name), owing("agent_call", due=NOON + 1, state=MET)])
    assert sorted(due_moments(record, principles)) == [NOON + DAY, NOON + DAY, NOON + 3 * DAY]


def test_ages_in_conditions_give_moments():
    facts = FakeFacts(NOON, {"stage.name": "crisis"}, anchors={"stage.age": NOON - HOUR})
    assert list(require_moments(PACK, facts)) == [NOON - HOUR + 72 * HOUR + 1]


def test_in_a_stage_in_which_a_condition_cannot_hold_its_ages_give_no_moments():
    facts = FakeFacts(NOON, {"stage.name": "steady"}, anchors={"stage.age": NOON - HOUR})
    assert list(require_moments(PACK, facts)) == []


def test_facts_that_change_by_time_give_moments_except_those_that_are_due_anyway():
    moments = {"stage.name": [NOON + 1], "contact.complaints_90d": [NOON, NOON + 5]}
    facts = FakeFacts(NOON, {"stage.name": "steady"}, moments=moments)
    assert list(require_moments(PACK, facts)) == []
    principles = rule(when='contact.complaints_90d == 0 && stage.name == "steady"', once_per="episode")
    assert list(require_moments(principles, facts)) == [NOON + 5]


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=30))
def test_a_record_never_owes_the_same_thing_twice_nor_more_than_its_bound(steps):
    record = customer(case("k-0", severity=1), stage=Stage.CRISIS, since=NOON)
    clock = NOON
    for number, (hours, settled) in enumerate(steps):
        clock += hours * HOUR
        record.state.cases = [case(f"k-{number}", opened=clock, severity=1)]
        opened(record, t=clock)
        breach(record, clock)
        if settled:
            put(record, "contact.made", clock, domain="service", kind="status_call", channel="phone")
            put(record, "case.updated", clock, case=f"k-{number}", eta="2030-01-01T00:00:00Z")
    ids = [one.obligation for one in record.obligations]
    assert len(ids) == len(set(ids)) <= KEPT


@given(st.data())
def test_a_calm_customer_is_owed_what_the_whole_look_says(data):
    stage = data.draw(st.sampled_from(STAGES))
    text = data.draw(
        st.sampled_from(
            [
                "case.open == 0",
                "case.open > 0",
                "case.worst_severity >= 9",
                'stage.name == "steady" || case.open > 0',
                "problem.recurrences > 3 && survey.low_unanswered == 0",
                "!risk.relapse",
                "profile.vulnerable",
                "cases.exists(c, c.severity == 1)",
            ]
        )
    )
    principles = rule(when=text, every="24h")
    record = customer(stage=stage)
    expected = RecordFacts(record, NOON, SETTINGS)
    [one] = principles.requires
    assert bool(required(principles, record, SETTINGS, t=NOON, at=NOON)) is one.matches(expected)
    if principles.asks_nothing_of_the_calm(str(stage)):
        assert not one.matches(expected)
