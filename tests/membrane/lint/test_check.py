"""One planted fault of each kind is found, and the customer who is shown shows it; soundness is not called a fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.lint.check import lint
from membrane.lint.customers import MOST_TRIED
from membrane.lint.findings import Finding
from membrane.lint.plausible import plausible
from membrane.obligations import required
from membrane.principle_file import Draft
from membrane.principles import Principle
from membrane.scope import all_slots
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR
from membrane.vocabulary import FindingKind, InteractionClass
from tests.membrane.fakes_principles import NOON, record
from tests.membrane.lint.drafts import default_draft, draft, draft_of_text, found, rule
from tests.membrane.test_conditions import conditions

EVERY_MONTH = {"kind": "service_credit", "owner": "billing", "due": "72h", "every": "720h"}


def by_id(read: Draft) -> dict[str, Principle]:
    return {one.id: one for one in read.principles.principles}


def holds(read: Draft, finding: Finding) -> bool:
    """Whether each principle says of the customer who is shown what the finding says it does."""
    assert finding.witness is not None
    rules = by_id(read)
    said = {name: rules[name].matches(finding.witness.given) for name in finding.witness.matches}
    return said == finding.witness.matches


def test_nothing_is_found_in_the_pack_that_ships():
    report = lint(default_draft())
    assert (report.findings, report.complete) == ([], True)


# ---- contradiction -------------------------------------------------------------------------------------------------


def test_what_is_owed_and_forbidden_for_the_same_reason_is_a_contradiction():
    calls = {"domains": ["service"], "kinds": ["agent_call"]}
    rules = (rule("problem.recurrences > 3", "require"), rule("case.open > 0", applies=calls))
    [one] = found(FindingKind.CONTRADICTION, *rules)
    assert (one.severity, one.principles, one.witness.matches) == ("error", ("a", "b"), {"a": True, "b": True})
    assert holds(draft(*rules), one)
    slots = [slot for slot in all_slots() if slot.kind == "agent_call" and slot.direction == "outbound"]
    blocking = [draft(*rules).principles.etiquette(slot).blocking for slot in slots]
    assert all(any(by.matches(one.witness.given) for by in rules_of_slot) for rules_of_slot in blocking)


@pytest.mark.parametrize(
    "other",
    [
        rule("profile.vulnerable", applies={"domains": ["service"], "kinds": ["agent_call"]}),
        rule("case.open > 0", applies={"domains": ["service"], "kinds": ["agent_call"], "channels": ["phone"]}),
        rule("case.open > 0", applies={"domains": ["service"], "kinds": ["status_call"]}),
    ],
    ids=["for a reason of its own", "by one channel", "another call"],
)
def test_an_exception_is_no_contradiction(other: dict[str, Any]):
    assert found(FindingKind.CONTRADICTION, rule("problem.recurrences > 3", "require"), other) == []


def test_two_manners_that_exclude_each_other_are_a_contradiction():
    rules = (rule("case.open > 0", "modify"), rule('stage.name == "crisis"', "modify", set={"tone": "cold"}))
    [one] = found(FindingKind.CONTRADICTION, *rules)
    assert one.witness.matches == {"a": True, "b": True}
    assert holds(draft(*rules), one)
    elsewhere = {"domains": ["sales"]}
    assert found(FindingKind.CONTRADICTION, rules[0], rules[1] | {"applies": elsewhere}) == []
    assert found(FindingKind.CONTRADICTION, rules[0], rule("case.open == 0", "modify", set={"tone": "cold"})) == []


# ---- unreachable, due_time, can_error ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        'stage.name == "crisis" && stage.name == "recovering"',
        'stage.name == "crisis" && lifecycle == "unknown"',
        "case.open == 0 && case.eta_missed > 0",
        "case.open > 24",
        "stage.p_crisis > 1.0",
        'lifecycle == "dormant" && case.open > 0',
    ],
)
def test_a_condition_that_holds_for_nobody_is_unreachable(when: str):
    [one] = found(FindingKind.UNREACHABLE, rule(when))
    assert (one.severity, one.witness.matches) == ("error", {"a": False})
    assert holds(draft(rule(when)), one)
    assert plausible(one.witness.given.values)


def test_what_only_a_request_can_say_makes_nothing_owed():
    assert found(FindingKind.UNREACHABLE, rule("about.known && case.open > 0", "require")) != []
    assert found(FindingKind.UNREACHABLE, rule("about.known && case.open > 0")) == []


def test_a_channel_that_the_scope_leaves_out_is_unreachable():
    by_sms = {"domains": ["marketing"], "channels": ["sms"]}
    assert found(FindingKind.UNREACHABLE, rule('request.channel == "email"', applies=by_sms)) != []
    assert found(FindingKind.UNREACHABLE, rule('request.channel == "sms"', applies=by_sms)) == []


@pytest.mark.parametrize(
    ("when", "fact", "passed"),
    [
        ('stage.name == "recovering" && stage.age > duration("400h")', "stage.age", 400 * HOUR),
        ('lifecycle == "new" && customer.tenure >= duration("720h")', "customer.tenure", 720 * HOUR),
        ('stage.name == "steady" && episode.age > duration("1h")', "episode.age", HOUR),
        ('stage.age > duration("24h") && stage.age > duration("72h")', "stage.age", 24 * HOUR),
        ('risk.relapse || (lifecycle == "new" && customer.tenure > duration("800h"))', "customer.tenure", 800 * HOUR),
    ],
)
def test_an_age_that_changes_nothing_when_it_passes_is_a_due_time_that_cannot_fire(when: str, fact: str, passed: int):
    given = draft(rule(when))
    [one] = found(FindingKind.DUE_TIME, rule(when))
    assert one.severity == "error"
    assert holds(given, one)
    assert found(FindingKind.UNREACHABLE, rule(when)) == []
    before, after = (
        replace(one.witness.given, values={**one.witness.given.values, fact: age}) for age in (passed, passed + 1)
    )
    [principle] = given.principles.principles
    cannot_be = not (plausible(before.values) and plausible(after.values))
    assert cannot_be or principle.matches(before) == principle.matches(after)


def test_an_age_that_turns_the_condition_is_none():
    for when in ('stage.age > duration("72h")', 'stage.name == "recovering" && stage.age >= duration("335h")'):
        assert found(FindingKind.DUE_TIME, rule(when)) == []


@pytest.mark.parametrize("when", ["size(cases) > 1 && cases[2].severity == 1", "case.open * 9000000000000000000 > 5"])
@pytest.mark.parametrize("effect", ["forbid", "modify"])
def test_a_condition_that_fails_for_somebody_is_told_with_its_safe_side(when: str, effect: str):
    given = draft(rule(when, effect))
    [one] = found(FindingKind.CAN_ERROR, rule(when, effect))
    assert one.witness.matches == {"a": effect == "forbid"}
    assert given.principles.principles[0].condition.evaluate(one.witness.given) is None
    assert holds(given, one)


# ---- shadowed ------------------------------------------------------------------------------------------------------

ALL_SELLING = {"domains": ["marketing", "sales"]}


def test_a_principle_beside_one_that_always_says_as_much_is_shadowed():
    rules = (
        rule('stage.name == "crisis" && case.open > 2', "defer"),
        rule('stage.name in ["crisis", "strained"]', applies=ALL_SELLING),
    )
    [one] = found(FindingKind.SHADOWED, *rules)
    assert (one.severity, one.principles, one.witness.matches) == ("warning", ("a", "b"), {"a": True, "b": True})
    assert holds(draft(*rules), one)


def test_of_two_that_say_the_same_the_later_is_shadowed():
    [one] = found(FindingKind.SHADOWED, rule("case.open > 2"), rule("case.open >= 3"))
    assert one.principles == ("b", "a")


def test_what_another_makes_owed_already_and_sooner_is_shadowed():
    later = {"kind": "agent_call", "owner": "service", "due": "8h", "once_per": "problem"}
    rules = (rule("problem.recurrences > 3", "require", obligation=later), rule("problem.recurrences > 1", "require"))
    [one] = found(FindingKind.SHADOWED, *rules)
    assert one.principles == ("a", "b")
    assert holds(draft(*rules), one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule("case.open > 2"), rule("case.open > 1", "defer")),
        (rule("case.open > 2", applies=ALL_SELLING), rule("case.open > 1")),
        (rule("case.open > 1", "defer"), rule("case.open > 2 && risk.relapse")),
        (rule("case.open > 2", "require"), rule("case.open > 1")),
        (rule("case.open > 2", "modify"), rule("case.open > 1", "modify", set={"route": "senior_agent"})),
    ],
    ids=["weaker", "narrower", "matches less", "owes", "changes something else"],
)
def test_one_that_still_has_something_to_say_is_not_shadowed(one: dict[str, Any], other: dict[str, Any]):
    assert found(FindingKind.SHADOWED, one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "is_shadowed"),
    [
        ({}, {"status": "draft"}, False),
        ({}, {"status": "shadow"}, False),
        ({}, {"status": "retired"}, False),
        ({}, {"rollout": "90%"}, False),
        ({}, {"valid_to": "2026-12-31"}, False),
        ({"valid_to": "2026-11-30"}, {"valid_to": "2026-12-31"}, True),
        ({"status": "draft"}, {}, True),
        ({"status": "draft"}, {"status": "draft"}, True),
        ({"status": "retired"}, {}, False),
    ],
)
def test_only_what_counts_as_long_and_for_as_many_makes_another_needless(one, other, is_shadowed):
    rules = rule("case.open > 2", "defer", **one), rule("case.open > 1", **other)
    assert bool(found(FindingKind.SHADOWED, *rules)) is is_shadowed


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        ({}, {}, True),
        ({"status": "retired"}, {}, False),
        ({"status": "draft"}, {}, False),
        ({"valid_to": "2026-11-30"}, {"valid_from": "2026-12-01"}, False),
        ({"valid_to": "2026-12-01"}, {"valid_from": "2026-12-01"}, True),
    ],
)
def test_only_what_is_in_force_at_the_same_time_contradicts(one, other, contradict):
    """A manner that retired when another took its place is no error."""
    manners = (
        rule("case.open > 1", "modify", set={"tone": "warm"}, **one),
        rule("case.open > 1", "modify", set={"tone": "plain"}, **other),
    )
    assert bool(found(FindingKind.CONTRADICTION, *manners)) is contradict
    debt = rule("problem.recurrences > 3", "require", **one)
    block = rule("problem.recurrences > 2", applies={"domains": ["service"], "kinds": ["agent_call"]}, **other)
    assert bool(found(FindingKind.CONTRADICTION, debt, block)) is contradict


def test_what_is_not_live_fills_no_gap():
    trouble = 'stage.name in ["crisis", "strained", "recovering"]'
    for status in ("draft", "shadow", "retired"):
        gaps = found(FindingKind.GAP, rule(trouble, applies=ALL_SELLING, status=status))
        assert InteractionClass.PERSUASION in {one.witness.candidate.cls for one in gaps}


def test_what_has_ended_by_today_fills_no_gap_and_starves_nobody():
    trouble = rule('stage.name in ["crisis", "strained", "recovering"]', applies=ALL_SELLING)
    ended = draft(trouble | {"valid_to": "2026-12-01"})
    starving = draft(rule('stage.name != "none"') | {"valid_to": "2026-12-01"})
    end = ended.principles.principles[0].life.valid_to
    for t, gap, starved in ((end - 1, False, True), (end, True, False), (None, False, True)):
        gaps = [one for one in lint(ended, t=t).findings if one.kind is FindingKind.GAP]
        assert (InteractionClass.PERSUASION in {one.witness.candidate.cls for one in gaps}) is gap
        assert any(one.kind is FindingKind.STARVATION for one in lint(starving, t=t).findings) is starved


# ---- the set as a whole --------------------------------------------------------------------------------------------


def test_a_class_of_which_nothing_is_said_in_trouble_is_a_gap():
    one, *others = [
        gap
        for gap in found(FindingKind.GAP, rule('stage.name == "crisis"', applies=ALL_SELLING))
        if gap.witness.candidate.cls is InteractionClass.PERSUASION
    ]
    assert (one.severity, one.principles, others) == ("warning", ("a",), [])
    assert one.witness.given.get("stage.name") == "strained"
    assert one.witness.matches == {"a": False}
    assert "strained or recovering" in one.text["en"]


def test_what_is_guaranteed_has_no_gap():
    classes = {one.witness.candidate.cls for one in found(FindingKind.GAP)}
    assert classes == {"persuasion", "survey", "care_money", "money_in"}


def test_a_department_that_may_contact_nobody_starves():
    rules = (rule('stage.name == "crisis"'), rule('stage.name != "crisis"', "defer"))
    [one] = found(FindingKind.STARVATION, *rules)
    assert (one.severity, one.principles, one.witness.candidate.domain) == ("warning", ("b",), "marketing")
    slots = [slot for slot in all_slots() if slot.domain == "marketing" and slot.direction == "outbound"]
    etiquettes = [draft(*rules).principles.etiquette(slot) for slot in slots]
    assert all(any(by.matches(one.witness.given) for by in etiquette.blocking) for etiquette in etiquettes)


def test_a_cap_of_nothing_starves_too_and_a_hard_way_to_a_contact_does_not():
    none_at_all = [{"id": "none", "domains": ["survey"], "at_most": 0, "per": "1h"}]
    [one] = found(FindingKind.STARVATION, caps=none_at_all)
    assert (one.principles, one.witness.matches) == (("none",), {})
    strict = (rule('stage.name != "thriving"'), rule("case.open == 0"), rule('consent.state != "denied"', "defer"))
    assert found(FindingKind.STARVATION, *strict) == []


# ---- money, numbers, and what does not load ------------------------------------------------------------------------


def test_money_again_and_again_without_a_most_is_told_and_is_owed_again_and_again():
    rules = (rule('stage.name == "steady"', "require", obligation=EVERY_MONTH),)
    [one] = found(FindingKind.UNBOUNDED, *rules)
    assert (one.severity, one.witness.matches) == ("error", {"a": True})
    assert holds(draft(*rules), one)
    customer = record()
    opened = [
        required(draft(*rules).principles, customer, TenantSettings(), t=at, at=at)
        for at in (NOON, NOON + 30 * DAY, NOON + 60 * DAY)
    ]
    assert [len(some) for some in opened] == [1, 1, 1]
    assert (
        found(
            FindingKind.UNBOUNDED, rule("risk.relapse", "require", obligation=EVERY_MONTH | {"at_most": {"3": "8760h"}})
        )
        == []
    )


def test_care_without_a_most_is_a_warning():
    calls = EVERY_MONTH | {"kind": "status_call"}
    assert [
        one.severity for one in found(FindingKind.UNBOUNDED, rule("risk.relapse", "require", obligation=calls))
    ] == ["warning"]


def test_a_number_of_the_text_that_nothing_stands_behind_is_told_for_each_language():
    text = {"es": "Más de cuatro días en crisis.", "en": "More than three days in crisis."}
    rules = (rule('stage.name == "crisis" && stage.age > duration("72h")', text=text),)
    [one] = found(FindingKind.NUMBER, *rules)
    assert (one.severity, "cuatro días" in one.text["es"], one.witness.matches) == ("warning", True, {"a": True})
    assert holds(draft(*rules), one)


def test_a_missing_translation_stays_a_fault_and_is_told_under_its_kind():
    given = draft(rule("case.open > 2", text={"en": "Wait."}), rule("case.open > 0", text={"es": "Espere.", "en": " "}))
    assert [(fault.field, fault.kind) for fault in given.faults] == [
        ("principles[0].text", "missing_translation"),
        ("principles[1].text.en", "missing_translation"),
    ]
    one, other = lint(given).findings
    assert (one.kind, one.severity, one.principles) == (FindingKind.MISSING_TRANSLATION, "error", ("a",))
    assert holds(given, one)
    assert holds(given, other)


def test_a_guarantee_touched_stays_a_fault_and_is_shown_by_what_would_be_kept_back():
    given = draft(
        rule("case.open > 2", applies={"domains": ["service"]}),
        caps=[{"id": "few", "domains": ["legal"], "at_most": 1, "per": "1h"}],
    )
    one, other = lint(given).findings
    assert (one.kind, one.principles, one.witness.candidate.kind) == (FindingKind.GUARANTEE, ("a",), "ticket_reply")
    assert holds(given, one)
    assert (other.principles, other.witness) == (("few",), None)


def test_a_principle_whose_condition_cannot_be_read_is_shown_by_nobody():
    [one] = lint(draft(rule("case.opne > 2", text={"en": "Wait."}))).findings
    assert one.witness is None


# ---- a tenant's own file -------------------------------------------------------------------------------------------

LAYER = """\
pack: ours
revision: 2026-11-23.1
extends: default
principles:
  - id: patience
    owner: sales
    text: {es: "Paciencia.", en: "Patience."}
    applies: {domains: [%(domain)s]}
    when: %(when)s
    effect: %(effect)s
"""


def layer(when: str, effect: str = "forbid", domain: str = "sales", base: Draft | None = None) -> list[Finding]:
    """What is found in a tenant's file with one principle, laid over the pack that ships or over another one."""
    text = LAYER % {"when": when, "effect": effect, "domain": domain}
    under = (default_draft() if base is None else base).principles
    return lint(draft_of_text(text, under)).findings


def test_a_tenants_file_is_looked_at_together_with_what_it_extends():
    alone = lint(draft_of_text(LAYER % {"when": "case.open > 4", "effect": "forbid", "domain": "sales"})).findings
    assert {one.kind for one in alone} == {FindingKind.GAP}
    assert [one for one in layer("problem.recurrences == 2") if one.kind is not FindingKind.SHADOWED] == []


def test_what_the_base_says_already_is_shadowed_at_the_place_in_the_tenants_file():
    [one] = layer('stage.name == "crisis"', domain="marketing")
    assert (one.kind, one.principles, one.line) == (
        FindingKind.SHADOWED,
        ("patience", "no-selling-in-crisis"),
        5,
    )
    rules = {rule.id: rule for rule in default_draft().principles.principles}
    assert rules["no-selling-in-crisis"].matches(one.witness.given)


def test_a_tenants_file_that_contradicts_or_starves_beside_the_base_is_told():
    base = draft(rule("problem.recurrences > 3", "require"), rule('stage.name != "crisis"'))
    calls = LAYER.replace("[%(domain)s]", "[service], kinds: [agent_call]") % {
        "when": "case.open > 0",
        "effect": "defer",
    }
    [one] = [
        one for one in lint(draft_of_text(calls, base.principles)).findings if one.kind is FindingKind.CONTRADICTION
    ]
    assert (one.principles, one.line) == (("a", "patience"), 5)
    [starved] = [
        one
        for one in layer('stage.name == "crisis"', domain="marketing", base=base)
        if one.kind is FindingKind.STARVATION
    ]
    assert set(starved.principles) <= {"b", "patience"}


def test_what_is_wrong_with_the_base_alone_is_told_where_the_file_extends_it_or_not_at_all():
    base = draft(rule("case.open < 0"), rule("case.open > 2"), rule("case.open > 3"))
    found_in_base = {one.kind for one in lint(base).findings}
    assert found_in_base == {FindingKind.UNREACHABLE, FindingKind.SHADOWED, FindingKind.GAP}
    findings = layer("risk.relapse && case.open == 0", base=base)
    assert {one.kind for one in findings} == {FindingKind.GAP}
    assert {one.line for one in findings} <= {3, 5}


# ---- the report ----------------------------------------------------------------------------------------------------


def test_findings_have_their_place_and_come_in_the_order_of_the_file():
    text = """\
pack: ours
revision: 2026-11-23.1
principles:
  - id: never
    owner: service
    text: {es: "Nunca, en 9 horas.", en: "Never."}
    applies: {domains: [marketing]}
    when: case.open < 0
    effect: forbid
"""
    findings = lint(draft_of_text(text)).findings
    places = [(one.line, one.column) for one in findings if one.kind is not FindingKind.GAP]
    assert places == [(6, 16), (8, 11)]
    assert [(one.line, one.column) for one in findings] == sorted((one.line, one.column) for one in findings)


def test_the_search_is_bounded_and_says_when_it_stopped():
    facts = [f"case.open != {n} && features.contacts_in_{w} != {n}.0" for n, w in enumerate(("1h", "24h", "7d", "30d"))]
    conditions = [f"({' && '.join(facts)}) && stage.p_crisis > 0.{n} && risk.churn < 0.{n}" for n in range(1, 9)]
    report = lint(draft(*(rule(f"{one} && problem.recurrences + 1 < 0") for one in conditions)))
    assert (report.complete, report.tried <= MOST_TRIED) == (False, True)
    assert all(one.kind is FindingKind.GAP for one in report.findings)  # nothing is claimed that was not gone through


@given(st.lists(conditions, min_size=1, max_size=3), st.sampled_from(["forbid", "defer", "modify", "require"]))
@settings(max_examples=60)
def test_whatever_loads_can_be_checked_and_is_shown_rightly(texts: list[str], effect: str):
    read = draft(*(rule(text, effect) for text in texts))
    assert read.faults == []
    for one in lint(read).findings:
        assert one.witness is None or holds(read, one)


@pytest.mark.parametrize(
    "when",
    [
        "case.open > 9223372036854775807 || case.open < -9223372036854775807",
        "features.silence > 1e308 || features.order_value_30d < -1e308",
        'stage.age > duration("999999h") || stage.age >= duration("0s")',
        "features.silence > 0.0000000001 && features.silence < 0.0000000002",
        "case.open in [] || risk.relapse == (case.open > 2)",
        "true",
        "false",
    ],
)
def test_wild_literals_are_no_trouble(when: str):
    read = draft(rule(when))
    assert read.faults == []
    for one in lint(read).findings:
        assert one.witness is None or (holds(read, one) and one.form()["witness"]["given"] is not None)


def test_the_same_file_gives_the_same_report():
    rules = [rule('stage.name == "crisis"'), rule("case.open > 2 && risk.relapse")]
    assert lint(draft(*rules)) == lint(draft(*rules))
