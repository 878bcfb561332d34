"""The stage table: what enters each stage, what just does not, what leaves it, and what never does."""

from __future__ import annotations

import pytest

from membrane.engine import Rules
from membrane.facts import RecordFacts
from membrane.record import Tracker
from membrane.settings import Recurrences, TenantSettings
from membrane.stages import STEADY, dormant_from, rule_stage
from membrane.tenants import MAX_RECURRENCES
from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import STAGES
from tests.membrane.customer import Customer
from tests.strategies import START

TERMINAL = {"category": "connectivity", "product": "T1"}
MIDNIGHT = START // DAY * DAY


def opened(severity: int = 3, case: str = "A", **more: object) -> Customer:
    """A customer with one case, opened at START."""
    customer = Customer()
    customer.tell("case.opened", START, case=case, category="net", severity=severity, **more)
    return customer


def reported(times: int, *, solved: bool = True, **problem: object) -> Customer:
    """A customer whose terminal failed so many times, a day apart, all but the last solved within the hour."""
    customer = Customer()
    for n in range(times):
        t = START + n * DAY
        customer.tell("case.opened", t, case=f"C{n}", severity=4, **(TERMINAL | problem))
        if n < times - 1 or not solved:
            customer.tell("case.resolved", t + HOUR, case=f"C{n}", resolution_code="fixed")
    return customer


def in_crisis() -> Customer:
    """A crisis since START: one case of severity 1."""
    customer = opened(severity=1)
    assert customer.stage == "crisis"
    return customer


def recovering() -> Customer:
    """Out of a crisis at START + 1 h: fixed, and not a bad word."""
    customer = in_crisis()
    customer.tell("case.resolved", START + HOUR, case="A", resolution_code="fixed")
    assert customer.stage == "recovering"
    return customer


# ---- crisis: enters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("severity", "stage"), [(1, "crisis"), (2, "steady"), (3, "steady"), (4, "steady")])
def test_an_open_case_of_severity_1_and_no_other_is_a_crisis(severity: int, stage: str) -> None:
    assert opened(severity).stage == stage


def test_a_case_that_becomes_severe_is_a_crisis() -> None:
    customer = opened(severity=4)
    customer.tell("case.updated", START + HOUR, case="A", severity=1)
    assert (customer.stage, customer.tracker.since) == ("crisis", START + HOUR)


@pytest.mark.parametrize(("reports", "stage"), [(4, "strained"), (5, "crisis")])
def test_the_fifth_report_of_an_open_problem_is_a_crisis(reports: int, stage: str) -> None:
    assert reported(reports).stage == stage


def test_reports_of_another_product_do_not_add_up_to_a_crisis() -> None:
    customer = reported(4)
    customer.tell("case.opened", START + 4 * DAY, case="X", severity=4, category="connectivity", product="T2")
    assert customer.stage == "strained"


@pytest.mark.parametrize(
    ("tones", "apart", "severity", "stage"),
    [
        ((-0.7, -0.7), 48 * HOUR - 1, 2, "crisis"),
        ((-0.7, -0.7), 48 * HOUR, 2, "strained"),
        ((-0.7, -0.69), HOUR, 2, "strained"),
        ((-0.7, -0.7), HOUR, 3, "strained"),
    ],
)
def test_two_very_negative_messages_in_48_hours_with_a_case_of_severity_2_are_a_crisis(
    tones: tuple[float, float], apart: int, severity: int, stage: str
) -> None:
    customer = opened(severity)
    for n, tone in enumerate(tones):
        customer.tell("message.received", START + n * apart, channel="chat", sentiment=tone)
    assert customer.stage == stage


def test_two_very_negative_messages_without_an_open_case_are_no_crisis() -> None:
    customer = Customer()
    for n in range(2):
        customer.tell("message.received", START + n, channel="chat", sentiment=-1)
    assert customer.stage == "strained"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("message.received", {"channel": "phone", "reason": "escalation"}),
        ("interaction.ended", {"interaction": "i", "channel": "phone", "disposition": "escalated"}),
        ("label.given", {"target": "stage", "value": "crisis", "by": "ana"}),
    ],
)
def test_an_escalation_or_a_persons_label_is_a_crisis(kind: str, data: dict[str, object]) -> None:
    customer = Customer()
    customer.tell(kind, START, **data)
    assert customer.stage == "crisis"


CALL_FOR_HELP = [
    ("message.received", {"channel": "phone", "reason": "escalation"}),
    ("label.given", {"target": "stage", "value": "crisis", "by": "ana"}),
]


@pytest.mark.parametrize(("kind", "data"), CALL_FOR_HELP)
@pytest.mark.parametrize(("late", "stage"), [(30 * DAY - 1, "crisis"), (30 * DAY, "steady"), (2 * 365 * DAY, "steady")])
def test_a_call_for_help_that_comes_more_than_30_days_late_is_no_crisis(
    kind: str, data: dict[str, object], late: int, stage: str
) -> None:
    customer = Customer()
    customer.tell("message.received", START - 3 * 365 * DAY, channel="chat", sentiment=0.5)
    customer.tell("order.placed", START, amount=1)
    customer.tell(kind, START - late, **data)
    assert customer.stage == stage
    customer.tick(START + 300 * DAY)
    assert customer.stage == stage


@pytest.mark.parametrize(("kind", "data"), CALL_FOR_HELP)
@pytest.mark.parametrize(("good_word", "stage"), [(0, "crisis"), (1, "steady")])
def test_a_late_call_for_help_that_a_good_word_followed_is_no_crisis(
    kind: str, data: dict[str, object], good_word: int, stage: str
) -> None:
    for word in (("message.received", {"channel": "chat", "sentiment": 0.5}),
                 ("survey.answered", {"instrument": "csat", "score": 5})):  # fmt: skip
        customer = Customer()
        customer.tell(word[0], START + good_word, **word[1])
        customer.tell(kind, START, **data)
        assert customer.stage == stage
        customer.tell("case.opened", START + 2, case="A", category="net", severity=3)
        assert customer.stage == stage


def test_a_persons_label_about_a_moment_long_ago_is_no_crisis() -> None:
    customer = Customer()
    label = {"target": "stage", "value": "crisis", "by": "ana"}
    customer.tell("label.given", START, about_time=format_time(START - 31 * DAY), **label)
    assert customer.stage == "steady"


@pytest.mark.parametrize("value", ["steady", "at_risk"])
def test_a_label_of_another_stage_is_no_crisis(value: str) -> None:
    customer = Customer()
    customer.tell("label.given", START, target="stage", value=value, by="ana")
    customer.tell("label.given", START, target="churn", value="crisis", by="ana")
    assert customer.stage == "steady"


@pytest.mark.parametrize("more_than", range(1, MAX_RECURRENCES + 1))
def test_a_tenant_says_how_many_recurrences_are_a_crisis(more_than: int) -> None:
    rules = Rules(None, TenantSettings(recurrences=Recurrences(more_than=more_than)))
    stages = []
    for reports in (more_than + 1, more_than + 2):
        customer = Customer(rules)
        for number in range(reports):
            data = {"case": f"C{number}", "category": "net", "product": "T1", "severity": 4}
            customer.tell("case.opened", START + number * HOUR, **data)
        stages.append(customer.stage)
    assert stages == ["strained" if more_than > 1 else "steady", "crisis"]


@pytest.mark.parametrize(("days", "gap", "counted"), [(7, 7 * DAY - 1, 1), (7, 7 * DAY, 0), (30, 8 * DAY, 1)])
def test_a_tenant_says_how_long_a_report_counts_and_how_long_a_problem_lasts(days: int, gap: int, counted: int) -> None:
    customer = Customer(Rules(None, TenantSettings(recurrences=Recurrences(days=days))))
    for number, t in enumerate((START, START + gap, START + gap + days * DAY + 1)):
        customer.tell("case.opened", t, case=f"C{number}", category="net", product="T1", severity=4)
        facts = RecordFacts(customer.record, t, customer.rules.settings)
        seen = [case.recurrences for case in facts.cases()]
        assert seen[-1] == (counted if number == 1 else 0)
        [began] = customer.tracker.problems.values()
        assert began == (t if number != 1 else START)


def test_crisis_says_what_made_it_so_and_keeps_saying_it() -> None:
    customer = reported(5)
    assert customer.tracker.drivers == [("recurrences_30d", 40_000)]
    customer.tell("order.placed", START + 4 * DAY + 1, amount=1)
    assert customer.tracker.drivers == [("recurrences_30d", 40_000)]


# ---- crisis: leaves ------------------------------------------------------------------------------------------------


def test_crisis_ends_when_its_cases_are_resolved_and_a_day_was_quiet() -> None:
    customer = in_crisis()
    customer.tell("message.received", START + HOUR, channel="chat", sentiment=-0.3)
    customer.tell("case.resolved", START + 2 * HOUR, case="A", resolution_code="fixed")
    assert customer.stage == "crisis"
    customer.tick(START + 25 * HOUR - 1)
    assert customer.stage == "crisis"
    customer.tick(START + 25 * HOUR)
    assert (customer.stage, customer.tracker.since) == ("recovering", START + 25 * HOUR)


@pytest.mark.parametrize(("tone", "stage"), [(-0.29, "recovering"), (-0.3, "crisis")])
def test_a_message_of_minus_0_3_disturbs_the_quiet_day(tone: float, stage: str) -> None:
    customer = in_crisis()
    customer.tell("message.received", START + HOUR, channel="chat", sentiment=tone)
    customer.tell("case.resolved", START + 2 * HOUR, case="A")
    assert customer.stage == stage


def test_a_reopening_disturbs_the_quiet_day_even_of_another_case() -> None:
    customer = in_crisis()
    for kind in ("case.opened", "case.reopened"):
        customer.tell(
            kind, START + HOUR, case="B", **({"category": "x", "severity": 4} if kind == "case.opened" else {})
        )
    customer.tell("case.resolved", START + 2 * HOUR, case="A")
    customer.tick(START + 25 * HOUR - 1)
    assert customer.stage == "crisis"
    customer.tick(START + 25 * HOUR)
    assert customer.stage == "recovering"


@pytest.mark.parametrize("code", ["auto_closed", "rejected", "duplicate"])
def test_a_resolution_that_is_no_evidence_never_ends_a_crisis_by_silence(code: str) -> None:
    customer = in_crisis()
    customer.tell("case.resolved", START + HOUR, case="A", resolution_code=code)
    customer.tick(START + 400 * DAY)
    assert customer.stage == "crisis"


@pytest.mark.parametrize("code", ["fixed", "workaround", "customer_confirmed", None])
def test_any_other_resolution_ends_it(code: str | None) -> None:
    customer = in_crisis()
    customer.tell("case.resolved", START + HOUR, case="A", resolution_code=code)
    assert customer.stage == "recovering"


def test_a_case_reopened_after_its_resolution_keeps_the_crisis() -> None:
    customer = in_crisis()
    customer.tell("message.received", START + HOUR, channel="chat", sentiment=-1)
    customer.tell("case.resolved", START + 2 * HOUR, case="A")
    customer.tell("case.reopened", START + 3 * HOUR, case="A")
    customer.tick(START + 100 * DAY)
    assert customer.stage == "crisis"


@pytest.mark.parametrize(
    ("kind", "data", "stage"),
    [
        ("message.received", {"channel": "chat", "sentiment": 0.3}, "recovering"),
        ("message.received", {"channel": "chat", "sentiment": 0.29}, "crisis"),
        ("survey.answered", {"instrument": "csat", "score": 4}, "recovering"),
        ("survey.answered", {"instrument": "csat", "score": 3}, "crisis"),
        ("survey.answered", {"instrument": "ces", "score": 7}, "crisis"),
    ],
)
def test_after_the_fix_a_good_word_ends_the_crisis_at_once(kind: str, data: dict[str, object], stage: str) -> None:
    customer = in_crisis()
    customer.tell("message.received", START + HOUR, channel="chat", sentiment=-1)
    customer.tell("case.resolved", START + 2 * HOUR, case="A", resolution_code="auto_closed")
    customer.tell(kind, START + 3 * HOUR, **data)
    assert customer.stage == stage


def test_a_good_word_before_the_fix_or_before_a_bad_one_ends_nothing() -> None:
    customer = in_crisis()
    customer.tell("message.received", START + HOUR, channel="chat", sentiment=1)
    assert customer.stage == "crisis"
    customer.tell("case.resolved", START + 2 * HOUR, case="A", resolution_code="rejected")
    assert customer.stage == "crisis"
    customer.tell("message.received", START + 4 * HOUR, channel="chat", sentiment=-0.5)
    customer.tell("message.received", START + 3 * HOUR, channel="chat", sentiment=1)
    assert customer.stage == "crisis"


def test_crisis_ends_only_when_all_its_cases_are_resolved() -> None:
    customer = in_crisis()
    customer.tell("case.opened", START + HOUR, case="B", category="bill", severity=1)
    customer.tell("case.resolved", START + 2 * HOUR, case="A")
    customer.tell("message.received", START + 3 * HOUR, channel="chat", sentiment=1)
    customer.tick(START + 90 * DAY)
    assert customer.stage == "crisis"
    customer.tell("case.resolved", START + 90 * DAY, case="B")
    assert customer.stage == "recovering"


def test_a_case_made_harmless_still_has_to_be_resolved() -> None:
    customer = in_crisis()
    customer.tell("case.updated", START + HOUR, case="A", severity=4)
    customer.tick(START + 60 * DAY)
    assert customer.stage == "crisis"
    customer.tell("case.resolved", START + 60 * DAY, case="A")
    assert customer.stage == "recovering"


def test_crisis_never_ends_because_its_case_fell_out_of_the_record() -> None:
    customer = in_crisis()
    for n in range(30):
        customer.tell("case.opened", START + DAY + n, case=f"X{n}", category="x", severity=4)
        customer.tell("case.resolved", START + DAY + n, case=f"X{n}")
    assert "A" not in [case.case for case in customer.state.cases]
    customer.tell("message.received", START + 3 * DAY, channel="chat", sentiment=1)
    customer.tick(START + 60 * DAY)
    assert customer.stage == "crisis"


def test_a_crisis_with_more_cases_than_are_kept_waits_for_the_unsolved_ones() -> None:
    customer = Customer()
    for n in range(26):
        customer.tell("case.opened", START + n, case=f"S{n}", category="x", severity=1)
    assert len(customer.tracker.crisis_cases) == 24
    for n in range(2, 26):
        customer.tell("case.resolved", START + HOUR + n, case=f"S{n}")
    assert customer.stage == "crisis"


def test_an_escalation_without_a_case_ends_by_a_good_word_and_never_by_time() -> None:
    customer = Customer()
    customer.tell("message.received", START, channel="phone", reason="escalation")
    customer.tick(START + 365 * DAY)
    assert customer.stage == "crisis"
    customer.tell("message.received", START + 366 * DAY, channel="phone", sentiment=0.5)
    assert customer.stage == "recovering"


def test_an_escalation_about_an_open_case_ends_when_that_is_solved_and_a_day_was_quiet() -> None:
    customer = opened(severity=3)
    customer.tell("message.received", START + HOUR, channel="phone", reason="escalation", sentiment=-0.5)
    customer.tell("case.resolved", START + 2 * HOUR, case="A", resolution_code="fixed")
    assert customer.stage == "crisis"
    customer.tick(START + 25 * HOUR)
    assert customer.stage == "recovering"


@pytest.mark.parametrize(("value", "stage"), [("steady", "recovering"), ("stable-ish", "crisis"), (True, "crisis")])
def test_a_persons_word_ends_a_crisis_if_it_names_a_stage(value: object, stage: str) -> None:
    customer = Customer()
    customer.tell("label.given", START, target="stage", value="crisis", by="ana")
    customer.tell("label.given", START + DAY, target="stage", value=value, by="ana")
    assert customer.stage == stage


def test_what_led_to_a_past_crisis_leads_to_no_second_one() -> None:
    customer = Customer()
    customer.tell("message.received", START, channel="phone", reason="escalation")
    customer.tell("message.received", START + HOUR, channel="phone", sentiment=0.5)
    customer.tick(START + 15 * DAY)
    customer.tell("message.received", START + 15 * DAY, channel="phone")
    assert customer.stage == "steady"


# ---- recovering, the episode, a relapse ----------------------------------------------------------------------------


def test_recovering_lasts_14_days_and_the_episode_with_it() -> None:
    customer = recovering()
    ends = START + HOUR + 14 * DAY
    customer.tick(ends - 1)
    assert (customer.stage, customer.tracker.episode_at) == ("recovering", START)
    customer.tick(ends)
    assert (customer.stage, customer.tracker.since, customer.tracker.episode_at) == ("steady", ends, 0)
    assert customer.tracker.cause.type == "due"


def test_a_new_trigger_while_recovering_continues_the_episode() -> None:
    customer = recovering()
    customer.tell("case.opened", START + 10 * DAY, case="B", category="net", severity=1)
    assert (customer.stage, customer.previous, customer.tracker.episode_at) == ("crisis", "recovering", START)


def test_a_crisis_after_the_14_days_is_another_episode() -> None:
    customer = recovering()
    again = START + 20 * DAY
    customer.tell("case.opened", again, case="B", category="net", severity=1)
    assert (customer.stage, customer.tracker.episode_at) == ("crisis", again)


def test_what_would_strain_the_relationship_leaves_a_recovering_customer_recovering() -> None:
    customer = recovering()
    customer.tell("survey.answered", START + DAY, instrument="csat", score=1)
    assert customer.stage == "recovering"
    customer.tick(START + 15 * DAY)
    assert customer.stage == "steady"


def test_a_recovery_that_is_reported_weeks_late_is_over_at_the_next_tick() -> None:
    customer = in_crisis()
    customer.tick(START + 100 * DAY)
    customer.tell("case.resolved", START + DAY, case="A", resolution_code="fixed")
    assert (customer.stage, customer.tracker.since) == ("recovering", START + DAY)
    customer.tell("message.received", START + 2 * DAY, channel="chat")
    assert customer.stage == "recovering"
    customer.tick(START + 101 * DAY)
    assert (customer.stage, customer.tracker.since) == ("steady", START + 15 * DAY)


# ---- strained ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", [2, 3])
def test_a_case_in_our_court_for_more_than_24_hours_strains(severity: int) -> None:
    customer = opened(severity)
    customer.tick(START + 24 * HOUR)
    assert customer.stage == "steady"
    customer.tick(START + 24 * HOUR + 1)
    assert (customer.stage, customer.tracker.since) == ("strained", START + 24 * HOUR + 1)
    customer.tell("case.resolved", START + 30 * HOUR, case="A")
    assert customer.stage == "steady"


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"severity": 4}, "steady"),
        ({"status": "waiting_on_customer"}, "steady"),
        ({"status": "waiting_on_supplier"}, "strained"),
    ],
)
def test_a_slight_case_or_one_that_waits_for_the_customer_does_not_strain(
    change: dict[str, object], stage: str
) -> None:
    customer = opened(3)
    customer.tell("case.updated", START + HOUR, case="A", **change)
    customer.tick(START + 10 * DAY)
    assert customer.stage == stage


def test_a_reopened_case_has_another_24_hours() -> None:
    customer = opened(3)
    customer.tell("case.resolved", START + HOUR, case="A")
    customer.tell("case.reopened", START + 40 * HOUR, case="A")
    customer.tick(START + 64 * HOUR)
    assert customer.stage == "steady"
    customer.tick(START + 64 * HOUR + 1)
    assert customer.stage == "strained"


def test_a_missed_promise_strains_until_a_new_one_or_its_withdrawal() -> None:
    customer = Customer()
    eta = "2030-01-01T00:00:00Z"
    at = 1_893_456_000_000
    customer.tell("case.opened", at - DAY, case="A", category="net", severity=4, eta=eta)
    customer.tick(at)
    assert customer.stage == "steady"
    customer.tick(at + 1)
    assert customer.stage == "strained"
    customer.tell("case.updated", at + HOUR, case="A", eta=None)
    assert customer.stage == "steady"


@pytest.mark.parametrize(
    ("tones", "apart", "stage"),
    [
        ((-0.3, -0.3), HOUR, "strained"),
        ((-0.3, -0.29), HOUR, "steady"),
        ((-0.9,), HOUR, "steady"),
        ((-0.9, 0.2, -0.3), HOUR, "strained"),
        ((-0.3, -0.3), 7 * DAY, "steady"),
    ],
)
def test_two_messages_of_a_week_with_a_mean_of_minus_0_3_strain(
    tones: tuple[float, ...], apart: int, stage: str
) -> None:
    customer = Customer()
    for n, tone in enumerate(tones):
        customer.tell("message.received", START + n * apart, channel="chat", sentiment=tone)
    assert customer.stage == stage


def test_bad_tone_is_forgotten_when_its_week_ends() -> None:
    customer = Customer()
    for n in range(2):
        customer.tell("message.received", MIDNIGHT + n, channel="chat", sentiment=-0.5)
    customer.tick(MIDNIGHT + 7 * DAY - 1)
    assert customer.stage == "strained"
    customer.tick(MIDNIGHT + 7 * DAY)
    assert customer.stage == "steady"


@pytest.mark.parametrize(("reports", "stage"), [(2, "steady"), (3, "strained")])
def test_two_recurrences_of_an_open_problem_strain(reports: int, stage: str) -> None:
    assert reported(reports).stage == stage


@pytest.mark.parametrize(
    ("instrument", "score", "stage"),
    [("csat", 2, "strained"), ("ces", 2, "strained"), ("csat", 3, "steady"), ("ces", 3, "steady")],
)
def test_a_bad_answer_strains_for_7_days(instrument: str, score: int, stage: str) -> None:
    customer = Customer()
    customer.tell("survey.answered", START, instrument=instrument, score=score)
    assert customer.stage == stage
    customer.tick(START + 7 * DAY - 1)
    assert customer.stage == stage
    customer.tick(START + 7 * DAY)
    assert customer.stage == "steady"


# ---- at risk -------------------------------------------------------------------------------------------------------


def relapsing(cases: int = 3, **problem: object) -> Customer:
    """So many cases of one problem on one product, all solved."""
    return reported(cases, solved=False, **problem)


@pytest.mark.parametrize(("cases", "stage"), [(2, "steady"), (3, "at_risk")])
def test_three_solved_cases_of_one_problem_and_product_are_a_relapse_risk(cases: int, stage: str) -> None:
    assert relapsing(cases).stage == stage


def test_without_a_product_there_is_no_relapse_risk() -> None:
    assert relapsing(3, product=None).stage == "steady"


def test_the_relapse_risk_goes_when_the_product_is_replaced() -> None:
    customer = relapsing()
    customer.tell("product.replaced", START + 3 * DAY, old="T1", new="T2")
    assert customer.stage == "steady"


def test_the_relapse_risk_goes_60_days_after_the_first_of_the_three() -> None:
    customer = relapsing()
    customer.tick(START + 60 * DAY - 1)
    assert customer.stage == "at_risk"
    customer.tick(START + 60 * DAY)
    assert customer.stage == "steady"


def test_with_anything_open_nobody_is_at_risk_by_the_rules() -> None:
    customer = relapsing()
    customer.tell("case.opened", START + 5 * DAY, case="Z", category="bill", severity=4)
    assert customer.stage == "steady"


@pytest.mark.parametrize(("score", "stage"), [(6, "at_risk"), (7, "steady")])
def test_a_detractor_is_at_risk_for_90_days(score: int, stage: str) -> None:
    customer = Customer()
    customer.tell("survey.answered", START, instrument="nps", score=score)
    assert customer.stage == stage
    customer.tick(START + 90 * DAY - 1)
    assert customer.stage == stage
    customer.tick(START + 90 * DAY)
    assert customer.stage == "steady"


def used(*values: tuple[int, float]) -> Customer:
    """Usage measured so many days after MIDNIGHT."""
    customer = Customer()
    for day, value in values:
        customer.tell("usage.measured", MIDNIGHT + day * DAY, metric="minutes", value=value)
    return customer


@pytest.mark.parametrize(
    ("values", "stage"),
    [
        (((0, 150), (10, 50)), "at_risk"),  # 50 over a mean of 100
        (((0, 149), (10, 50)), "steady"),
        (((10, 1),), "steady"),  # one value in 30 days says nothing
        (((0, 150), (1, 50)), "steady"),  # both in the week: 100 over 100
        (((0, 0), (10, 0)), "steady"),  # no mean to compare with
    ],
)
def test_usage_at_half_of_the_month_is_a_risk(values: tuple[tuple[int, float], ...], stage: str) -> None:
    assert used(*values).stage == stage


def test_the_usage_ratio_is_unknown_without_a_value_in_7_days() -> None:
    customer = used((0, 150), (10, 50))
    customer.tick(MIDNIGHT + 17 * DAY - 1)
    assert customer.stage == "at_risk"
    customer.tick(MIDNIGHT + 17 * DAY)
    assert customer.stage == "steady"


# ---- thriving ------------------------------------------------------------------------------------------------------


def praised() -> Customer:
    """Two messages with a mean tone of 0.4, today."""
    customer = Customer()
    for tone in (0.3, 0.5):
        customer.tell("message.received", MIDNIGHT, channel="chat", sentiment=tone)
    return customer


def test_one_reason_to_thrive_is_not_enough() -> None:
    assert praised().stage == "steady"
    assert used((0, 100), (10, 200)).stage == "steady"


@pytest.mark.parametrize(("score", "stage"), [(9, "thriving"), (8, "steady")])
def test_a_promoter_with_a_good_tone_thrives(score: int, stage: str) -> None:
    customer = praised()
    customer.tell("survey.answered", MIDNIGHT, instrument="nps", score=score)
    assert customer.stage == stage


@pytest.mark.parametrize(("value", "stage"), [(136, "thriving"), (135, "steady")])
def test_growing_usage_with_a_good_tone_thrives(value: float, stage: str) -> None:
    customer = used((-20, 100), (0, value))  # 1.15 of the mean from 135.3 on
    for _ in range(2):
        customer.tell("message.received", MIDNIGHT, channel="chat", sentiment=0.4)
    assert customer.stage == stage


def test_thriving_ends_with_its_evidence() -> None:
    customer = praised()
    customer.tell("survey.answered", MIDNIGHT, instrument="nps", score=10)
    customer.tick(MIDNIGHT + 7 * DAY)
    assert (customer.stage, customer.previous) == ("steady", "thriving")


# ---- the order of the table ----------------------------------------------------------------------------------------


def test_the_first_stage_whose_rule_matches_is_the_stage() -> None:
    """All of them hold at once; taking away the first shows the next."""
    customer = praised()
    customer.tell("survey.answered", MIDNIGHT, instrument="nps", score=10)
    seen = [customer.stage]
    customer.tell("survey.answered", MIDNIGHT + 1, instrument="nps", score=0)
    seen.append(customer.stage)
    customer.tell("survey.answered", MIDNIGHT + 2, instrument="ces", score=1)
    seen.append(customer.stage)
    customer.tell("case.opened", MIDNIGHT + 3, case="A", category="net", severity=1)
    seen.append(customer.stage)
    customer.tell("case.resolved", MIDNIGHT + 4, case="A")
    seen.append(customer.stage)
    assert seen == ["thriving", "at_risk", "strained", "crisis", "recovering"]


def test_a_due_time_that_waits_for_a_tick_is_not_true_yet() -> None:
    customer = opened(3)
    state, t = customer.state, START + 30 * HOUR
    assert STAGES[rule_stage(state, Tracker(STEADY, START), t).stage] == "strained"
    waiting = [START + 24 * HOUR + 1]
    assert STAGES[rule_stage(state, Tracker(STEADY, START), t, waiting).stage] == "steady"


# ---- lifecycle -----------------------------------------------------------------------------------------------------


def regular(gaps_days: tuple[int, ...]) -> tuple[Customer, int]:
    """A customer heard of with these gaps between active days, and when last."""
    customer, t = Customer(), MIDNIGHT
    customer.tell("message.received", t, channel="chat")
    for gap in gaps_days:
        t += gap * DAY
        customer.tell("message.received", t, channel="chat")
    return customer, t


def test_a_customer_is_new_for_30_days_since_the_first_signal() -> None:
    customer = Customer()
    customer.tell("order.placed", START)
    customer.tick(START + 30 * DAY - 1)
    assert customer.lifecycle == "new"
    customer.tick(START + 30 * DAY)
    assert customer.lifecycle == "active"


def test_account_opened_counts_before_the_first_signal_and_makes_a_customer_new_again() -> None:
    customer, last = regular((10, 10, 10, 10))
    customer.tick(last + 60 * DAY)
    assert customer.lifecycle == "dormant"
    customer.tell("account.opened", last + 61 * DAY)
    assert customer.lifecycle == "new"


@pytest.mark.parametrize(
    ("gaps", "silence"),
    [
        ((5, 5, 5), 30 * DAY),  # 3 x 5 d is less than the floor of 30 d
        ((12, 12, 12), 36 * DAY + 1),
        ((1, 12, 100), 36 * DAY + 1),  # the median, not the mean
        ((12, 13, 12, 13), 37 * DAY + DAY // 2 + 1),  # of an even number the middle
        ((10, 10, 10), 30 * DAY + 1),  # more than 3 x, not just 3 x
    ],
)
def test_dormant_is_30_silent_days_and_more_than_3_times_the_own_median_gap(
    gaps: tuple[int, ...], silence: int
) -> None:
    customer, last = regular(gaps)
    assert dormant_from(customer.state) == last + silence
    customer.tick(last + silence - 1)
    assert customer.lifecycle in {"new", "active"}
    customer.tick(last + silence)
    assert customer.lifecycle == "dormant"
    customer.tell("message.received", last + silence + DAY, channel="chat")
    assert customer.lifecycle == "active"


def test_with_fewer_than_3_gaps_nobody_is_dormant() -> None:
    customer, last = regular((1, 1))
    customer.tick(last + 365 * DAY)
    assert customer.lifecycle == "active"


def test_what_we_send_is_no_sign_of_life() -> None:
    customer, last = regular((5, 5, 5))
    customer.tell("contact.made", last + 29 * DAY, domain="marketing", kind="newsletter", channel="email")
    customer.tick(last + 30 * DAY)
    assert customer.lifecycle == "dormant"


@pytest.mark.parametrize("severity", [1, 4])
def test_nobody_is_dormant_in_crisis_or_with_an_open_case(severity: int) -> None:
    customer, last = regular((5, 5, 5))
    customer.tell("case.opened", last, case="A", category="net", severity=severity)
    if severity == 1:  # resolved, but without evidence: the crisis goes on with nothing open
        customer.tell("case.resolved", last, case="A", resolution_code="auto_closed")
    customer.tick(last + 365 * DAY)
    assert customer.lifecycle == "active"


def test_closed_is_closed_until_the_account_is_opened_again() -> None:
    customer = Customer()
    customer.tell("account.opened", START)
    customer.tell("account.closed", START + DAY)
    assert customer.lifecycle == "closed"
    customer.tick(START + 300 * DAY)
    assert customer.lifecycle == "closed"
    customer.tell("account.opened", START + 301 * DAY)
    assert customer.lifecycle == "new"
