"""The packs that show how a law reads as a file."""

from __future__ import annotations

import pytest

from membrane.decide import decide
from membrane.layers import layered
from membrane.lint.check import lint
from membrane.principle_tests import run_tests
from membrane.settings import TenantSettings
from membrane.times import parse_time
from membrane.vocabulary import FindingKind
from storage.principles import DEFAULT_PACK, compile_principles, draft_of, read_principle_file
from tests.membrane.fakes_principles import candidate, request, view


def data(name):
    return read_principle_file(DEFAULT_PACK.with_name(f"{name}.yaml"))


def pack(name):
    return compile_principles(data(name))


DEFAULT = pack("default")
COLOMBIA, SPAIN = pack("co-ley-2300"), pack("es-ley-10-2025")
BOGOTA, MADRID = TenantSettings(timezone="America/Bogota"), TenantSettings(timezone="Europe/Madrid")


def verdict(principles, settings, one, at, **seen):
    t = parse_time(at)
    return decide(request(one), view(t=t, **seen), principles, settings, t=t).verdicts[0].verdict


@pytest.mark.parametrize("principles", [COLOMBIA, SPAIN], ids=["co", "es"])
def test_its_own_tests_pass(principles):
    assert [one for one in run_tests(principles) if not one.passed] == []


@pytest.mark.parametrize("law", [COLOMBIA, SPAIN], ids=["co", "es"])
def test_a_law_adds_to_the_principles_for_everybody_and_takes_the_place_of_none(law):
    assert law.extends == "default"
    whole = layered(DEFAULT, law)
    for part in ("guarantees", "principles", "caps", "quiet_hours"):
        common, own, both = (getattr(one, part) for one in (DEFAULT, law, whole))
        assert both[: len(common)] == common
        assert {one.id for one in both} == {one.id for one in (*common, *own)}
        assert len(both) == len({one.id for one in both})


@pytest.mark.parametrize("name", ["co-ley-2300", "es-ley-10-2025"])
def test_nothing_is_suspicious_of_a_law_over_the_principles_for_everybody_but_that_it_is_stricter(name):
    findings = lint(draft_of(data(name), name, DEFAULT)).findings
    stricter = ("no-selling-while-a-complaint-is-open", "no-selling-into-a-complaint")
    assert {(one.kind, one.principles) for one in findings} <= {(FindingKind.SHADOWED, stricter)}


@pytest.mark.parametrize("kind", ["upsell", "retention", "rescue_offer", "invitation", "something new"])
def test_in_colombia_nobody_is_visited_to_be_sold_anything(kind):
    for domain in ("sales", "marketing"):
        one = candidate(domain, kind, "visit")
        assert verdict(COLOMBIA, BOGOTA, one, "2026-11-25T10:00:00-05:00") == "forbid"
    assert verdict(COLOMBIA, BOGOTA, candidate("sales", kind), "2026-11-25T10:00:00-05:00") == "allow"


def test_in_colombia_nobody_is_visited_to_collect_either():
    for kind in ("collections", "payment_reminder"):
        one = candidate("billing", kind, "visit")
        assert verdict(COLOMBIA, BOGOTA, one, "2026-11-25T10:00:00-05:00") == "forbid"
    assert verdict(COLOMBIA, BOGOTA, candidate("billing", "invoice", "visit"), "2026-11-25T10:00:00-05:00") == "allow"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-25T06:59:00-05:00", "defer"),
        ("2026-11-25T07:00:00-05:00", "allow"),
        ("2026-11-25T18:59:00-05:00", "allow"),
        ("2026-11-25T19:00:00-05:00", "defer"),
        ("2026-11-28T07:59:00-05:00", "defer"),  # a Saturday
        ("2026-11-28T08:00:00-05:00", "allow"),
        ("2026-11-28T15:00:00-05:00", "defer"),
        ("2026-11-29T12:00:00-05:00", "defer"),  # a Sunday
        ("2026-12-08T12:00:00-05:00", "defer"),  # a holiday
    ],
)
@pytest.mark.parametrize("one", [candidate("sales", "upsell", "phone"), candidate("billing", "collections", "phone")])
def test_in_colombia_the_hours_hold_for_selling_and_collecting(one, at, expected):
    assert verdict(COLOMBIA, BOGOTA, one, at) == expected


@pytest.mark.parametrize(
    ("consent", "at", "expected"),
    [
        ("granted", "2026-11-25T12:00:00+01:00", "allow"),
        ("none", "2026-11-25T12:00:00+01:00", "forbid"),
        ("granted", "2026-11-28T12:00:00+01:00", "defer"),  # a Saturday
        ("granted", "2026-12-08T12:00:00+01:00", "defer"),  # a holiday
        ("granted", "2026-11-25T21:00:00+01:00", "defer"),
    ],
)
def test_in_spain_who_consented_is_called_on_working_days(consent, at, expected):
    seen = {"consents": {("phone", "sales"): consent}}
    assert verdict(SPAIN, MADRID, candidate("sales", "upsell", "phone"), at, **seen) == expected
