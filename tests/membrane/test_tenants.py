"""The tenants' file."""

from __future__ import annotations

import pytest

from membrane.errors import InvalidPrinciples
from membrane.settings import Recurrences, TenantSettings
from membrane.tenants import MAX_SOURCES, MAX_TENANTS, read_tenants
from membrane.times import HOUR, MINUTE, parse_time
from tests.membrane.fakes_principles import read_yaml


def read(text):
    document, marks = read_yaml(text)
    return read_tenants(document, marks, "tenants.yaml")


def test_what_a_tenant_leaves_out_is_as_for_everybody():
    found = read("tenants: {a: {language: es, churn_threshold: 1}, b: {}}")
    assert found == {"a": TenantSettings(language="es", churn_threshold=1.0), "b": TenantSettings()}


def test_going_live_is_a_date_or_a_time():
    found = read('tenants: {a: {go_live: "2026-12-01"}, b: {go_live: "2026-12-01T10:00:00-05:00"}}')
    assert found["a"].go_live == parse_time("2026-12-01T00:00:00Z")
    assert found["b"].go_live == parse_time("2026-12-01T15:00:00Z")


def test_what_comes_back_too_often_what_lapses_and_which_sources_are_heeded():
    found = read(
        "tenants:\n"
        "  a: {currency: COP, recurrences: {more_than: 2}, lapse: no order.placed for 30d,\n"
        "      sources: {crm: 1h, /pos/1: 15m}}\n"
        "  b: {recurrences: {more_than: 6, days: 1}}\n"
    )
    often = Recurrences(more_than=2, days=30)
    assert found["a"] == TenantSettings(
        currency="COP",
        recurrences=often,
        lapse="no order.placed for 30d",
        sources={"crm": HOUR, "/pos/1": 15 * MINUTE},
    )
    assert found["b"].recurrences == Recurrences(more_than=6, days=1)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("currency: cop", "tenants.a.currency: must be three capital letters such as COP"),
        ("currency: 170", "must be three capital letters such as COP"),
        ("recurrences: 3", "tenants.a.recurrences: must be a mapping"),
        ("recurrences: {more_then: 3}", "unknown field; did you mean 'more_than'?"),
        (
            "recurrences: {more_than: 7}",
            "tenants.a.recurrences.more_than: must be a whole number from 1 to 6, came '7'",
        ),
        ("recurrences: {days: 31}", "tenants.a.recurrences.days: must be a whole number from 1 to 30, came '31'"),
        ("lapse: no orders for 30d", "tenants.a.lapse: there is no signal 'orders'; did you mean"),
        ("lapse: never", "tenants.a.lapse: must be such as 'no order.placed for 30d', came 'never'"),
        ("sources: [crm]", "tenants.a.sources: must be a mapping"),
        ("sources: {crm: 30s}", "tenants.a.sources.crm: must be from 1m to 720h, came '30s'"),
        ("sources: {crm: 721h}", "must be from 1m to 720h, came '721h'"),
        ("sources: {crm: often}", "tenants.a.sources.crm: must be a duration such as 72h, 30m or 10s, came 'often'"),
    ],
)
def test_what_cannot_be_set_is_told_with_what_can(setting, told):
    with pytest.raises(InvalidPrinciples) as caught:
        read(f"tenants: {{a: {{{setting}}}}}")
    assert told in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_the_number_of_sources_is_bounded():
    many = ", ".join(f"s{number}: 1h" for number in range(MAX_SOURCES + 1))
    with pytest.raises(InvalidPrinciples, match=f"must have at most {MAX_SOURCES} sources"):
        read(f"tenants: {{a: {{sources: {{{many}}}}}}}")


def test_every_fault_is_told_with_its_place():
    with pytest.raises(InvalidPrinciples) as caught:
        read(
            "tenants:\n"
            "  a: {timezone: Bogota, langauge: es}\n"
            "  b: {language: fr, consent: maybe}\n"
            "  c: {billing_categories: [], churn_threshold: 1.5}\n"
            "  d: {go_live: soon}\n"
            "  e: nothing\n"
            "more: 1\n"
        )
    told = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in told] == [
        "tenants.yaml:2:17", "tenants.yaml:2:35", "tenants.yaml:3:17", "tenants.yaml:3:30", "tenants.yaml:4:27",
        "tenants.yaml:4:48", "tenants.yaml:5:16", "tenants.yaml:6:6", "tenants.yaml:7:7",
    ]  # fmt: skip
    assert "tenants.a.timezone: must be an IANA name such as America/Bogota, came 'Bogota'" in told[0]
    assert "tenants.a.langauge: unknown field; did you mean 'language'?" in told[1]


@pytest.mark.parametrize(
    "text", ["tenants: []", "{}", "tenants: {a: {churn_threshold: 0}}", "tenants: {a: {consent: 1}}"]
)
def test_what_is_no_tenants_file_is_refused(text):
    with pytest.raises(InvalidPrinciples):
        read(text)


def test_the_number_of_tenants_is_bounded():
    many = ", ".join(f"t{number}: {{}}" for number in range(MAX_TENANTS + 1))
    with pytest.raises(InvalidPrinciples, match=f"must have at most {MAX_TENANTS} tenants"):
        read(f"tenants: {{{many}}}")
