"""The whole decision."""

import dataclasses
import json

import pytest

from membrane.decide import decide, default_verdicts
from membrane.decisions import About, encode_answer
from membrane.dictionary import CaseFacts
from membrane.errors import InvalidRequest
from membrane.ids import episode_id
from membrane.record import BREACHED, MET, Case, Obligation
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import STAGES, Stage
from tests.membrane.fakes_principles import (
    NOON,
    FakeView,
    candidate,
    default_pack,
    principle,
    principle_set,
    request,
    view,
)

SETTINGS = TenantSettings()
CRISIS = {"stage.name": "crisis"}


def answer(asked, seen, principles=None, **more):
    settings = more.pop("settings", SETTINGS)
    return decide(asked, seen, principles or default_pack(), settings, t=more.pop("t", seen.t), **more)


def test_the_storys_shop_in_crisis_hears_neither_marketing_nor_sales_but_gets_service():
    asked = request(
        candidate(id="spring-upsell"),
        candidate(kind="newsletter", id="weekly"),
        candidate("sales", "upgrade", id="hardware"),
        candidate("survey", "csat"),
        candidate("service", "agent_call", "phone"),
        language="es",
    )
    found = answer(asked, view(values=CRISIS | {"case.open": 1, "case.open_without_eta": 1, "case.worst_severity": 1}))
    assert [one.verdict for one in found.verdicts] == ["forbid", "forbid", "forbid", "defer", "allow"]
    assert found.verdicts[0].reasons[0].text == "No vender ni promocionar nada a un cliente en crisis."
    assert found.verdicts[3].reasons[0].id == "no-survey-before-a-promised-time"
    assert found.choice == []


def test_the_recovering_shop_hears_the_offer_that_mends_its_problem_and_nothing_else():
    owed = Obligation("o-1", "p", "rescue_offer", "sales", NOON - HOUR, NOON + DAY)
    seen = view(owed=[owed], values={"stage.name": "recovering", "risk.relapse": True})
    asked = request(
        candidate("sales", "rescue_offer", "phone"),
        candidate("sales", "upsell", value=1e6),
        candidate(),
        candidate("billing", "service_credit"),
    )
    found = answer(asked, seen)
    assert [one.verdict for one in found.verdicts] == ["allow", "defer", "defer", "allow"]
    assert found.choice == ["sales-rescue_offer"]


def test_the_answer_has_the_contracts_json():
    found = json.loads(encode_answer(answer(request(candidate()), view(values=CRISIS))))
    assert list(found) == [
        "decision", "customer", "at", "lifecycle", "verdicts", "choice", "stage", "episode", "risks", "owed", "state",
        "revisions", "valid_until", "logged",
    ]  # fmt: skip
    assert found["verdicts"][0] == {
        "candidate": "marketing-upsell",
        "verdict": "forbid",
        "until": None,
        "unless": {
            "any": [
                [
                    {
                        "fact": "stage.name",
                        "is": "crisis",
                        "would_be": ["recovering", "strained", "at_risk", "thriving", "steady"],
                    }
                ]
            ]
        },
        "reasons": [
            {
                "source": "principle",
                "id": "no-selling-in-crisis",
                "text": "Do not sell or promote anything to a customer in crisis.",
                "facts": {"stage.name": "crisis"},
            }
        ],
        "modifications": [],
        "permit": None,
        "lost_to": None,
    }
    assert found["state"] == {
        "as_of": format_time(NOON - HOUR), "version": 7, "staleness_seconds": None, "degraded": [],
    }  # fmt: skip
    assert found["revisions"] == {"principles": "2026-11-22.1+00000000", "stage_model": None, "churn_model": None}


def test_a_modification_is_a_set_by_a_principle():
    found = json.loads(
        encode_answer(answer(request(candidate("service", "agent_call")), view(values={"case.open": 1})))
    )
    assert found["verdicts"][0]["modifications"] == [
        {"set": {"tone": "empathetic", "mention_case": True}, "by": "empathy-while-unsolved"}
    ]


def test_a_customer_never_seen_has_no_stage_and_no_state():
    found = answer(request(candidate(), candidate("service", "ticket_reply")), FakeView())
    assert [one.verdict for one in found.verdicts] == ["forbid", "allow"]
    assert (found.lifecycle, found.stage, found.episode, found.owed) == ("unknown", None, None, [])
    assert (found.state.as_of, found.state.version, found.risks.churn) == (None, None, None)


def test_stage_episode_risks_and_what_is_owed_are_told():
    owed = [
        Obligation("late", "p", "agent_call", "service", NOON - DAY, NOON + DAY, approval="human"),
        Obligation("broken", "p", "promised_time", "service", NOON - DAY, NOON - HOUR, BREACHED),
        Obligation("done", "p", "free_service", "service", NOON - DAY, NOON - HOUR, MET),
    ]
    seen = view(owed=owed, values={"risk.relapse": True})
    tracker = seen.record.tracker
    tracker.stage, tracker.previous = STAGES.index(Stage.CRISIS), STAGES.index(Stage.STRAINED)
    tracker.since = tracker.episode_at = NOON - DAY
    tracker.probabilities = [930_000, 10_000, 10_000, 10_000, 10_000, 30_000]
    tracker.drivers, tracker.churn = [("recurrences_30d", 4_100)], 710_000
    found = answer(request(candidate()), seen)
    assert (found.stage.name, found.stage.previous, found.stage.confidence) == ("crisis", "strained", 0.93)
    assert (found.stage.drivers, found.stage.rules_only) == ([("recurrences_30d", 0.41)], False)
    assert found.episode.id == episode_id("default", "c-1", NOON - DAY)
    assert (found.risks.churn, found.risks.relapse) == (0.71, True)
    assert [(one.obligation, one.state, one.approval) for one in found.owed] == [
        ("broken", "breached", None),
        ("late", "open", "human"),
    ]


def test_only_what_persuades_competes_and_by_domain_unless_told_otherwise():
    asked = [
        candidate(id="m1", value=1.0, propensity=0.5),
        candidate(id="m2", value=2.0, propensity=0.5),
        candidate("sales", "upgrade", id="s1", value=9.0),
        candidate("service", "onboarding", id="h1"),
        candidate("survey", "nps", id="q1"),
    ]
    by_domain = answer(request(*asked), view())
    assert by_domain.choice == ["m2", "s1"]
    lost = by_domain.verdicts[0]
    assert (lost.verdict, lost.lost_to, lost.reasons[0].source) == ("defer", "m2", "arbitration")
    assert answer(request(*asked, choose="one"), view()).choice == ["s1"]
    assert answer(request(*asked, choose="none"), view()).choice == ["m1", "m2", "s1"]
    assert [one.verdict for one in by_domain.verdicts[3:]] == ["allow", "allow"]


def test_what_is_refused_does_not_win():
    asked = request(candidate(kind="cross_sell", value=9.0), candidate(kind="newsletter"))
    assert answer(asked, view(values={"lifecycle": "new"})).choice == ["marketing-newsletter"]


def test_a_candidate_is_judged_when_it_would_be_sent_else_at_the_moment_asked_about_else_now():
    principles = principle_set(principle('stage.age > duration("10h")'))
    seen = view(anchors={"stage.age": NOON})
    later, sent = NOON + 20 * HOUR, format_time(NOON + 20 * HOUR)
    assert answer(request(candidate()), seen, principles).verdicts[0].verdict == "allow"
    assert answer(request(candidate(), at=later), seen, principles).verdicts[0].verdict == "forbid"
    assert answer(request(candidate(send_at=sent)), seen, principles).verdicts[0].verdict == "forbid"
    assert answer(request(candidate()), seen, principles, t=later).at == sent


def test_a_past_send_at_is_now_and_a_clock_ahead_of_now_is_now():
    principles = principle_set(principle('stage.age > duration("1h")'))
    seen = view(anchors={"stage.age": NOON - 2 * HOUR})
    past = candidate(send_at=format_time(NOON - DAY))
    assert answer(request(past), seen, principles).verdicts[0].verdict == "forbid"
    assert answer(request(past), seen, principles, t=NOON - HOUR).at == format_time(NOON)


@pytest.mark.parametrize("at", [NOON - 1, NOON + 31 * DAY + 1])
def test_moments_before_the_clock_or_over_31_days_ahead_are_refused(at):
    with pytest.raises(InvalidRequest) as caught:
        answer(request(candidate(), at=at), view())
    assert caught.value.errors[0][0] == "/at"


def test_a_send_at_over_31_days_ahead_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        answer(request(candidate(), candidate(id="x", send_at=format_time(NOON + 32 * DAY))), view())
    assert caught.value.errors[0][0] == "/candidates/1/send_at"


def test_31_days_ahead_are_answered():
    assert answer(request(candidate(), at=NOON + 31 * DAY), view()).at == format_time(NOON + 31 * DAY)


@pytest.mark.parametrize(
    ("about", "verdict"),
    [
        (None, "allow"),
        (About(at=format_time(NOON - 48 * HOUR)), "allow"),
        (About(at=format_time(NOON - 48 * HOUR - 1)), "forbid"),
        (About(interaction="i-1"), "forbid"),
        (About(interaction="i-2"), "allow"),
        (About(case="k-1"), "allow"),
        (About(case="k-2"), "forbid"),
        (About(case="k-3"), "allow"),
        (About(touchpoint="shop"), "allow"),
        (About(touchpoint="web"), "forbid"),
        (About(touchpoint="app"), "allow"),
        (About(interaction="touchpoint:shop"), "forbid"),
        (About(interaction="web"), "allow"),
        (About(at="1970-01-01T00:00:00Z"), "forbid"),
        (About(interaction="i-1", at=format_time(NOON - HOUR)), "allow"),
    ],
)
def test_a_survey_is_measured_from_the_end_of_what_it_asks_about(about, verdict):
    seen = view()
    state = seen.record.state
    state.ended |= {"i-1": NOON - 3 * DAY, "touchpoint:shop": NOON - 3 * DAY, "None": NOON - 3 * DAY}
    state.ended_touchpoints |= {"web": NOON - 3 * DAY, "None": NOON - 3 * DAY}
    solved = {"opened_at": NOON - 9 * DAY, "touched_at": NOON - DAY, "resolved_at": NOON - 3 * DAY}
    state.cases += [Case("k-2", **solved), Case("k-3", **solved, reopenings=[NOON - DAY])]
    assert answer(request(candidate("survey", "csat", about=about)), seen).verdicts[0].verdict == verdict


def test_texts_are_in_the_language_asked_for_else_the_tenants():
    asked, seen = request(candidate()), view(values=CRISIS)
    assert answer(asked, seen).verdicts[0].reasons[0].text.startswith("Do not sell")
    spanish = answer(asked, seen, settings=TenantSettings(language="es"))
    assert spanish.verdicts[0].reasons[0].text.startswith("No vender")
    english = answer(request(candidate(), language="en"), seen, settings=TenantSettings(language="es"))
    assert english.verdicts[0].reasons[0].text.startswith("Do not sell")


def test_explain_full_names_every_principle_evaluated():
    found = answer(request(candidate(), explain="full"), view(values=CRISIS)).verdicts[0]
    by_id = {one.id: one for one in found.evaluated}
    assert by_id["no-selling-in-crisis"].holds is True
    assert by_id["gone-is-gone"].holds is False
    assert by_id["gone-is-gone"].facts == {"closed.age": "0s", "lifecycle": "active"}
    short = answer(request(candidate()), view(values=CRISIS))
    assert "evaluated" not in json.loads(encode_answer(short))["verdicts"][0]


def test_ages_are_shown_in_words_and_cases_by_name():
    principles = principle_set(principle('stage.age > duration("72h") && cases.size() >= 0'))
    found = answer(request(candidate()), view(anchors={"stage.age": NOON - 73 * HOUR}), principles)
    assert found.verdicts[0].reasons[0].facts == {"stage.age": "73h", "cases": []}


def test_what_is_amiss_is_told_in_the_contracts_words():
    found = answer(request(candidate()), view(), degraded=["very_stale", "stale", "source_silent", "no_principles"])
    assert found.state.degraded == ["stale", "source_silent"]


def test_a_silent_source_is_a_fact_for_every_candidate_and_at_every_moment():
    later = candidate(id="later", send_at=format_time(NOON + 30 * DAY))
    seen = view()
    seen.service_silent = True
    found = answer(request(candidate(), later, choose="none"), seen, degraded=["source_silent"])
    assert [one.verdict for one in found.verdicts] == ["defer", "defer"]
    assert all("blind-means-careful" in [reason.id for reason in one.reasons] for one in found.verdicts)
    assert all(one.until is None for one in found.verdicts)
    assert answer(request(candidate()), view(), degraded=["source_silent"]).verdicts[0].verdict == "allow"


def test_the_currency_of_values_is_named_where_the_tenant_sets_one():
    shown = encode_answer(answer(request(candidate()), view(), settings=TenantSettings(currency="COP")))
    assert json.loads(shown)["currency"] == "COP"
    assert b"currency" not in encode_answer(answer(request(candidate()), view()))


def test_past_the_deadline_the_rest_gets_its_class_default():
    calls = iter([False, True])
    asked = request(candidate(id="a"), candidate(id="b"), candidate("service", "agent_call"), candidate("astrology"))
    found = answer(asked, view(), expired=lambda: next(calls, True))
    assert [one.verdict for one in found.verdicts] == ["allow", "forbid", "allow", "forbid"]
    assert found.verdicts[1].reasons[0].id == "deadline"
    assert (found.state.degraded, found.valid_until) == (["deadline"], None)
    assert all(one.until is None and one.unless is None for one in found.verdicts)


class Stopwatch:
    """A clock that stands still but while a condition is evaluated: 5 ms each."""

    def __init__(self):
        self.ms = 0

    def slow(self, principles):
        """The same principles, with conditions that take their time."""
        return dataclasses.replace(principles, principles=tuple(map(self._slow, principles.principles)))

    def _slow(self, one):
        def evaluate(facts):
            self.ms += 5
            return one.condition.evaluate(facts)

        return dataclasses.replace(one, condition=dataclasses.replace(one.condition, evaluate=evaluate, compiled=None))

    def expired(self):
        return self.ms > 50


SPREAD = tuple(
    CaseFacts(f"k-{n}", "x", "", 3, "open", n * HOUR, has_eta=False, eta_missed=False, recurrences=0) for n in range(24)
)
NEVER = 'cases.exists(c, c.age > duration("48h") && c.severity == 9)'


@pytest.mark.parametrize(
    ("when", "many", "verdicts"),
    [
        (NEVER, 20, ["forbid"] * 6),  # not even the first candidate can be judged in time
        (NEVER, 2, ["allow", *["defer"] * 4, "forbid"]),  # but none could say until when
        ('case.open > 0 && cases.exists(c, c.age > duration("1h"))', 2, ["forbid"] * 6),  # nor what would change it
    ],
)
@pytest.mark.parametrize("explain", ["short", "full"])
def test_principles_that_take_their_time_do_not_take_more_than_the_deadline(when, many, verdicts, explain):
    watch = Stopwatch()
    slow = watch.slow(principle_set(*[principle(when) for _ in range(many)]))
    candidates = [candidate(id=str(n), value=9.0 - n) for n in range(6)]
    seen = view(values={"case.open": 1}, open_cases=SPREAD)
    found = answer(request(*candidates, explain=explain), seen, slow, expired=watch.expired)
    assert watch.ms <= 55
    assert found.state.degraded == ["deadline"]
    assert [one.verdict for one in found.verdicts] == verdicts
    assert all(one.until is None and one.unless is None for one in found.verdicts)
    assert found.valid_until is None


def test_what_takes_its_time_to_say_until_when_keeps_the_verdicts():
    watch = Stopwatch()
    slow = watch.slow(principle_set(principle(NEVER), principle('stage.name == "crisis"', "defer")))
    found = answer(request(candidate()), view(values=CRISIS, open_cases=SPREAD), slow, expired=watch.expired)
    assert (found.verdicts[0].verdict, found.verdicts[0].reasons[0].source) == ("defer", "principle")
    assert (found.verdicts[0].until, found.state.degraded) == (None, ["deadline"])
    assert watch.ms <= 55


def test_nobody_looks_ahead_for_what_was_not_judged_in_time():
    ahead = []

    class Watched(FakeView):
        def foresee(self, t):
            ahead.append(t)
            return self.at(t)

    candidates = [candidate(id=str(n), send_at=format_time(NOON + n * HOUR)) for n in range(1, 51)]
    seen = Watched(record=view().record, values={"lifecycle": "active", "stage.name": "steady"})
    found = answer(request(*candidates, explain="full"), seen, expired=lambda: len(ahead) >= 2)
    assert ahead == [NOON + HOUR, NOON + 2 * HOUR]
    assert [one.reasons[0].id for one in found.verdicts[2:]] == ["deadline"] * 48
    assert [one.evaluated for one in found.verdicts[2:]] == [[]] * 48


def test_the_answer_is_valid_until_anything_in_it_may_change():
    seen = view(anchors={"stage.age": NOON}, due=[NOON + 50 * HOUR])
    aged = principle_set(principle('stage.age > duration("10h")'))
    assert answer(request(candidate()), seen, aged).valid_until == format_time(NOON + 10 * HOUR + 1)
    assert answer(request(candidate()), seen, principle_set()).valid_until == format_time(NOON + 50 * HOUR)
    assert answer(request(candidate()), view(), principle_set()).valid_until is None
    manner = principle_set(principle('stage.age > duration("20h")', "modify", set={"tone": "calm"}))
    assert answer(request(candidate()), seen, manner).valid_until == format_time(NOON + 20 * HOUR + 1)


def test_what_cannot_be_judged_at_all_has_class_defaults():
    asked = request(candidate(), candidate("service", "agent_call"), candidate("billing", "suspension"))
    assert default_verdicts(asked, "record_unreadable") == [
        ("marketing-upsell", "forbid"),
        ("service-agent_call", "allow"),
        ("billing-suspension", "forbid"),
    ]
