"""Principles and sets of them."""

import pytest

from membrane.given import Given
from membrane.principles import GUARANTEES, Effect, compare_revisions, parse_revision
from membrane.scope import all_slots, slot_of
from membrane.times import HOUR
from tests.membrane.fakes_principles import FakeFacts, default_pack, principle, principle_set

FAILING = {"case.open": 2**62}
FAILS = "case.open + case.open + case.open > 0"


def slot(domain, kind, channel="email", direction="outbound"):
    found = slot_of(domain, kind, channel, direction)
    assert found is not None
    return found


def promise(kind):
    return {"kind": kind, "owner": "service", "due": "4h", "once_per": "case"}


@pytest.mark.parametrize(
    ("fields", "side"),
    [
        ({"effect": "forbid"}, True),
        ({"effect": "defer"}, True),
        ({"effect": "modify", "set": {"tone": "calm"}}, False),
        ({"effect": "require", "obligation": promise("agent_call")}, True),
        ({"effect": "require", "obligation": promise("promised_time")}, True),
        ({"effect": "require", "obligation": promise("free_service")}, False),
        ({"effect": "require", "obligation": promise("service_credit")}, False),
    ],
)
def test_a_failing_condition_falls_to_the_safe_side_of_its_effect(fields, side):
    one = principle_set(principle(FAILS, **fields)).principles[0]
    assert one.condition.evaluate(Given(FAILING)) is None
    assert one.matches(Given(FAILING)) is side
    assert one.matches(Given({"case.open": 1})) is True


def test_what_is_guaranteed_is_blocked_by_nothing_in_the_shipped_pack():
    pack = default_pack()
    for one in all_slots():
        if any(guarantee.scope.covers(one) for guarantee in GUARANTEES):
            etiquette = pack.etiquette(one)
            assert (etiquette.blocking, etiquette.caps, etiquette.quiet_hours) == ((), (), ())


def test_a_guarantee_still_lets_the_manner_be_changed():
    changing = [one.id for one in default_pack().etiquette(slot("service", "ticket_reply")).modifying]
    assert changing == ["empathy-while-unsolved"]


def test_principles_are_found_by_domain_kind_channel_and_direction():
    pack = default_pack()
    assert "care-with-the-vulnerable" in [one.id for one in pack.etiquette(slot("sales", "upsell", "phone")).blocking]
    assert "care-with-the-vulnerable" not in [one.id for one in pack.etiquette(slot("sales", "upsell")).blocking]
    inbound = pack.etiquette(slot("service", "agent_call", "phone", "inbound"))
    assert "a-person-not-a-machine" in [one.id for one in inbound.modifying]
    rescue = [one.id for one in pack.etiquette(slot("sales", "rescue_offer")).blocking]
    assert "only-the-rescue-while-recovering" not in rescue


def test_what_forbids_comes_before_what_defers():
    effects = [one.effect for one in default_pack().etiquette(slot("marketing", "upsell")).blocking]
    assert effects == sorted(effects, key=lambda effect: effect is Effect.DEFER)


def test_what_makes_something_owed_is_kept_apart():
    requires = [one.id for one in default_pack().requires]
    assert len(requires) == 8
    assert "promise-a-time" in requires


def test_moments_of_ages_are_their_anchor_and_literal():
    timing = principle_set(principle('stage.age > duration("72h") || closed.age < duration("1h")')).principles[0].timing
    facts = FakeFacts(0, {}, anchors={"stage.age": 1_000})
    assert list(timing.age_moments(facts)) == [1_000 + 72 * HOUR + 1]


def test_a_set_reading_what_only_a_model_gives_says_so():
    needs = principle_set(principle("risk.churn > 0.5"))
    assert needs.etiquette(slot("marketing", "upsell")).needs_model
    assert not default_pack().etiquette(slot("marketing", "upsell")).needs_model


def test_a_set_is_named_by_revision_and_digest():
    assert principle_set().name == "2026-11-22.1+abababab"


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        ("2026-11-22.1", "2026-11-22.1", 0),
        ("2026-11-22.9", "2026-11-22.10", -1),
        ("2026-11-23.1", "2026-11-22.9", 1),
        ("2025-12-31.1", "2026-01-01.1", -1),
    ],
)
def test_revisions_compare_by_date_then_number(a, b, order):
    assert compare_revisions(a, b) == order
    assert compare_revisions(b, a) == -order


@pytest.mark.parametrize("text", ["", "2026-11-22", "2026-13-01.1", "2026-11-22.x", "v2", "2026-11-22.1 "])
def test_other_texts_are_no_revision(text):
    with pytest.raises(ValueError, match=r"revision|isoformat|month"):
        parse_revision(text)
