from __future__ import annotations

import pytest

from cli.expectations import Expected, differences
from tests.cli.answers import answer

EXPECTED = Expected(
    stage="crisis",
    verdicts={"ad": "forbid"},
    reasons={"ad": "no-selling"},
    no_reason={"ad": "gone"},
    unless={"ad": "stage.name"},
    until=("ad",),
    owed=frozenset({"agent_call"}),
    closed={"promised_time": "met"},
)
OBLIGATIONS = [
    {"kind": "promised_time", "opened_at": "2026-01-01T00:00:00Z", "state": "waived"},
    {"kind": "promised_time", "opened_at": "2026-01-02T00:00:00Z", "state": "met"},
]


def test_an_answer_as_told_has_no_differences():
    assert differences(EXPECTED, answer(), OBLIGATIONS, ()) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"stage": {"name": "steady"}}, "stage: crisis was told, came steady"),
        ({"stage": None}, "stage: crisis was told, came None"),
        ({"risks": {"relapse": True}}, "relapse risk: False was told, came True"),
        ({"owed": []}, "owed: ['agent_call'] was told, came []"),
        ({"verdict": {"verdict": "allow"}}, "ad: forbid was told, came allow"),
        ({"verdict": {"reasons": []}}, "ad: reason no-selling was told, came []"),
        ({"verdict": {"unless": None}}, "ad: unless stage.name was told, came []"),
        ({"verdict": {"until": None}}, "ad: an end in time was told, none came"),
    ],
)
def test_each_difference_is_told(changes, difference):
    assert differences(EXPECTED, answer(**changes), OBLIGATIONS, ()) == [difference]


def test_permits_given_and_revoked_are_compared():
    given = answer(verdict={"permit": "p1"})
    assert differences(EXPECTED, given, OBLIGATIONS, ()) == ["permits: [] was told, came ['ad']"]
    assert differences(EXPECTED, answer(), OBLIGATIONS, ["ad"]) == ["revoked: [] was told, came ['ad']"]


def test_a_reason_that_should_be_gone_is_told():
    reasons = [{"source": "principle", "id": name} for name in ("no-selling", "gone")]
    assert differences(EXPECTED, answer(verdict={"reasons": reasons}), OBLIGATIONS, ()) == ["ad: gone still holds"]


def test_the_latest_obligation_of_a_kind_counts():
    found = differences(EXPECTED, answer(), OBLIGATIONS[:1], ())
    assert found == ["the latest promised_time: met was told, came waived"]
    assert differences(EXPECTED, answer(), [], ()) == ["the latest promised_time: met was told, came None"]
