"""The tenants' file."""

from __future__ import annotations

import pytest

from membrane.errors import InvalidPrinciples
from membrane.settings import TenantSettings
from membrane.tenants import MAX_TENANTS, read_tenants
from membrane.times import parse_time
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
