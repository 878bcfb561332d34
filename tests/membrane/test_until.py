"""`until` is the first moment at which time alone changes the verdict."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.decide import decide
from membrane.dictionary import CaseFacts
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, MINUTE, format_time, parse_time
from membrane.view import View
from tests.membrane.customer import BY_RULES, Customer
from tests.membrane.fakes_principles import (
    NOON,
    candidate,
    contact,
    default_pack,
    principle,
    principle_set,
    request,
    view,
)

SETTINGS = TenantSettings()
QUIET = {"id": "nights", "domains": ["marketing"], "from": "21:00", "to": "09:00"}
CAP = {"id": "cap", "domains": ["marketing", "sales"], "at_most": 1, "per": "24h"}


def verdicts(principles, seen, *candidates, t=None, **fields):
    asked = request(*(candidates or [candidate()]), **fields)
    return decide(asked, seen, principles, SETTINGS, t=seen.t if t is None else t).verdicts


def until(principles, seen, *candidates, **fields):
    found = verdicts(principles, seen, *candidates, **fields)[0].until
    return None if found is None else parse_time(found)


def test_an_age_ends_a_verdict_at_its_literal_or_one_millisecond_later():
    seen = view(anchors={"closed.age": NOON - HOUR})
    assert until(principle_set(principle('closed.age < duration("72h")')), seen) == NOON + 71 * HOUR
    assert until(principle_set(principle('closed.age <= duration("72h")')), seen) == NOON + 71 * HOUR + 1


def test_an_age_can_also_end_an_allow():
    seen = view(anchors={"stage.age": NOON - HOUR})
    assert until(principle_set(principle('stage.age > duration("72h")')), seen) == NOON + 71 * HOUR + 1


def test_the_age_of_a_case_counts_for_each_case():
    cases = tuple(
        CaseFacts(str(age), "x", "", 2, "open", age * HOUR, has_eta=False, eta_missed=False, recurrences=0)
        for age in (1, 5)
    )
    seen = view(open_cases=cases)
    timing = principle_set(principle('cases.exists(c, c.age > duration("7h"))')).principles[0].timing
    assert list(timing.age_moments(seen.facts())) == [NOON + 6 * HOUR + 1, NOON + 2 * HOUR + 1]


def test_a_fact_that_names_its_own_change_is_asked_again_then():
    changed = NOON + 3 * DAY
    seen = view(
        values={"stage.name": lambda t: "recovering" if t < changed else "steady"},
        moments={"stage.name": [NOON + DAY, changed]},
    )
    assert until(principle_set(principle('stage.name == "recovering"')), seen) == changed


def test_what_only_facts_can_change_has_no_until():
    assert until(principle_set(principle("case.open > 0")), view(values={"case.open": 1})) is None


def test_a_cap_ends_when_its_window_makes_room():
    seen = view(contact(NOON - 3 * HOUR))
    assert until(principle_set(caps=[CAP]), seen) == NOON + 21 * HOUR


def test_quiet_hours_end_and_begin():
    principles = principle_set(quiet_hours=[QUIET])
    assert until(principles, view()) == NOON + 9 * HOUR
    assert until(principles, view(t=NOON + 10 * HOUR)) == NOON + 21 * HOUR


def test_all_that_holds_a_verdict_up_must_end():
    principles = principle_set(quiet_hours=[QUIET], caps=[CAP])
    # The cap makes room at 22:00, in the night: the verdict lasts until the morning.
    assert until(principles, view(contact(NOON - 14 * HOUR))) == NOON + 21 * HOUR


def test_a_verdict_that_grows_stronger_changes_too():
    principles = principle_set(
        principle("case.open > 0", "defer"), principle('stage.age >= duration("1h")'), quiet_hours=[QUIET]
    )
    seen = view(values={"case.open": 1}, anchors={"stage.age": NOON})
    assert until(principles, seen) == NOON + HOUR


def test_what_is_held_up_by_something_timeless_has_no_until_whatever_else_ends():
    principles = principle_set(principle("case.open > 0"), quiet_hours=[QUIET], caps=[CAP])
    assert until(principles, view(contact(NOON - HOUR), values={"case.open": 1})) is None


def test_a_loser_waits_for_the_winner_to_drop_out():
    phone = candidate("marketing", "upsell", "phone", id="phone", value=9.0)
    mail = candidate(id="mail")
    found = verdicts(principle_set(quiet_hours=[QUIET | {"channels": ["phone"]}]), view(), phone, mail)
    assert [(one.candidate, one.verdict, one.until, one.lost_to) for one in found] == [
        ("phone", "allow", format_time(NOON + 9 * HOUR), None),
        ("mail", "defer", format_time(NOON + 9 * HOUR), "phone"),
    ]


def test_a_winner_waits_for_one_that_would_be_chosen_before_it():
    phone = candidate("marketing", "upsell", "phone", id="phone", value=9.0)
    principles = principle_set(quiet_hours=[QUIET | {"channels": ["phone"]}])
    found = verdicts(principles, view(t=NOON + 10 * HOUR), phone, candidate(id="mail"))
    assert [(one.verdict, one.until) for one in found] == [
        ("defer", format_time(NOON + 21 * HOUR)),
        ("allow", format_time(NOON + 21 * HOUR)),
    ]


def test_what_is_sent_later_is_judged_then_and_stays_so_until_then():
    later = candidate(send_at=format_time(NOON + 10 * HOUR))
    principles = principle_set(quiet_hours=[QUIET])
    assert verdicts(principles, view(), later)[0].verdict == "defer"
    assert until(principles, view(), later) == NOON + 21 * HOUR


def test_the_walk_is_bounded():
    never = {"values": {"stage.name": "crisis"}, "moments": {"stage.name": range(NOON, NOON + 900 * DAY, DAY)}}
    seen = view(**never)
    looked = []
    seen.values["stage.name"] = lambda t: looked.append(t) or "crisis"
    assert until(principle_set(principle('stage.name == "crisis"')), seen) is None
    assert len(set(looked)) == 65


@pytest.mark.parametrize(("domain", "kind", "looks"), [("marketing", "newsletter", 3), ("sales", "rescue_offer", 11)])
def test_who_loses_is_not_followed_through_every_night(domain, kind, looks):
    """What could meet a debt may get through at night, so it is followed for a while."""
    rivals = [candidate(domain, "upsell", id="wins", value=9.0), candidate(domain, kind, id="loses")]
    looked = []
    seen = view(t=NOON + 10 * HOUR, values={"stage.name": lambda t: looked.append(t) or "steady"})
    never = principle('stage.name == "crisis"')
    principles = principle_set(never, quiet_hours=[QUIET | {"domains": ["marketing", "sales"]}])
    found = verdicts(principles, seen, *rivals)
    assert [(one.verdict, one.until) for one in found] == [("defer", format_time(NOON + 21 * HOUR)), ("defer", None)]
    assert len(set(looked)) <= looks


def test_what_lies_beyond_400_days_is_not_looked_for():
    seen = view(values={"lifecycle": "closed"}, anchors={"closed.age": NOON})
    assert until(principle_set(principle('closed.age < duration("9600h")')), seen) == NOON + 400 * DAY
    assert until(principle_set(principle('closed.age < duration("9601h")')), seen) is None


def heard(*moments, kind="message.received", **data):
    """A customer, new no more, from whom (or to whom) something came at these moments."""
    customer = Customer()
    customer.tell("account.opened", NOON - 100 * DAY)
    for t in moments:
        customer.tell(kind, t, **({"channel": "email"} | data))
    return customer


def live(customer, t):
    return View(customer.record, t, BY_RULES)


def test_a_window_that_empties_is_told_however_far_ahead_and_to_the_day():
    principles = principle_set(principle("features.contacts_in_7d >= 2.0", "defer"))
    customer = heard(NOON - 2 * DAY, NOON - 30, NOON)
    emptied = (NOON // DAY + 7) * DAY  # the two of today leave together
    assert until(principles, live(customer, NOON)) == emptied
    assert verdicts(principles, live(customer, emptied))[0].verdict == "allow"


def test_a_feature_that_is_an_age_passes_its_literal_to_the_millisecond():
    customer = heard(NOON + 7)
    silent = principle_set(principle("features.silence >= 20.0", "defer"))
    assert until(silent, live(customer, NOON + HOUR)) == NOON + 7 + 20 * DAY
    longer = principle_set(principle("features.silence > 20.0", "defer"))
    assert until(longer, live(customer, NOON + HOUR)) == NOON + 7 + 20 * DAY + 1
    brief = principle_set(principle("0.1 > features.silence", "defer"))
    assert until(brief, live(customer, NOON + HOUR)) == NOON + 7 + DAY // 10


def test_ages_that_are_reckoned_with_are_looked_at_every_hour():
    principles = principle_set(principle("features.silence + features.nps_age > 367.0", "defer"))
    assert until(principles, live(heard(NOON), NOON)) == NOON + 2 * DAY + HOUR


def test_an_answer_is_valid_until_a_tile_leaves_a_window_that_matters():
    customer = heard(NOON)
    plain = principle_set(principle("features.contacts_in_7d >= 2.0", "defer"))
    asked = decide(request(candidate()), live(customer, NOON), plain, SETTINGS, t=NOON)
    assert asked.valid_until == format_time((NOON // DAY + 7) * DAY)


FEATURE_CONDITIONS = (
    "features.contacts_in_1h >= 1.0",
    "features.contacts_in_24h > 1.0 || features.contacts_in_30d > 4.0",
    "features.tone_mean_7d < 0.0 && features.contacts_in_7d >= 2.0",
    "features.silence >= 2.5",
    "features.silence < 0.3 && features.tenure > 101.1",
    "features.negative_message_age <= 9.0 && features.silence > 1.0",
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 12 * DAY), st.sampled_from([-0.5, 0.0, 0.5])), min_size=1, max_size=5),
    st.integers(0, 2 * DAY),
    st.sets(st.sampled_from(FEATURE_CONDITIONS), min_size=1),
    st.floats(0, 1),
)
def test_until_is_the_first_flip_of_what_features_say(told, wait, conditions, share):
    customer = Customer()
    customer.tell("account.opened", NOON - 100 * DAY)
    for t, tone in told:
        customer.tell("message.received", NOON + t, channel="email", sentiment=tone)
    principles = principle_set(*[principle(one, "defer") for one in sorted(conditions)])
    start = customer.record.clock + wait
    before = verdicts(principles, live(customer, start))[0]
    flip = before.until and parse_time(before.until)
    last = (flip or start + 31 * DAY) - 1
    for moment in (last, start + int(share * (last - start))):
        assert verdicts(principles, live(customer, moment))[0].verdict == before.verdict
    if flip:
        assert verdicts(principles, live(customer, flip))[0].verdict != before.verdict


stages = st.sampled_from(["crisis", "recovering", "strained", "at_risk", "steady"])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 20 * 24), stages), max_size=5, unique_by=lambda pair: pair[0]),
    stages,
    st.lists(st.integers(-72, 0), max_size=3),
    st.integers(0, 24 * 60),
    st.lists(
        st.sampled_from(
            ["marketing-upsell-phone", "marketing-newsletter-email", "sales-upgrade-sms", "survey-nps-sms"]
        ),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    st.sampled_from(["per_domain", "one", "none"]),
)
def test_until_is_the_first_flip(changes, first, contacts, minute, asked, choose):
    """Against the decisions themselves, asked every seven hours and at each promised moment."""
    start = NOON + minute * MINUTE
    steps = sorted((start + hours * HOUR, stage) for hours, stage in changes)

    def stage(t):
        return next((name for at, name in reversed(steps) if at <= t), first)

    def since(t):
        return next((at for at, _ in reversed(steps) if at <= t), start - 10 * HOUR)

    seen = view(
        *(contact(start + hours * HOUR) for hours in contacts),
        t=start,
        values={"stage.name": stage, "stage.age": lambda t: t - since(t)},
        moments={"stage.name": [at for at, _ in steps], "stage.p_crisis": [at for at, _ in steps]},
    )
    candidates = [candidate(*one.split("-"), id=one, value=float(len(one))) for one in asked]

    def names(moment):
        return [one.verdict for one in verdicts(default_pack(), seen.at(moment), *candidates, choose=choose)]

    now, end = names(start), start + 12 * DAY
    promised = [
        one.until and parse_time(one.until) for one in verdicts(default_pack(), seen, *candidates, choose=choose)
    ]
    for moment in range(start, end, 7 * HOUR):
        for verdict, at_first, until_then in zip(names(moment), now, promised, strict=True):
            assert verdict == at_first or (until_then is not None and until_then <= moment)
    for place, moment in enumerate(promised):
        if moment is not None:
            assert names(moment - 1)[place] == now[place] != names(moment)[place]


@pytest.mark.parametrize(
    ("zone", "verdict", "until"),
    [
        ("Europe/Madrid", "defer", "2026-03-29T07:00:00Z"),  # 09:00 in summer time
        ("America/New_York", "allow", "2026-03-29T01:00:00Z"),  # 21:00
    ],
)
def test_quiet_hours_are_right_on_the_night_the_clocks_change(zone, verdict, until):
    seen = view(t=parse_time("2026-03-29T00:30:00Z"), timezone=zone)
    found = verdicts(default_pack(), seen, candidate(channel="sms"))[0]
    assert (found.verdict, found.until) == (verdict, until)
