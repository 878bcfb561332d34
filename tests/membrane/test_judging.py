"""What speaks against one candidate at one moment."""

import pytest

from membrane.decide import decide
from membrane.judging import fulfils
from membrane.record import BREACHED, MET, OPEN, WAIVED, Obligation
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR
from membrane.vocabulary import Verdict
from tests.membrane.fakes_principles import (
    NOON,
    FakeView,
    candidate,
    contact,
    default_pack,
    principle,
    principle_set,
    request,
    view,
)

SETTINGS = TenantSettings()
EMPTY = principle_set()
NIGHT = NOON + 10 * HOUR
CAP = {"id": "cap", "domains": ["marketing", "sales"], "at_most": 1, "per": "24h"}
HELP = ["ticket_reply", "outage_notice", "security_notice", "appointment"]
QUIET = {"id": "nights", "domains": ["marketing", "sales"], "from": "21:00", "to": "09:00"}


def judged(one, seen, principles=EMPTY, **more):
    settings = more.pop("settings", SETTINGS)
    return decide(request(one), seen, principles, settings, t=seen.t, **more).verdicts[0]


def reasons(verdict):
    return [(reason.source, reason.id) for reason in verdict.reasons]


def owed(kind="rescue_offer", state=OPEN):
    return Obligation("o-1", "p", kind, "sales", NOON - HOUR, NOON + DAY, state)


def test_nothing_against_it_is_allow():
    assert (judged(candidate(), view()).verdict, judged(candidate(), view()).reasons) == (Verdict.ALLOW, [])


def test_an_unknown_domain_is_forbidden():
    verdict = judged(candidate("astrology"), view())
    assert (verdict.verdict, reasons(verdict)) == ("forbid", [("default", "unknown-class")])


def test_an_unknown_kind_is_judged_as_its_domains_strictest_class():
    seen = view(consents={("email", "billing"): "denied"})
    assert judged(candidate("sales", "telepathy"), view(consents={("email", "sales"): "denied"})).verdict == "forbid"
    assert judged(candidate("billing", "telepathy"), seen).verdict == "allow"


@pytest.mark.parametrize(
    ("domain", "kind", "verdict"),
    [
        ("marketing", "upsell", "forbid"),
        ("survey", "nps", "forbid"),
        ("service", "agent_call", "allow"),
        ("legal", "recall", "allow"),
        ("billing", "refund", "allow"),
        ("billing", "invoice", "allow"),
    ],
)
def test_a_customer_never_seen_gets_help_and_duty_but_no_persuasion(domain, kind, verdict):
    assert judged(candidate(domain, kind), FakeView()).verdict == verdict


def test_a_stranger_who_said_yes_may_be_addressed():
    seen = FakeView(consents={("email", "marketing"): "granted"})
    assert judged(candidate(), seen).verdict == "allow"
    assert reasons(judged(candidate("survey", "nps"), seen)) == [("default", "never-seen")]


@pytest.mark.parametrize(
    ("mode", "consent", "verdict", "why"),
    [
        ("opt_out", "none", "allow", []),
        ("opt_out", "granted", "allow", []),
        ("opt_out", "denied", "forbid", [("consent", "opted-out")]),
        ("opt_in", "none", "forbid", [("consent", "opt-in-missing")]),
        ("opt_in", "granted", "allow", []),
        ("opt_in", "denied", "forbid", [("consent", "opted-out")]),
    ],
)
@pytest.mark.parametrize(("domain", "kind"), [("marketing", "upsell"), ("survey", "csat")])
def test_consent_is_by_channel_and_domain_under_the_tenants_mode(mode, consent, verdict, why, domain, kind):
    seen = view(consents={("email", domain): consent, ("sms", domain): "denied"})
    found = judged(candidate(domain, kind), seen, settings=TenantSettings(consent=mode))
    assert (found.verdict, reasons(found)) == (verdict, why)


def test_help_and_duty_ask_for_no_consent():
    seen = view(consents={("email", "service"): "denied", ("email", "legal"): "denied"})
    assert judged(candidate("service", "agent_call"), seen).verdict == "allow"
    assert judged(candidate("legal", "recall"), seen).verdict == "allow"


def test_every_reason_is_kept_strongest_first():
    principles = principle_set(
        principle('stage.name == "steady"', "defer"), principle('stage.name == "steady"'), caps=[CAP]
    )
    found = judged(candidate(), view(contact(NOON - HOUR)), principles)
    assert (found.verdict, reasons(found)) == (
        "forbid",
        [("principle", "forbid-it-1"), ("principle", "defer-it-0"), ("cap", "cap")],
    )


def test_a_condition_that_fails_forbids():
    principles = principle_set(principle("case.open + 9223372036854775807 > 0 && false"))
    assert judged(candidate(), view(values={"case.open": 5}), principles).verdict == "allow"
    principles = principle_set(principle("case.open + 9223372036854775807 < 0"))
    assert judged(candidate(), view(values={"case.open": 0}), principles).verdict == "allow"
    assert judged(candidate(), view(values={"case.open": 5}), principles).verdict == "forbid"


def test_a_full_cap_defers_and_says_what_it_counted():
    found = judged(candidate(), view(contact(NOON - HOUR)), principle_set(caps=[CAP]))
    assert found.verdict == "defer"
    assert found.reasons[0].facts == {"contacts": 1, "at_most": 1, "per_hours": 24.0}


def test_quiet_hours_are_in_the_customers_zone_else_the_tenants():
    principles = principle_set(quiet_hours=[QUIET])
    assert judged(candidate(), view(t=NIGHT), principles).verdict == "defer"
    assert judged(candidate(), view(t=NIGHT, timezone="America/Bogota"), principles).verdict == "allow"
    assert judged(candidate(), view(t=NIGHT, timezone="No/Where"), principles).verdict == "defer"
    bogota = TenantSettings(timezone="America/Bogota")
    assert judged(candidate(), view(t=NIGHT), principles, settings=bogota).verdict == "allow"
    found = judged(candidate(), view(t=NIGHT, timezone="Europe/Madrid"), principles)
    assert found.reasons[0].facts == {"local_time": "00:00", "timezone": "Europe/Madrid"}


def test_who_reaches_out_is_not_put_off_by_quiet_hours_but_by_caps():
    inbound = candidate(direction="inbound")
    assert judged(inbound, view(t=NIGHT), principle_set(quiet_hours=[QUIET])).verdict == "allow"
    assert judged(inbound, view(contact(NOON - HOUR)), principle_set(caps=[CAP])).verdict == "defer"


@pytest.mark.parametrize(
    ("state", "verdict"), [(OPEN, "allow"), (BREACHED, "allow"), (MET, "defer"), (WAIVED, "defer")]
)
def test_what_is_owed_passes_caps_and_quiet_hours(state, verdict):
    principles = principle_set(caps=[CAP], quiet_hours=[QUIET])
    seen = view(contact(NIGHT - HOUR), owed=[owed(state=state)], t=NIGHT)
    assert judged(candidate("sales", "rescue_offer"), seen, principles).verdict == verdict
    assert judged(candidate("sales", "upsell"), seen, principles).verdict == "defer"


def test_what_is_owed_never_passes_an_opt_out_or_a_principle():
    rescue = candidate("sales", "rescue_offer")
    assert judged(rescue, view(owed=[owed()], consents={("email", "sales"): "denied"})).verdict == "forbid"
    principles = principle_set(principle('stage.name == "steady"'))
    assert judged(rescue, view(owed=[owed()]), principles).verdict == "forbid"


def test_a_service_contact_answers_a_bad_rating_and_a_kind_of_another_domain_is_nothing_owed():
    assert fulfils(candidate("service", "ticket_reply"), [owed("survey_follow_up")])
    assert not fulfils(candidate("marketing", "newsletter"), [owed("survey_follow_up")])
    assert not fulfils(candidate("marketing", "rescue_offer"), [owed()])
    assert fulfils(candidate("service", "agent_call"), [owed("agent_call")])


def test_help_counts_in_a_cap_and_is_never_held_back_by_one():
    everything = {"id": "few", "domains": ["service", "sales"], "not_kinds": HELP, "at_most": 1, "per": "24h"}
    principles = principle_set(caps=[everything])
    called = contact(NOON - HOUR, domain="service", kind="agent_call")
    assert judged(candidate("service", "agent_call"), view(called), principles).verdict == "allow"
    assert judged(candidate("sales", "upsell"), view(called), principles).verdict == "defer"


def test_where_a_principle_names_what_meets_it_that_passes_and_nothing_else():
    promise = {"kind": "rescue_offer", "owner": "sales", "due": "24h", "once_per": "episode", "met_by": ["upgrade"]}
    rule = principle('stage.name == "crisis"', "require", obligation=promise)
    principles = principle_set(rule, caps=[CAP], quiet_hours=[QUIET])
    due = owed()
    due.principle = "require-it-0"
    seen = view(contact(NIGHT - HOUR), owed=[due], t=NIGHT)
    assert judged(candidate("sales", "upgrade"), seen, principles).verdict == "allow"
    assert judged(candidate("sales", "rescue_offer"), seen, principles).verdict == "defer"
    both = decide(
        request(candidate("sales", "upgrade", id="z"), candidate("sales", "renewal", id="a", value=900.0)),
        view(owed=[due]),
        principle_set(rule),
        SETTINGS,
        t=NOON,
    )
    assert both.choice == ["z"]


def test_modifications_come_with_an_allow_and_tell_their_principle():
    found = judged(candidate("service", "agent_call"), view(values={"case.open": 1}), default_pack())
    assert found.verdict == "allow"
    [change] = found.modifications
    assert (change.changes, change.by) == ({"tone": "empathetic", "mention_case": True}, "empathy-while-unsolved")
    assert reasons(found) == [("principle", "empathy-while-unsolved")]
    refused = judged(candidate("survey", "nps"), view(values={"stage.name": "crisis"}), default_pack())
    assert (refused.verdict, refused.modifications) == ("defer", [])


@pytest.mark.parametrize(
    ("domain", "kind", "cause", "verdict"),
    [
        ("marketing", "upsell", "very_stale", "forbid"),
        ("survey", "nps", "stale", "defer"),
        ("service", "agent_call", "record_unreadable", "allow"),
        ("legal", "recall", "record_unreadable", "allow"),
        ("billing", "refund", "model_missing", "defer"),
        ("billing", "suspension", "claims_unreadable", "forbid"),
        ("billing", "suspension", "stale", "defer"),
        ("marketing", "upsell", "consents_unreadable", "forbid"),
        ("marketing", "upsell", "stale", "allow"),
        ("marketing", "upsell", "model_missing", "allow"),
    ],
)
def test_what_is_degraded_falls_to_the_class_default(domain, kind, cause, verdict):
    found = judged(candidate(domain, kind), view(), default_pack(), degraded=[cause])
    assert found.verdict == verdict
    told = ("degraded", cause) in reasons(found)
    assert told is (cause not in {"stale", "model_missing"} or domain != "marketing")


def test_while_degraded_help_is_blocked_by_nothing_and_persuasion_by_everything_still():
    principles = principle_set(principle("true", applies={"kinds": ["agent_call", "upsell"]}))
    call, upsell = candidate("service", "agent_call"), candidate()
    assert judged(call, view(), principles).verdict == "forbid"
    assert judged(call, view(), principles, degraded=["stale"]).verdict == "allow"
    assert judged(upsell, view(), principles, degraded=["stale"]).verdict == "forbid"


def test_while_stale_only_the_calm_may_be_persuaded():
    for stage, verdict in (("steady", "allow"), ("thriving", "allow"), ("at_risk", "forbid")):
        found = judged(candidate(kind="newsletter"), view(values={"stage.name": stage}), degraded=["stale"])
        assert found.verdict == verdict
    assert found.unless is not None
    assert found.unless.any[0][0].would_be == ["thriving", "steady"]


def test_persuasion_that_needs_the_model_is_forbidden_without_it():
    principles = principle_set(principle("risk.churn > 0.9"))
    assert judged(candidate(), view(), principles).verdict == "allow"
    assert judged(candidate(), view(), principles, degraded=["model_missing"]).verdict == "forbid"
