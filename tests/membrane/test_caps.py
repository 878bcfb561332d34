"""Contact caps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.caps import Cap, CapState, cap_state
from membrane.decide import decide
from membrane.principle_file import MAX_CAP
from membrane.scope import Scope
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, MINUTE, format_time
from membrane.vocabulary import DOMAINS
from tests.membrane.customer import Customer
from tests.membrane.fakes_principles import NOON, candidate, claim, contact, default_pack, request, view

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


def test_a_contact_of_an_unknown_domain_does_not_count():
    assert cap_state(cap(scope=Scope()), [contact(NOON, "other")], NOON).counted == 0


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        (Scope(), True),
        (MARKETING, True),
        (Scope(domains=frozenset({"survey"})), False),
        (Scope(classes=frozenset({"survey"})), False),
        (Scope(kinds=frozenset({"newsletter"})), True),
    ],
)
def test_a_window_that_reaches_back_to_a_lost_contact_is_full_until_it_has_passed_it(scope, hit):
    lost = {DOMAINS.index("marketing"): NOON - DAY, DOMAINS.index("other"): NOON}
    state = cap_state(cap(scope=scope), [], NOON, lost)
    assert state == CapState(0, full=hit, room_at=NOON + 6 * DAY if hit else None)
    assert not cap_state(cap(scope=scope), [], NOON + 6 * DAY, lost).full


def test_room_comes_when_both_the_counted_and_the_lost_have_left():
    made = [contact(NOON - 3 * DAY), contact(NOON - DAY)]
    assert cap_state(cap(2), made, NOON, {0: NOON - 4 * DAY}).room_at == NOON + 4 * DAY
    assert cap_state(cap(2), made, NOON, {0: NOON}).room_at == NOON + 7 * DAY
    assert cap_state(cap(0), made, NOON, {0: NOON}) == CapState(2, full=True, room_at=None)


@pytest.mark.parametrize("others", [18, 31, 200])
def test_other_contacts_do_not_empty_a_cap(others):
    """Two newsletters are this week's two, however many calls follow and however long their ids are."""
    customer = Customer()
    for n in range(2 + others):
        made = ("marketing", "newsletter", "email") if n < 2 else ("service", "status_call", "phone")
        customer.tell(
            "contact.made", NOON + n * MINUTE, contact=f"{n:036}", permit=f"{n:036}",
            **dict(zip(("domain", "kind", "channel"), made, strict=True)),
        )  # fmt: skip
    state, now = customer.state, customer.record.clock
    assert cap_state(cap(), state.contacts, now, state.contacts_lost).full


def test_a_decision_defers_what_a_lost_contact_may_have_used_up_and_says_until_when():
    seen = view()
    seen.record.state.contacts_lost = {DOMAINS.index("marketing"): NOON - DAY}
    newsletter = request(candidate("marketing", "newsletter", "email"))
    [verdict] = decide(newsletter, seen, default_pack(), TenantSettings(), t=NOON).verdicts
    assert (verdict.verdict, [reason.id for reason in verdict.reasons]) == ("defer", ["two-marketing-a-week"])
    assert verdict.until == format_time(NOON + 6 * DAY)


def test_the_greatest_cap_can_be_full():
    customer, greatest = Customer(), cap(MAX_CAP)
    for n in range(MAX_CAP):
        customer.tell("contact.made", NOON + n, domain="marketing", kind="newsletter", channel="email")
        assert cap_state(greatest, customer.state.contacts, NOON + DAY).full is (n == MAX_CAP - 1)


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


def test_a_live_claim_counts_and_gives_room_when_it_ends():
    held = [claim(NOON - MINUTE)]
    assert cap_state(cap(1), [], NOON, claims=held) == CapState(1, full=True, room_at=NOON + 14 * MINUTE)
    assert cap_state(cap(1), [], NOON, claims=[claim(NOON + 1)]).full
    both = cap_state(cap(2), [contact(NOON - DAY)], NOON, claims=held)
    assert both == CapState(2, full=True, room_at=NOON + 14 * MINUTE)


def test_a_claim_of_another_scope_does_not_count():
    assert cap_state(cap(1), [], NOON, claims=[claim(NOON, domain="survey", kind="csat")]).counted == 0


def test_a_claim_and_the_contacts_of_its_permit_are_one():
    held = [claim(NOON - 2 * MINUTE, permit="p1")]
    own, confirmed = contact(NOON - MINUTE, permit="p1"), contact(NOON, kind="upsell", permit="p1", name="p1")
    for made in ([own, confirmed], [own], [confirmed]):
        assert cap_state(cap(2), made, NOON, claims=held) == CapState(1, full=False, room_at=None)
    assert cap_state(cap(1), [own, confirmed], NOON, claims=held).room_at == NOON - MINUTE + 7 * DAY


def test_contacts_that_only_say_the_same_permit_are_several():
    made = [contact(NOON - number * MINUTE, permit="made-up") for number in range(4)]
    assert cap_state(cap(), made, NOON).counted == 4


MOMENTS = st.integers(0, 40).map(lambda number: NOON - number * 6 * HOUR)
PERMITS = st.sampled_from(["", "p1", "p2", "p3"])
NAMES = st.sampled_from(["a", "b", "p1", "p2", "p3"])


@given(
    st.lists(st.tuples(MOMENTS, PERMITS, NAMES), max_size=8),
    st.lists(st.tuples(MOMENTS, st.sampled_from(["p1", "p2", "p3", "p4"])), max_size=4, unique_by=lambda one: one[1]),
    st.integers(1, 4),
)
def test_what_counts_is_a_set_and_a_full_cap_has_room_just_when_it_says(made, held, at_most):
    contacts = [contact(at, permit=permit, name=name) for at, permit, name in made]
    claims = [claim(at, NOON + HOUR, permit=permit) for at, permit in held]
    found = cap_state(cap(at_most), contacts, NOON, claims=claims)
    inside = [(permit, name) for at, permit, name in made if NOON - 7 * DAY < at <= NOON]
    own = {permit for _, permit, name in made if name != permit}
    known = {permit for _, permit, _ in made}
    several = {(permit, name) for permit, name in inside if permit and (name != permit or permit not in own)}
    claimed = {permit for at, permit in held if at > NOON - 7 * DAY and permit not in known}
    assert found.counted == sum(not permit for permit, _ in inside) + len(several) + len(claimed)
    if found.full:
        alive = [one for one in claims if found.room_at < one.until]
        before = [one for one in claims if found.room_at - 1 < one.until]
        assert not cap_state(cap(at_most), contacts, found.room_at, claims=alive).full
        assert cap_state(cap(at_most), contacts, found.room_at - 1, claims=before).full


def test_a_cap_that_is_full_of_a_claim_defers_until_the_claim_ends():
    seen = view(contact(NOON - 3 * DAY), claims=[claim(NOON - 5 * MINUTE, permit="p9")])
    answer = decide(request(candidate()), seen, default_pack(), TenantSettings(), t=NOON)
    (verdict,) = answer.verdicts
    assert (verdict.verdict, verdict.until) == ("defer", format_time(NOON + 10 * MINUTE))
    assert answer.valid_until == format_time(NOON + 10 * MINUTE)
    assert {reason.id for reason in verdict.reasons} == {"two-marketing-a-week", "one-selling-contact-a-day"}


def test_for_what_goes_out_later_a_claim_counts_as_long_as_it_lives_now():
    seen = view(contact(NOON - 3 * DAY), claims=[claim(NOON - 5 * MINUTE, permit="p9")])
    later = candidate(send_at=format_time(NOON + 2 * HOUR))
    (verdict,) = decide(request(later), seen, default_pack(), TenantSettings(), t=NOON).verdicts
    assert (verdict.verdict, verdict.until) == ("defer", format_time(NOON + 10 * MINUTE))
