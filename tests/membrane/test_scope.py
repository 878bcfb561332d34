"""Scopes and slots."""

import pytest

from membrane.scope import UNKNOWN_KIND, Scope, all_slots, slot_of
from membrane.vocabulary import InteractionClass


def test_a_slot_brings_what_is_unknown_to_known_words():
    slot = slot_of("billing", "never-heard-of", "carrier-pigeon", "outbound")
    assert slot is not None
    assert (slot.kind, slot.channel, slot.cls) == (UNKNOWN_KIND, "other", InteractionClass.MONEY_IN)


def test_an_unknown_domain_has_no_slot():
    assert slot_of("astrology", "upsell", "email", "outbound") is None
    assert slot_of("other", "upsell", "email", "outbound") is None


def test_an_empty_scope_covers_every_slot():
    assert all(Scope().covers(slot) for slot in all_slots())


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(domains=frozenset({"sales"})), True),
        (Scope(domains=frozenset({"marketing"})), False),
        (Scope(kinds=frozenset({"upsell", "upgrade"})), True),
        (Scope(kinds=frozenset({"renewal"})), False),
        (Scope(not_kinds=frozenset({"upgrade"})), False),
        (Scope(not_kinds=frozenset({"renewal"})), True),
        (Scope(channels=frozenset({"phone"})), True),
        (Scope(channels=frozenset({"email"})), False),
        (Scope(directions=frozenset({"outbound"})), True),
        (Scope(directions=frozenset({"inbound"})), False),
        (Scope(classes=frozenset({"persuasion"})), True),
        (Scope(classes=frozenset({"help"})), False),
        (Scope(domains=frozenset({"sales"}), channels=frozenset({"email"})), False),
    ],
)
def test_every_part_of_a_scope_must_cover_a_slot(scope, covered):
    slot = slot_of("sales", "upgrade", "phone", "outbound")
    assert slot is not None
    assert scope.covers(slot) is covered


def test_every_domain_has_one_slot_for_its_unknown_kinds():
    slots = list(all_slots())
    assert len(slots) == len(set(slots))
    assert {slot.domain for slot in slots if slot.kind == UNKNOWN_KIND} == {slot.domain for slot in slots}
