"""Reading principle files with all their faults."""

from datetime import date, time
from textwrap import dedent

import pytest

from membrane.errors import InvalidPrinciples
from membrane.features import FEATURE_NAMES
from membrane.principle_file import MAX_ITEMS, read_principles
from membrane.principle_tests import run_tests
from membrane.principles import BREAKER, GUARANTEES, Effect
from tests.membrane.fakes_principles import PACK, TEXT, default_pack, principle, principle_set, read_yaml

ALL_WRONG = dedent("""\
    pack: broken
    revision: 2026-11-22
    owner: nobody
    principles:
      - id: no-selling
        owner: servize
        text: {es: "No."}
        applies: {domains: [marketing, saless], chanels: [sms]}
        when: stage.nmae == "crisis"
        effect: forbidd
      - id: no-selling
        owner: sales
        text: {es: "No.", en: "No."}
        when: >-
          case.open > 1 &&
          stage.name == "crysis"
        effect: require
    caps:
      - {id: weekly, domains: [legal], at_most: 99, per: 7d}
    quiet_hours:
      - {id: nights, domains: [marketing], from: "25:00", to: "09:00"}
    """)


def faults_of(document):
    with pytest.raises(InvalidPrinciples) as caught:
        read_principles(document, {}, digest="")
    return [f"{fault.field}: {fault.problem}" for fault in caught.value.faults]


def document(*principles, **parts):
    return {"pack": "p", "revision": "2026-11-22.1", "principles": list(principles), **parts}


def test_every_fault_of_a_file_is_told_with_its_line_and_the_nearest_name():
    text, marks = read_yaml(ALL_WRONG)
    with pytest.raises(InvalidPrinciples) as caught:
        read_principles(text, marks, digest="", file="broken.yaml")
    told = str(caught.value)
    for expected in (
        "broken.yaml:2:11: revision: must be YYYY-MM-DD.N",
        "broken.yaml:3:8: owner: unknown field",
        "broken.yaml:6:12: principles[0].owner: must be one of",
        "did you mean 'service'?",
        "broken.yaml:7:11: principles[0].text: misses the field 'en'",
        "broken.yaml:8:36: principles[0].applies.domains[1]: must be one of",
        "did you mean 'sales'?",
        "broken.yaml:8:54: principles[0].applies.chanels: unknown field; did you mean 'channels'?",
        "broken.yaml:9:16: principles[0].when: no fact 'stage.nmae'; did you mean 'stage.name'?",
        "(line 1, column 6 of the condition)",
        "broken.yaml:10:13: principles[0].effect: must be one of",
        "did you mean 'forbid'?",
        "principles[1].id: 'no-selling' stands for something else in this file already",
        "principles[1].when: no value 'crysis'; did you mean 'crisis'?",
        "principles[1]: the effect 'require' needs the field 'obligation'",
        "caps[0]: touches a guarantee (legal/",
        "caps[0].at_most: must be a whole number from 0 to 32, came '99'",
        "caps[0].per: must be a duration such as 72h",
        'quiet_hours[0].from: must be a time of day such as "21:00"',
    ):
        assert expected in told
    lines = [fault.line for fault in caught.value.faults]
    assert lines == sorted(lines)


@pytest.mark.parametrize("value", [None, [], "text", 3, {}])
def test_what_is_no_principle_document_is_refused(value):
    assert faults_of(value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"when": ""}, "when: must be a text"),
        ({"when": 3}, "when: must be a text, came a number"),
        ({"when": "case.open"}, "must say true or false"),
        ({"effect": "allow"}, "effect: must be one of forbid, defer, modify, require"),
        ({"effect": "modify"}, "the effect 'modify' needs the field 'set'"),
        ({"set": {"tone": "calm"}}, "set: goes with the effect 'modify', not with 'forbid'"),
        ({"obligation": {}}, "obligation: goes with the effect 'require', not with 'forbid'"),
        ({"effect": "modify", "set": ["calm"]}, "set: must be a mapping of what to change"),
        ({"id": "No Selling"}, "id: must be lower-case letters"),
        ({"applies": {"kinds": ["upsel"]}}, "did you mean 'upsell'?"),
        ({"applies": {"domains": []}}, "must have at least 1 item"),
        ({"applies": {"domains": ["service"]}}, "touches a guarantee (service/ticket_reply)"),
        ({"applies": {"kinds": ["security_notice"]}}, "touches a guarantee (service/security_notice)"),
        ({"applies": {}}, "touches a guarantee"),
        ({"tests": [{"given": {"stage.nam": "crisis"}, "matches": True}]}, "unknown fact; did you mean 'stage.name'?"),
        ({"tests": [{"given": {"stage.name": "crysis"}, "matches": True}]}, "did you mean 'crisis'?"),
        ({"tests": [{"given": {"case.open": "1"}, "matches": True}]}, "given.case.open: must be a int"),
        ({"tests": [{"given": {"case.open": True}, "matches": True}]}, "given.case.open: must be a int"),
        ({"tests": [{"given": {"stage.age": "3d"}, "matches": True}]}, "must be a duration"),
        ({"tests": [{"given": {}, "matches": "yes"}]}, "matches: must be true or false"),
        (
            {"tests": [{"given": "errror", "matches": True}]},
            "given: must be facts with their values, or the word error",
        ),
        ({"tests": [{"matches": True}]}, "misses the field 'given'"),
        (
            {"tests": [{"given": {"cases": [{"sverity": 1}]}, "matches": True}]},
            "unknown field; did you mean 'severity'?",
        ),
    ],
)
def test_a_fault_of_a_principle_is_told(changes, problem):
    assert any(problem in told for told in faults_of(document(principle("incident.active") | changes)))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "agent_cal"}, "did you mean 'agent_call'?"),
        ({"owner": "nobody"}, "owner: must be one of"),
        ({"due": "4d"}, "due: must be a duration"),
        ({"once_per": "week"}, "once_per: must be one of"),
        ({"every": "720h"}, "needs one of 'once_per' and 'every'"),
        ({"once_per": None}, "once_per"),
        ({"at_most": 3}, "at_most: must be one count with its window"),
        ({"at_most": {0: "1h"}}, "at_most: must be a whole number"),
        ({"at_most": {1: "1d"}}, "at_most.1: must be a duration"),
        ({"approval": "robot"}, "approval: must be one of human"),
        ({"escalate_to": "board"}, "escalate_to: must be one of marketing, sales"),
        ({"escalate_to": "service"}, "escalate_to: must be another than the owner, came 'service'"),
        ({"breaker": 0}, "breaker: must be a whole number from 1 to 1000000, came '0'"),
        ({"breaker": "many"}, "breaker: must be a whole number from 1 to 1000000, came 'many'"),
        ({"met_by": ["phoning"]}, "met_by[0]: must be one of"),
    ],
)
def test_a_fault_of_an_obligation_is_told(changes, problem):
    plain = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case"}
    one = principle("incident.active", "require", obligation=plain | changes)
    assert any(problem in told for told in faults_of(document(one)))


def test_a_principle_without_a_name_is_refused():
    one = principle("incident.active")
    del one["id"]
    assert "principles[0]: misses the field 'id'" in faults_of(document(one))


def test_what_is_owed_takes_no_scope():
    plain = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case"}
    one = principle("incident.active", "require", obligation=plain, applies={"domains": ["sales"]})
    assert any("'require' takes no scope" in told for told in faults_of(document(one)))


def test_quiet_hours_may_be_on_some_days_and_on_holidays_by_name():
    quiet = {"id": "q", "domains": ["sales"], "all_day": True, "days": ["sat", "sun"], "holidays": "here"}
    given = document(holidays={"here": ["2026-12-25"]}, quiet_hours=[quiet])
    (found,) = read_principles(given, {}, digest="").quiet_hours
    assert (found.start, found.end, found.days) == (time(), time(), {5, 6})
    assert found.holidays == {date(2026, 12, 25)}
    assert found.text["en"] == "Where the customer is this is a day of rest."


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "misses the field 'from' (or all_day: true)"),
        ({"from": "09:00"}, "misses the field 'to' (or all_day: true)"),
        ({"all_day": False}, "must be true, and stand without 'from' and 'to'"),
        ({"all_day": True, "from": "09:00"}, "must be true, and stand without 'from' and 'to'"),
        ({"all_day": True, "days": ["sunday"]}, "came 'sunday'; did you mean 'sun'?"),
        ({"all_day": True, "holidays": "hear"}, "must be one of here; came 'hear'; did you mean 'here'?"),
    ],
)
def test_quiet_hours_that_do_not_say_when_are_refused(fields, problem):
    quiet = {"id": "q", "domains": ["sales"], **fields}
    told = faults_of(document(holidays={"here": ["2026-12-25"]}, quiet_hours=[quiet]))
    assert any(problem in one for one in told), told


@pytest.mark.parametrize("day", ["25/12/2026", "2026-02-30", "20261225", 20261225, ""])
def test_holidays_are_dates(day):
    told = faults_of(document(holidays={"here": [day]}))
    assert any("must be a date such as" in one for one in told), told


@pytest.mark.parametrize("pack", sorted(PACK.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_pack_loads_and_its_tests_hold(pack):
    found = read_principles(*read_yaml(pack.read_text()), digest="", features=FEATURE_NAMES)
    assert all(outcome.passed for outcome in run_tests(found))


def test_quiet_hours_must_have_a_length():
    quiet = {"id": "q", "domains": ["marketing"], "from": "09:00", "to": "09:00"}
    assert any("must end at another time" in told for told in faults_of(document(quiet_hours=[quiet])))


def test_a_file_has_a_bounded_number_of_principles():
    many = [principle("incident.active") | {"id": f"p-{number}"} for number in range(MAX_ITEMS + 1)]
    assert faults_of(document(*many)) == [f"principles: must have at most {MAX_ITEMS} items, came {MAX_ITEMS + 1}"]


def test_the_shipped_guarantees_hold_whether_or_not_a_file_repeats_them():
    weaker = {"id": GUARANTEES[0].id, "domains": ["survey"], "text": TEXT}
    more = {"id": "refunds", "domains": ["billing"], "kinds": ["refund"], "text": TEXT}
    found = principle_set(guarantees=[weaker, more]).guarantees
    assert found[:2] == GUARANTEES
    assert [one.id for one in found[2:]] == ["refunds"]


def test_a_files_own_guarantees_are_protected_too():
    mine = {"id": "refunds", "domains": ["billing"], "kinds": ["refund"], "text": TEXT}
    cap = {"id": "money", "domains": ["billing"], "at_most": 1, "per": "1h"}
    assert any(
        "touches a guarantee (billing/refund)" in told for told in faults_of(document(guarantees=[mine], caps=[cap]))
    )


def test_everything_in_a_sound_file_is_read():
    obligation = {
        "kind": "service_credit",
        "owner": "billing",
        "due": "72h",
        "every": "720h",
        "at_most": {"3": "8760h"},
        "escalate_to": "legal",
        "breaker": 100,
    }
    found = principle_set(
        principle("risk.relapse", "require", obligation=obligation | {"met_by": ["refund"], "approval": "human"}),
        principle("case.open > 0", "modify", set={"tone": "calm"}),
        principle("features.contacts_7d > 3.0"),
        caps=[{"id": "c", "domains": ["survey"], "at_most": 1, "per": "336h", "text": TEXT}],
        quiet_hours=[{"id": "q", "channels": ["sms"], "domains": ["survey"], "from": "21:00", "to": "09:00"}],
    )
    promise = found.principles[0].promise
    assert promise is not None
    assert (promise.every_ms, promise.at_most) == (720 * 3_600_000, (3, 8760 * 3_600_000))
    assert (promise.met_by, promise.approval) == ({"refund"}, "human")
    assert (promise.escalate_to, found.breaker(found.principles[0].id)) == ("legal", 100)
    assert found.breaker("of-another-set") == BREAKER
    assert found.principles[1].changes == {"tone": "calm"}
    assert found.principles[2].effect is Effect.FORBID
    assert found.caps[0].text == TEXT
    assert found.quiet_hours[0].text["en"] == "It is between 21:00 and 09:00 where the customer is."


def test_the_shipped_pack_is_sound_and_every_principle_passes_its_own_tests():
    pack = default_pack()
    results = run_tests(pack)
    assert [result for result in results if not result.passed] == []
    for one in pack.principles:
        given = [test.given for test in one.tests]
        assert None in given, f"{one.id} says nothing of its error side"
        assert {test.matches for test in one.tests if test.given} == {True, False}, one.id


def test_no_shipped_principle_reads_an_uncalibrated_risk():
    assert all("risk.churn" not in one.condition.reads for one in default_pack().principles)
