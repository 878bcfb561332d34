"""Principles in shadow: what they would have said, beside the answer."""

from __future__ import annotations

from membrane.decide import decide_beside
from membrane.record import Obligation
from membrane.settings import TenantSettings
from membrane.shadow import Shadow
from membrane.times import DAY, HOUR, format_time
from tests.membrane.fakes_principles import NOON, candidate, principle, principle_set, request, view

SETTINGS = TenantSettings()
TRIED = {"status": "shadow"}
PROBLEM = {"case.open": 1}


def tried(principles, seen, *candidates, **more):
    asked = request(*(candidates or [candidate()]))
    found = decide_beside(asked, seen, principles, SETTINGS, t=NOON, **more).shadow
    return [(one.principle, one.candidate, one.verdict, one.would_be) for one in found]


def test_the_verdict_that_would_have_been_is_told_for_each_candidate_of_its_scope():
    principles = principle_set(principle("case.open > 0", **TRIED), principle("case.open > 9", **TRIED))
    found = tried(principles, view(values=PROBLEM), candidate(), candidate("service", "agent_call"))
    assert found == [("forbid-it-0", "marketing-upsell", "allow", "forbid")]


def test_what_is_forbidden_anyway_would_not_have_changed():
    principles = principle_set(principle("case.open > 0"), principle("case.open > 0", "defer", **TRIED))
    assert tried(principles, view(values=PROBLEM)) == [("defer-it-1", "marketing-upsell", "forbid", "forbid")]
    assert not Shadow("p", "marketing", "c", "forbid", "forbid").changes


def test_who_lost_is_deferred_already():
    principles = principle_set(principle("case.open > 0", "defer", **TRIED))
    found = tried(principles, view(values=PROBLEM), candidate(id="a"), candidate(id="b"))
    assert [one[1:] for one in found] == [("a", "allow", "defer"), ("b", "defer", "defer")]


def test_another_manner_is_no_other_verdict():
    principles = principle_set(principle("case.open > 0", "modify", set={"tone": "calm"}, **TRIED))
    assert tried(principles, view(values=PROBLEM)) == [("modify-it-0", "marketing-upsell", "allow", "allow")]


def test_what_would_be_owed_is_told_once_for_all_candidates():
    promise = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case"}
    principles = principle_set(principle("case.open > 0", "require", obligation=promise, **TRIED))
    two = candidate(id="a"), candidate(id="b")
    assert tried(principles, view(values=PROBLEM), *two) == [("require-it-0", "", "not_owed", "owed")]
    known = Obligation("o", "require-it-0", "agent_call", "service", NOON - HOUR, NOON + HOUR)
    assert tried(principles, view(values=PROBLEM, owed=[known])) == [("require-it-0", "", "owed", "owed")]
    assert tried(principles, view()) == []


def test_a_trial_keeps_to_its_term():
    later = principle("case.open > 0", valid_from=format_time(NOON + DAY), **TRIED)
    assert tried(principle_set(later), view(values=PROBLEM)) == []


def test_nothing_is_tried_where_no_principle_is_heard():
    principles = principle_set(principle("case.open > 0 || true", **TRIED))
    help_wanted = candidate("service", "agent_call")
    scope = {"domains": ["service"], "kinds": ["agent_call"]}
    caring = principle_set(principle("case.open > 0", applies=scope, **TRIED))
    assert tried(principles, view(values=PROBLEM), degraded=["record_unreadable"]) == []
    assert tried(caring, view(values=PROBLEM), help_wanted, degraded=["model_missing"]) == []
    assert len(tried(caring, view(values=PROBLEM), help_wanted)) == 1


def test_what_the_deadline_leaves_no_time_for_is_not_tried():
    principles = principle_set(principle("case.open > 0", **TRIED))
    assert tried(principles, view(values=PROBLEM), expired=lambda: True) == []
