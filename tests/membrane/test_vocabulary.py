"""The closed vocabularies and their stored order."""

from __future__ import annotations

import pytest

from membrane.vocabulary import (
    CHANNELS,
    DOMAINS,
    KINDS,
    LIFECYCLES,
    STAGES,
    STRICTEST_FIRST,
    InteractionClass,
    channel_index,
    class_of,
    domain_index,
)


@pytest.mark.parametrize(
    ("domain", "kind", "cls"),
    [
        ("marketing", "newsletter", "persuasion"),
        ("sales", "rescue_offer", "persuasion"),
        ("survey", "nps", "survey"),
        ("service", "agent_call", "help"),
        ("service", "security_notice", "help"),
        ("legal", "security_notice", "duty"),
        ("billing", "refund", "care_money"),
        ("billing", "suspension", "money_in"),
    ],
)
def test_domain_and_kind_make_the_class(domain: str, kind: str, cls: str) -> None:
    assert class_of(domain, kind) == cls


@pytest.mark.parametrize("domain", sorted(KINDS))
def test_an_unknown_kind_takes_the_strictest_class_of_its_domain(domain: str) -> None:
    strictest = min(KINDS[domain], key=STRICTEST_FIRST.index)
    assert class_of(domain, "never-heard-of") is strictest


def test_an_unknown_domain_has_no_class() -> None:
    assert class_of("astrology", "newsletter") is None


def test_every_class_has_its_place_among_the_strictest() -> None:
    assert sorted(STRICTEST_FIRST) == sorted(InteractionClass)


def test_what_is_not_in_a_list_counts_as_other() -> None:
    assert CHANNELS[channel_index("carrier-pigeon")] == "other"
    assert DOMAINS[domain_index("astrology")] == "other"
    assert [channel_index(channel) for channel in CHANNELS] == list(range(13))
    assert [domain_index(domain) for domain in DOMAINS] == list(range(7))


def test_the_stored_orders_stay_as_they_are() -> None:
    """Records hold indexes: a change here needs another record format."""
    assert STAGES == ("crisis", "recovering", "strained", "at_risk", "thriving", "steady")
    assert LIFECYCLES == ("unknown", "new", "active", "dormant", "closed")
    assert CHANNELS[:3] == ("email", "sms", "phone")
    assert CHANNELS[-1] == DOMAINS[-1] == "other"
