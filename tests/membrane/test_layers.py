"""A tenant's own file over the set for everybody: it may tighten what is locked, never loosen it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.decide import decide
from membrane.errors import InvalidPrinciples
from membrane.layers import layered, loosening
from membrane.principle_file import read_principles
from membrane.settings import TenantSettings
from storage.documents import read_document
from tests.membrane.fakes_principles import NOON, TEXT, candidate, principle, request, view

CALL = {"kind": "agent_call", "owner": "service", "due": "4h", "once_per": "case", "at_most": {2: "100h"}}
SCOPE = {"domains": ["marketing", "sales"]}
NIGHTS = {"id": "nights", "domains": ["marketing"], "from": "21:00", "to": "09:00"}
WEEKLY = {"id": "weekly", "domains": ["marketing"], "at_most": 2, "per": "168h"}
RULES = {
    "selling": principle('stage.name == "crisis"', "defer", applies=SCOPE),
    "calling": principle("case.open > 0", "require", obligation=CALL),
    "manner": principle("case.open > 0", "modify", set={"tone": "calm"}),
}
BASE = {
    "pack": "house",
    "principles": [one | {"id": name, "locked": True} for name, one in RULES.items()]
    + [principle("case.open > 3", id="free")],
    "caps": [WEEKLY | {"locked": True}],
    "quiet_hours": [NIGHTS | {"locked": True}],
    "levers": [{"domain": "sales", "percent": 10}, {"domain": "marketing", "percent": 10}],
}


def read(parts, *, base=None, **more):
    document = {"pack": "shop", "revision": "2026-12-01.1", **parts, **more}
    return read_principles(document, {}, digest="cd" * 32, base=base)


def own(**parts):
    return {"extends": "default", **parts}


def faults(**parts):
    with pytest.raises(InvalidPrinciples) as caught:
        read(own(**parts), base=read(BASE))
    return str(caught.value)


def laid(base=BASE, **parts):
    common = read(base)
    return layered(common, read(own(**parts), base=common))


def changed(name, **fields):
    return {"principles": [RULES[name] | {"id": name} | fields]}


BRISK = principle("case.open > 0", "modify", id="brisk", set={"tone": "brisk"})
TIGHTER = [
    changed("selling"),
    changed("selling", effect="forbid"),
    changed("selling", applies={"domains": ["marketing", "sales", "survey"]}),
    changed("selling", when=' stage.name   == "crisis"', text={"es": "No.", "en": "No."}, owner="sales"),
    changed("calling", obligation=CALL | {"due": "2h"}),
    changed("calling", obligation={name: value for name, value in CALL.items() if name != "at_most"}),
    changed("manner", set={"tone": "calm", "mention_case": True}),
    {"caps": [WEEKLY | {"at_most": 1}]},
    {"caps": [WEEKLY | {"per": "200h"}]},
    {"quiet_hours": [NIGHTS | {"from": "20:00", "to": "09:30"}]},
    {"principles": [principle("case.open > 0", id="free", status="retired")]},
    {"guarantees": [{"id": "bills", "domains": ["billing"], "text": TEXT}]},
]
LOOSER = [
    (changed("selling", when='stage.name == "crisis" && case.open > 9'), "its condition must stay as it is"),
    (changed("selling", effect="modify", set={"tone": "calm"}), "its effect must stay 'defer' or become forbid"),
    (changed("selling", applies={"domains": ["sales"]}), "its scope must not become narrower"),
    (changed("selling", applies=SCOPE | {"not_kinds": ["upsell"]}), "its scope must not become narrower"),
    (changed("selling", status="retired"), "it must stay live"),
    (changed("selling", valid_to="2027-01-01"), "it must stay live, as long"),
    (changed("selling", valid_from="2027-01-01"), "it must stay live, as long"),
    (changed("selling", rollout="99%"), "for as many customers"),
    (changed("calling", obligation=CALL | {"due": "5h"}), "only an earlier due time"),
    (changed("calling", obligation=CALL | {"at_most": {1: "100h"}}), "only an earlier due time"),
    (changed("calling", obligation=CALL | {"kind": "status_call"}), "only an earlier due time"),
    (changed("manner", set={"tone": "brisk"}), "what it sets must stay"),
    ({"principles": [BRISK]}, "'brisk' sets tone to something else"),
    ({"principles": [BRISK | {"applies": {"kinds": ["upsell"]}}]}, "'brisk' sets tone to something else"),
    ({"caps": [WEEKLY | {"at_most": 3}]}, "it must not allow more contacts"),
    ({"caps": [WEEKLY | {"per": "100h"}]}, "nor in a shorter time"),
    ({"caps": [WEEKLY | {"kinds": ["upsell"]}]}, "its scope must not become narrower"),
    ({"quiet_hours": [NIGHTS | {"from": "22:00"}]}, "it must be quiet whenever it was"),
    ({"quiet_hours": [NIGHTS | {"channels": ["sms"]}]}, "its scope must not become narrower"),
    ({"guarantees": [{"id": "ads", "domains": ["marketing"], "text": TEXT}]}, "a guarantee would keep it from"),
]


@pytest.mark.parametrize("parts", TIGHTER)
def test_what_tightens_or_leaves_alone_what_is_locked_is_taken(parts):
    found = laid(**parts)
    assert {one.id for one in found.principles} == {"selling", "calling", "manner", "free"}


@pytest.mark.parametrize(("parts", "problem"), LOOSER)
def test_what_would_loosen_what_is_locked_is_a_fault_that_names_both(parts, problem):
    told = faults(**parts)
    assert problem in told
    (part,) = parts
    assert f"{part}[0]: loosens '" in told
    assert "which is locked in house 2026-12-01.1" in told


@pytest.mark.parametrize(("parts", "problem"), LOOSER)
def test_what_was_locked_after_the_file_was_checked_stays_as_it_is_locked(parts, problem):
    common = read(BASE)
    loose = read(own(**parts))
    assert [found[0] for found in loosening(common, loose)] != []
    found = layered(common, loose)
    for part in ("principles", "caps", "quiet_hours"):
        assert getattr(found, part) == getattr(common, part)
    assert {one.id for one in found.guarantees} == {one.id for one in common.guarantees}


def test_more_may_be_added_and_what_is_not_locked_replaced():
    found = laid(
        principles=[principle("case.open > 1", id="added"), principle("case.open > 9", id="free")],
        caps=[WEEKLY | {"id": "daily", "per": "24h"}],
        levers=[{"domain": "sales", "percent": 55}],
    )
    assert [one.id for one in found.principles] == ["selling", "calling", "manner", "free", "added"]
    assert found.principles[3].condition.source == "case.open > 9"
    assert [one.id for one in found.caps] == ["weekly", "daily"]
    assert (found.lever("sales", "renewal"), found.lever("marketing", "upsell")) == (1.55, 1.1)


@pytest.mark.parametrize(
    "harmless",
    [
        {"set": {"tone": "calm"}},
        {"set": {"mention_case": True}},
        {"status": "shadow"},
        {"applies": {"domains": ["billing"]}},
    ],
)
def test_a_manner_of_its_own_is_taken_where_it_contradicts_nothing_locked(harmless):
    common = BASE | {"principles": [RULES["manner"] | {"id": "manner", "locked": True, "applies": SCOPE}]}
    assert [one.id for one in laid(common, principles=[BRISK | harmless]).principles] == ["manner", "brisk"]


def test_a_manner_that_contradicts_a_locked_one_is_told_at_its_line_and_column():
    text = """pack: shop
revision: 2026-12-01.1
extends: default
principles:
  - id: brisk
    owner: sales
    text: {es: "Breve.", en: "Brief."}
    when: case.open > 0
    effect: modify
    set: {tone: brisk}
"""
    document = read_document(text.encode())
    with pytest.raises(InvalidPrinciples) as caught:
        read_principles(document.value, document.marks, digest="cd" * 32, base=read(BASE))
    [fault] = caught.value.faults
    assert (fault.line, fault.column, fault.field) == (5, 5, "principles[0]")


def test_the_guarantees_of_the_base_hold_in_every_layer_and_cannot_be_redefined():
    base = BASE | {"guarantees": [{"id": "bills", "domains": ["billing"], "text": TEXT}]}
    common = read(base)
    narrower = {"id": "bills", "domains": ["billing"], "kinds": ["refund"], "text": TEXT}
    found = layered(common, read(own(guarantees=[narrower]), base=common))
    assert [one.scope for one in found.guarantees if one.id == "bills"] == [common.guarantees[-1].scope]
    blocking = principle("case.open > 0", id="no-bills", applies={"domains": ["billing"]})
    with pytest.raises(InvalidPrinciples, match="touches a guarantee"):
        read(own(principles=[blocking]), base=common)


def test_what_stands_in_the_place_of_something_locked_is_locked_itself():
    found = laid(**changed("selling", effect="forbid"), caps=[WEEKLY | {"at_most": 1}], quiet_hours=[NIGHTS])
    assert [one.id for one in (*found.principles, *found.caps, *found.quiet_hours) if not one.locked] == ["free"]


def test_a_name_stands_for_one_thing_in_both_files():
    assert "caps[0].id: 'selling' is one of the principles of house" in faults(caps=[WEEKLY | {"id": "selling"}])


def test_nothing_but_the_set_for_everybody_can_be_extended():
    with pytest.raises(InvalidPrinciples, match=r"extends: must be one of default; came 'house'"):
        read({"extends": "house"})


def test_answers_name_both_sets():
    answer = decide(request(candidate()), view(), laid(), TenantSettings(), t=NOON)
    assert answer.revisions.principles == "2026-12-01.1+cdcdcdcd over 2026-12-01.1+cdcdcdcd"


@given(
    st.sampled_from([parts for parts, _ in LOOSER] + TIGHTER),
    st.sampled_from(["steady", "crisis", "strained"]),
    st.integers(0, 5),
)
def test_whatever_a_tenants_file_says_a_locked_principle_speaks_where_it_spoke(parts, stage, cases):
    common = read(BASE)
    found = layered(common, read(own(**parts)))
    seen = view(values={"stage.name": stage, "case.open": cases})
    asked = request(candidate(), candidate("sales", "upsell"), candidate("service", "agent_call"))
    for before, after in zip(*(said(asked, seen, one) for one in (common, found)), strict=True):
        assert before <= after


def said(asked, seen, principles):
    """By candidate, the locked principles that are reasons or change the manner."""
    verdicts = decide(asked, seen, principles, TenantSettings(), t=NOON).verdicts
    return [{one.id for one in verdict.reasons} & {"selling", "calling", "manner"} for verdict in verdicts]


def test_laying_over_leaves_both_sets_as_they_were():
    common, tenant = read(BASE), read(own(principles=[principle("case.open > 1", id="added")]))
    before = [dataclasses.replace(one) for one in (common, tenant)]
    layered(common, tenant)
    assert before == [common, tenant]
