"""Numbers in texts, as digits and as words."""

from __future__ import annotations

import pytest

from membrane.lint.numbers import named, unfounded
from tests.membrane.lint.drafts import only

CALL = {"kind": "agent_call", "owner": "service", "due": "48h", "once_per": "problem"}


@pytest.mark.parametrize(
    ("text", "language", "said"),
    [
        ("After seventy-two hours, 3 times", "en", ["seventy-two hours", "3"]),
        ("Tras setenta y dos horas, 3 veces", "es", ["setenta y dos horas", "3"]),
        ("veintiún días o cuarenta y ocho horas", "es", ["veintiún días", "cuarenta y ocho horas"]),
        ("Un crédito, una vez; one call, once", "es", ["once"]),
        ("One credit, a month, once", "en", []),
        ("more than 40 % of them", "en", ["40 %"]),
        ("the B2B desk, v1.2.3 and often", "en", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, language: str, said: list[str]):
    assert [one.said for one in named(text, language)] == said


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ('stage.age > duration("72h")', "more than three days"),
        ('stage.age > duration("72h")', "more than 72 hours"),
        ("problem.recurrences > 3", "more than three times"),
        ("contact.complaints_90d > 0", "for 90 days"),
        ("features.contacts_in_7d > 4.0", "in a week of seven days"),
        ("features.silence > 14.0", "silent for 14 days"),
        ("stage.p_crisis > 0.4", "above 40 %"),
        ("survey.low_unanswered > 0", "a bad rating of the last 30 days"),
    ],
)
def test_what_stands_in_the_condition_or_its_facts_is_founded(when: str, text: str):
    assert list(unfounded(only(when, text={"en": text, "es": "Sí."}))) == []


def test_what_stands_in_the_obligation_is_founded():
    text = {"en": "A call within 48 hours, two days.", "es": "Una llamada en dos días."}
    assert list(unfounded(only("case.open > 0", "require", obligation=CALL, text=text))) == []


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ('stage.age > duration("72h")', "more than 72 days"),
        ('stage.age > duration("72h")', "more than two days"),
        ("problem.recurrences > 3", "more than four times"),
        ("case.open > 0", "within 48 hours"),
    ],
)
def test_what_stands_nowhere_is_told(when: str, text: str):
    assert len(list(unfounded(only(when, text={"en": text, "es": "Sí."})))) == 1
