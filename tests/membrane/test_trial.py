"""A draft tried on contacts that were made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from membrane.decide import decide
from membrane.decisions import Candidate, DecisionRequest
from membrane.engine import Rules
from membrane.record import Record, State
from membrane.settings import TenantSettings
from membrane.signals import ContactMade
from membrane.times import DAY, HOUR
from membrane.tracker import start
from membrane.trial import SHOWN, Trial
from membrane.view import View
from membrane.vocabulary import STAGES
from tests.membrane.fakes_principles import NOON, default_pack, principle, principle_set

SETTINGS = TenantSettings()
NOTHING = principle_set()
NO_MARKETING = principle_set(principle("true", applies={"domains": ["marketing"]}))
LATER = principle_set(principle("true", "defer", applies={"domains": ["marketing"]}))

contacts = st.builds(
    ContactMade,
    domain=st.sampled_from(["marketing", "sales", "survey", "service", "billing", "legal"]),
    kind=st.sampled_from(["upsell", "nps", "agent_call", "invoice", "unheard_of"]),
    channel=st.sampled_from(["email", "phone", "pigeon"]),
)


def view(customer: str = "c", stage: str = "steady") -> View:
    year_ago = NOON - 365 * DAY
    tracker = start(year_ago)
    tracker.stage, tracker.lifecycle = [str(name) for name in STAGES].index(stage), 2
    record = Record("default", customer, 7, NOON - HOUR, 0, State(first_at=year_ago, opened_at=year_ago), tracker)
    return View(record, NOON, Rules(None))


def made(domain: str = "marketing", kind: str = "upsell") -> ContactMade:
    return ContactMade(domain=domain, kind=kind, channel="email")


def tried(in_force, draft, *told: tuple[str, ContactMade, View]):
    trial = Trial(in_force, draft, SETTINGS)
    for one in told:
        trial.add(*one)
    return trial.outcome(NOON - DAY, NOON)


@given(contacts, st.sampled_from(["crisis", "steady", "recovering"]))
def test_a_contact_is_judged_as_a_decision_judges_the_same_candidate_alone(contact, stage):
    request = DecisionRequest("c", [Candidate("x", contact.domain, contact.kind, contact.channel)])
    answer = decide(request, view(stage=stage), default_pack(), SETTINGS, t=NOON)
    ruling = Trial(NOTHING, NOTHING, SETTINGS).ruling(contact, view(stage=stage), default_pack())
    assert ruling.verdict == answer.verdicts[0].verdict
    if ruling.verdict != "allow":
        assert set(ruling.because) <= {reason.id for reason in answer.verdicts[0].reasons}


@given(st.lists(st.tuples(st.sampled_from("abc"), contacts), max_size=12))
def test_counts_add_up_and_turn_round_with_the_sets(told):
    given_ = [(customer, contact, view(customer)) for customer, contact in told]
    there, back = tried(NO_MARKETING, LATER, *given_), tried(LATER, NO_MARKETING, *given_)
    for outcome in (there, back):
        assert outcome.total.contacts == len(told)
        for parts in (outcome.by_department, outcome.by_stage):
            assert sum(one.contacts for one in parts.values()) == len(told)
            assert sum(one.otherwise for one in parts.values()) == outcome.total.otherwise
        assert sum(outcome.verdicts_draft.values()) == len(told)
    assert (there.verdicts_in_force, there.verdicts_draft) == (back.verdicts_draft, back.verdicts_in_force)
    assert (there.total.held_back, there.total.let_through) == (back.total.let_through, back.total.held_back)
    assert there.customers == len({customer for customer, _ in told})


def test_a_draft_that_is_in_force_changes_nothing():
    outcome = tried(default_pack(), default_pack(), ("a", made(), view(stage="crisis")), ("b", made(), view()))
    assert (outcome.total.held_back, outcome.total.let_through, outcome.total.otherwise) == (0, 0, 0)
    assert outcome.held_back == outcome.let_through == outcome.spared == []


def test_what_is_held_back_is_told_by_department_stage_and_principle_with_who_is_spared():
    told = [("a", made(), view("a", "crisis")), ("a", made(), view("a", "crisis")), ("b", made(), view("b"))]
    outcome = tried(NOTHING, NO_MARKETING, *told, ("b", made("service", "agent_call"), view("b")))
    assert (outcome.total.contacts, outcome.total.held_back) == (4, 3)
    assert {name: one.held_back for name, one in outcome.by_department.items()} == {"marketing": 3, "service": 0}
    assert {name: one.held_back for name, one in outcome.by_stage.items()} == {"crisis": 2, "steady": 1}
    assert {name: one.held_back for name, one in outcome.by_principle.items()} == {"forbid-it-0": 3}
    assert [(one.customer, one.contacts) for one in outcome.spared] == [("a", 2), ("b", 1)]
    first = outcome.held_back[0]
    assert (first.customer, first.stage) == ("a", "crisis")
    assert (first.in_force.verdict, first.draft.verdict) == ("allow", "forbid")
    assert (first.in_force.because, first.draft.because) == ([], ["forbid-it-0"])


def test_what_is_let_through_is_laid_to_what_holds_it_now():
    outcome = tried(NO_MARKETING, NOTHING, ("a", made(), view()))
    assert outcome.by_principle["forbid-it-0"].let_through == 1
    assert [one.customer for one in outcome.let_through] == ["a"]
    assert outcome.spared == []


def test_a_customer_never_seen_has_no_stage():
    outcome = tried(NOTHING, NOTHING, ("new", made(), View(None, NOON, Rules(None))))
    assert list(outcome.by_stage) == ["none"]
    assert outcome.verdicts_draft == {"allow": 0, "defer": 0, "forbid": 1}


def test_a_few_examples_are_kept_the_first_of_all():
    told = [(f"c-{number:03}", made(), view(f"c-{number:03}")) for number in reversed(range(95))]
    outcome = tried(NOTHING, NO_MARKETING, *told)
    assert [one.customer for one in outcome.held_back] == [f"c-{number:03}" for number in range(SHOWN)]
    assert len(outcome.spared) == SHOWN
