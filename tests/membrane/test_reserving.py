"""Reserving: permits for what is allowed, each counting for the next."""

from itertools import count

from membrane.caps import PERMIT_MS
from membrane.decide import decide_beside
from membrane.reserving import reserve
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, MINUTE, format_time
from tests.membrane.fakes_principles import NOON, candidate, claim, contact, default_pack, principle_set, request, view


def reserved(asked, seen, claims=(), principles=None):
    """The answer, and the granted permits by candidate."""
    numbers = count(1)

    def deciding(one, held):
        seen.claims = held
        return decide_beside(one, seen, principles or default_pack(), TenantSettings(), t=NOON)

    decided, granted = reserve(asked, claims, deciding, lambda _one: f"p{next(numbers)}", NOON)
    return decided.answer, {one.candidate.id: one.claim for one in granted}


def test_what_is_allowed_gets_a_permit_and_what_is_not_gets_none():
    asked = request(candidate(value=2.0), candidate(kind="newsletter"), candidate("service", "ticket_reply"))
    answer, granted = reserved(asked, view())
    verdicts = {one.candidate: (one.verdict, one.permit) for one in answer.verdicts}
    assert verdicts["marketing-upsell"] == ("allow", "p1")
    assert verdicts["marketing-newsletter"] == ("defer", None)
    assert verdicts["service-ticket_reply"] == ("allow", "p2")
    assert {one.permit_until for one in answer.verdicts if one.permit} == {format_time(NOON + PERMIT_MS)}
    assert set(granted) == {"marketing-upsell", "service-ticket_reply"}


def test_two_that_share_a_cap_of_one_get_one_permit_and_the_better_has_it():
    asked = request(candidate(value=2.0), candidate("sales", "upsell", value=3.0))
    answer, granted = reserved(asked, view())
    marketing, sales = answer.verdicts
    assert set(granted) == {"sales-upsell"}
    assert (sales.verdict, marketing.verdict, marketing.permit) == ("allow", "defer", None)
    assert [reason.id for reason in marketing.reasons] == ["one-selling-contact-a-day"]
    assert marketing.until == format_time(NOON + PERMIT_MS)
    assert answer.choice == ["sales-upsell"]
    assert answer.valid_until == format_time(NOON + PERMIT_MS)


def test_who_asks_when_the_slot_is_claimed_gets_none():
    answer, granted = reserved(request(candidate()), view(), [claim(NOON - MINUTE)])
    assert (answer.verdicts[0].verdict, granted) == ("defer", {})


def test_help_is_permitted_whatever_is_claimed():
    made = [contact(NOON - number * HOUR) for number in range(1, 9)]
    _, granted = reserved(request(candidate("service", "ticket_reply")), view(*made), [claim(NOON - MINUTE)])
    assert set(granted) == {"service-ticket_reply"}


def test_nobody_holds_a_slot_for_what_goes_out_after_the_permit_has_ended_nor_for_an_inbound_contact():
    later = candidate(send_at=format_time(NOON + DAY))
    inbound = candidate("service", "ticket_reply", direction="inbound")
    answer, granted = reserved(request(later, inbound), view())
    assert [one.verdict for one in answer.verdicts] == ["allow", "allow"]
    assert granted == {}


def test_an_unknown_domain_gets_none():
    _, granted = reserved(request(candidate("astrology", "upsell")), view())
    assert granted == {}


def test_context_levers_and_what_is_owed_decide_who_has_the_slot():
    principles = principle_set(
        caps=[{"id": "one", "domains": ["marketing", "sales"], "at_most": 1, "per": "24h"}],
        levers=[{"domain": "sales", "percent": 900}],
    )
    plain, suited = candidate(value=10.0), candidate("sales", "upsell", value=10.0, context=5.0)
    assert set(reserved(request(plain, suited), view(), principles=principles)[1]) == {"sales-upsell"}
    weighed = candidate("sales", "upsell", value=2.0)
    assert set(reserved(request(plain, weighed), view(), principles=principles)[1]) == {"sales-upsell"}


def test_a_loser_is_judged_again_when_its_winner_falls_out():
    caps = [
        {"id": "one-upsell", "kinds": ["upsell"], "at_most": 1, "per": "24h"},
        {"id": "many", "domains": ["marketing"], "at_most": 5, "per": "24h"},
    ]
    asked = request(candidate("sales", "upsell", value=9.0), candidate(value=5.0), candidate(kind="newsletter"))
    answer, granted = reserved(asked, view(), principles=principle_set(caps=caps))
    assert set(granted) == {"sales-upsell", "marketing-newsletter"}
    assert [one.verdict for one in answer.verdicts] == ["allow", "defer", "allow"]
    assert answer.verdicts[1].lost_to is None
    assert answer.choice == ["sales-upsell", "marketing-newsletter"]


def test_a_permit_lives_no_longer_than_the_verdict():
    quiet = [{"id": "q", "domains": ["marketing"], "from": "12:05", "to": "13:00"}]
    _, granted = reserved(request(candidate()), view(), principles=principle_set(quiet_hours=quiet))
    assert granted["marketing-upsell"].until == NOON + 5 * MINUTE
