"""Inline tests of principles."""

from membrane.principle_tests import Outcome, run_tests
from membrane.times import HOUR
from tests.membrane.fakes_principles import principle, principle_set


def results(when, *tests, effect="forbid"):
    return run_tests(principle_set(principle(when, effect, tests=list(tests))))


def test_a_test_compares_what_the_condition_says_with_what_the_file_says():
    found = results(
        'stage.name == "crisis"',
        {"given": {"stage.name": "crisis"}, "matches": True},
        {"given": {"stage.name": "steady"}, "matches": True},
    )
    assert found == [
        Outcome("forbid-it-0", "principles[0].tests[0]", expected=True, actual=True),
        Outcome("forbid-it-0", "principles[0].tests[1]", expected=True, actual=False),
    ]
    assert [result.passed for result in found] == [True, False]


def test_the_error_side_is_that_of_the_effect():
    assert [result.passed for result in results("incident.active", {"given": "error", "matches": True})] == [True]
    assert [result.passed for result in results("incident.active", {"given": "error", "matches": False})] == [False]


def test_facts_of_every_type_can_be_given():
    given = {"stage.age": "72h", "stage.p_crisis": 1, "risk.relapse": True, "features.contacts_7d": 2.5, "case.open": 3}
    when = (
        'stage.age >= duration("72h") && stage.p_crisis > 0.9 && risk.relapse '
        "&& features.contacts_7d > 2.0 && case.open > 2"
    )
    assert results(when, {"given": given, "matches": True})[0].passed
    assert results('stage.age >= duration("1h")', {"given": {"stage.age": "0s"}, "matches": False})[0].passed


def test_open_cases_can_be_given():
    when = 'cases.exists(c, c.severity == 1 && c.age >= duration("2h") && c.category == "terminal")'
    case = {"severity": 1, "age": "2h", "category": "terminal", "status": "open", "has_eta": False}
    assert results(when, {"given": {"cases": [case]}, "matches": True})[0].passed
    set_ = principle_set(principle(when, tests=[{"given": {"cases": [case]}, "matches": True}]))
    given = set_.principles[0].tests[0].given
    assert given is not None
    assert given.cases()[0].age_ms == 2 * HOUR
