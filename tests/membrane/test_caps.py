"""Contact caps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.caps import Cap, CapState, cap_state
from membrane.scope import Scope
from membrane.times import DAY, HOUR
from tests.membrane.fakes_principles import NOON, contact

MARKETING = Scope(domains=frozenset({"marketing"}))


def cap(at_most=2, per=7 * DAY, scope=MARKETING):
    return Cap("cap", scope, at_most, per, {})


def test_a_contact_counts_from_its_own_moment_to_just_before_the_window_has_passed():
    made = [contact(NOON)]
    assert cap_state(cap(), made, NOON - 1).counted == 0
    assert cap_state(cap(), made, NOON).counted == 1
    assert cap_state(cap(), made, NOON + 7 * DAY - 1).counted == 1
    assert cap_state(cap(), made, NOON + 7 * DAY).counted == 0


def test_a_cap_is_full_at_its_number_and_has_room_when_the_oldest_that_matters_leaves():
    made = [contact(NOON - 3 * DAY), contact(NOON - 2 * DAY), contact(NOON - DAY)]
    assert cap_state(cap(4), made, NOON) == CapState(3, full=False, room_at=None)
    assert cap_state(cap(3), made, NOON) == CapState(3, full=True, room_at=NOON - 3 * DAY + 7 * DAY)
    assert cap_state(cap(2), made, NOON) == CapState(3, full=True, room_at=NOON - 2 * DAY + 7 * DAY)


def test_a_cap_of_none_never_has_room():
    assert cap_state(cap(0), [contact(NOON)], NOON) == CapState(1, full=True, room_at=None)
    assert cap_state(cap(0), [], NOON) == CapState(0, full=True, room_at=None)


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        (Scope(), 3),
        (MARKETING, 2),
        (Scope(kinds=frozenset({"newsletter"})), 1),
        (Scope(channels=frozenset({"sms"})), 1),
        (Scope(classes=frozenset({"survey"})), 1),
    ],
)
def test_contacts_are_counted_by_domain_kind_channel_and_class(scope, counted):
    made = [contact(NOON), contact(NOON, kind="upsell", channel="sms"), contact(NOON, "survey", "csat", "email")]
    assert cap_state(cap(scope=scope), made, NOON).counted == counted


def test_a_contact_of_an_unknown_domain_or_one_known_only_by_its_answer_does_not_count():
    unmade = contact(0)
    unmade.at = NOON
    assert cap_state(cap(scope=Scope()), [contact(NOON, "other"), unmade], NOON).counted == 0


@given(st.lists(st.integers(-10 * 24, 0), max_size=12), st.integers(1, 5), st.integers(1, 240))
def test_room_comes_exactly_when_it_is_promised(hours, at_most, window):
    made = [contact(NOON + hour * HOUR) for hour in hours]
    limit = cap(at_most, window * HOUR)
    state = cap_state(limit, made, NOON)
    assert state.full == (state.counted >= at_most)
    assert (state.room_at is not None) == state.full
    if state.room_at is not None:
        assert cap_state(limit, made, state.room_at - 1).full
        assert not cap_state(limit, made, state.room_at).full
