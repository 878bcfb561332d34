"""What a set would have cost the departments."""

from __future__ import annotations

from membrane.lint.check import lint
from membrane.lint.contacts import LEAST_CONTACTS
from membrane.record import Record
from membrane.times import DAY, HOUR
from membrane.vocabulary import STAGES, FindingKind, Stage
from tests.membrane.fakes_principles import NOON, contact, record
from tests.membrane.lint.drafts import default_draft, draft, rule

STRAINED = STAGES.index(Stage.STRAINED)


def customers(count: int, *, stage: int, made_at: int = NOON - DAY) -> list[tuple[Record, int]]:
    return [(record(contact(made_at + n), stage=stage), NOON) for n in range(count)]


def over_blocked(found, given):
    return [one for one in lint(found, given).findings if one.kind is FindingKind.OVER_BLOCK]


def test_a_department_whose_contacts_would_mostly_be_refused_is_told_with_one_of_its_customers():
    given = draft(rule('stage.name != "steady" && stage.age > duration("5h")'))
    steady = STAGES.index(Stage.STEADY)
    [one] = over_blocked(given, customers(12, stage=STRAINED) + customers(8, stage=steady))
    assert (one.severity, one.principles, one.witness.candidate.domain) == ("warning", ("a",), "marketing")
    assert "Of 20 contacts that marketing made in the last 30 days, 12 (60 %)" in one.text["en"]
    [principle] = given.principles.principles
    assert principle.matches(one.witness.given)
    assert one.witness.given.values == {"stage.age": 100 * 24 * HOUR, "stage.name": "strained"}


def test_few_contacts_few_refusals_and_old_contacts_say_nothing():
    given = draft(rule('stage.name == "strained"'))
    assert over_blocked(given, customers(LEAST_CONTACTS - 1, stage=STRAINED)) == []
    assert over_blocked(given, customers(40, stage=STRAINED, made_at=NOON - 31 * DAY)) == []
    steady = customers(21, stage=STAGES.index(Stage.STEADY))
    assert over_blocked(given, customers(20, stage=STRAINED) + steady) == []


def test_the_pack_that_ships_refuses_nothing_of_calm_customers():
    assert over_blocked(default_draft(), customers(40, stage=STAGES.index(Stage.STEADY))) == []
