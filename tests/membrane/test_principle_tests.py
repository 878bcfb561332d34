"""Inline tests of principles."""

import pytest

from membrane.given import Given
from membrane.principle_tests import PLAIN_CASE, Coverage, Outcome, coverage, given_form, run_tests
from membrane.principles import Effect
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


def test_the_facts_of_a_test_can_be_written_as_they_were_read():
    given = {
        "stage.age": "73h", "about.age": "90s", "episode.age": "0s", "risk.relapse": True, "features.silence": 2.5,
        "cases": [{"severity": 1, "age": "5ms", "category": "net", "has_eta": True}, {}],
    }  # fmt: skip
    [read] = principle_set(principle("true", tests=[{"given": given, "matches": True}])).principles[0].tests
    assert given_form(read.given) == given


@pytest.mark.parametrize(("ms", "form"), [(1_000_000, "1000s"), (1_000_001, "1000s"), (3_599_999_999, "59999m")])
def test_a_duration_that_one_unit_cannot_say_is_cut_to_the_next_greater_one(ms, form):
    assert given_form(Given({"stage.age": ms}, (PLAIN_CASE,))) == {"stage.age": form, "cases": [{}]}


def test_coverage_says_what_the_tests_of_each_principle_have_seen():
    set_ = principle_set(
        principle(
            "case.open > 1",
            tests=[
                {"given": {"case.open": 2}, "matches": True},
                {"given": {"case.open": 3}, "matches": False},
                {"given": {}, "matches": False},
                {"given": "error", "matches": True},
            ],
        ),
        principle("size(cases) > 1 && cases[2].severity > 1", "modify", set={"a": 1}, tests=[
            {"given": {"cases": [{}, {}]}, "matches": False},
        ]),
        principle("true"),
    )  # fmt: skip
    assert list(coverage(set_, run_tests(set_)).values()) == [
        Coverage(Effect.FORBID, matched=2, not_matched=1, errors=1),
        Coverage(Effect.MODIFY, errors=1),
        Coverage(Effect.FORBID),
    ]
