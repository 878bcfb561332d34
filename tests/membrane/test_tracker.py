"""The tracker: the filter of the model's scores, what a model may name, and a history that is never rewritten."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.belief import believed
from membrane.decide import decide
from membrane.engine import Rules
from membrane.record import Belief, Cause, State, Tracker
from membrane.settings import TenantSettings
from membrane.signals import StoredSignal
from membrane.stages import (
    ALLOWED_MOVES,
    AT_RISK,
    CRISIS,
    MILLION,
    RECOVERING,
    STEADY,
    STRAINED,
    THRIVING,
    Limits,
)
from membrane.times import DAY, HOUR
from membrane.tracker import (
    DWELL,
    LEAST,
    OF_BELIEF,
    OF_SCORE,
    RULE_ODDS,
    STATIONARY,
    Score,
    confidence,
    episode_ends,
    estimate,
    evaluate,
    named_until,
    p_crisis,
    start,
)
from membrane.tracker import probabilities as shown_probabilities
from membrane.view import View
from membrane.vocabulary import STAGES
from tests.fakes import default_pack
from tests.membrane.customer import Customer
from tests.membrane.fakes_principles import candidate, request
from tests.strategies import START, signals

NONE = Score()
probabilities = st.lists(st.floats(0.001, 1), min_size=6, max_size=6).map(lambda raw: [p / sum(raw) for p in raw])


def sure_of(stage: int, p: float = 0.95) -> Score:
    """A score that gives one stage p, and the others the rest in equal parts."""
    rest = (1 - p) / (len(STAGES) - 1)
    return Score([p if index == stage else rest for index in range(len(STAGES))])


def settled(score: Score, *, stage: int = STEADY, after: int = 0) -> Tracker:
    """A tracker that has heard one score often enough to believe it."""
    tracker = Tracker(stage, START)
    for _ in range(30):
        estimate(tracker, score, START + after)
    return tracker


# ---- the filter ----------------------------------------------------------------------------------------------------


@given(probabilities, st.integers(0, 100 * DAY), st.integers(0, 100 * DAY))
def test_two_steps_of_time_equal_one(last: list[float], first: int, second: int) -> None:
    """expm(Q s) expm(Q t) = expm(Q (s + t)), up to the millionths that a record keeps."""

    def carried(p: list[float], dt: int) -> list[float]:
        # the pool of the carried prior with itself is the prior: what time alone does to an estimate
        kept = math.exp(-dt / DWELL)
        return [kept * a + (1 - kept) * b for a, b in zip(p, STATIONARY, strict=True)]

    def through(p: list[float], *steps: int) -> list[float]:
        tracker, t = Tracker(STEADY, 0, probabilities=[round(x * MILLION) for x in p], estimated_at=0), 0
        for dt in steps:
            p, t = carried(p, dt), t + dt
            estimate(tracker, Score(p), t)
        return [x / MILLION for x in tracker.probabilities]

    assert through(last, first, second) == pytest.approx(through(last, first + second), abs=5e-6)
    assert through(last, first, second) == pytest.approx(carried(last, first + second), abs=5e-6)


def test_without_news_the_estimate_tends_to_the_stationary_one() -> None:
    tracker = settled(sure_of(STRAINED))
    estimate(tracker, Score(STATIONARY), START + 1000 * DAY)
    assert [p / MILLION for p in tracker.probabilities] == pytest.approx(STATIONARY, abs=1e-4)


@given(probabilities, probabilities, st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=12))
def test_repeating_a_score_tends_to_it_and_never_passes_it(
    last: list[float], score: list[float], waits: list[int]
) -> None:
    """The odds of every pair of stages stay on their side of the score's, whatever time lies between."""
    tracker = Tracker(STEADY, START, probabilities=[round(p * MILLION) for p in last], estimated_at=START)
    t = START
    for wait in waits:
        t += wait
        kept = math.exp(-wait / DWELL)
        before = [kept * p / MILLION + (1 - kept) * s for p, s in zip(tracker.probabilities, STATIONARY, strict=True)]
        estimate(tracker, Score(score), t)
        after = [p / MILLION for p in tracker.probabilities]
        for stage in range(1, 6):
            odds = [math.log(max(p[stage], 1e-6) / max(p[0], 1e-6)) for p in (before, after, score)]
            slack = 2e-6 / min(*after, *score) + 1e-6
            assert min(odds[0], odds[2]) - slack <= odds[1] <= max(odds[0], odds[2]) + slack


def test_many_signals_at_one_moment_say_no_more_than_the_score() -> None:
    score = sure_of(STRAINED, 0.6)
    once, often = Tracker(STEADY, START), settled(score)
    estimate(once, score, START)
    assert once.probabilities[STRAINED] < often.probabilities[STRAINED]
    assert often.probabilities[STRAINED] == pytest.approx(0.6 * MILLION, abs=5)


def test_a_stage_that_was_ruled_out_can_come_back() -> None:
    tracker = settled(Score([0, 0, 0, 0, 0, 1]))
    assert tracker.probabilities[CRISIS] == 0
    for _ in range(30):
        estimate(tracker, sure_of(CRISIS), START)
    assert tracker.probabilities[CRISIS] > 0.9 * MILLION


def test_a_score_for_a_moment_before_the_last_does_not_turn_time_back() -> None:
    tracker = settled(sure_of(STRAINED), after=10 * DAY)
    estimate(tracker, sure_of(STRAINED), START)
    assert tracker.estimated_at == START + 10 * DAY


@given(probabilities)
def test_beside_a_model_of_invented_customers_the_signals_in_their_order_weigh_more(score: list[float]) -> None:
    customer = Customer()
    customer.score = Score(score, advisory=True)
    for hour in range(4):
        customer.tell("message.received", START + hour * HOUR, channel="chat", sentiment=-0.9)
    sides = zip(believed(customer.tracker.belief), score, strict=True)
    pooled = [max(q, LEAST) ** OF_BELIEF * max(p, LEAST) ** OF_SCORE for q, p in sides]
    expected = [round(one / sum(pooled) * MILLION) for one in pooled]
    assert customer.tracker.probabilities == pytest.approx(expected, abs=1)
    before = customer.tracker.probabilities
    customer.tell("contact.made", START + 3 * HOUR, contact="a", domain="marketing", kind="upsell", channel="email")
    assert customer.tracker.probabilities == pytest.approx(before, abs=200)  # it says nothing of the stage


def test_beside_a_tenants_own_model_and_without_any_there_is_no_belief() -> None:
    customer = Customer()
    for score in (sure_of(STEADY), NONE):
        customer.score = score
        customer.tell("message.received", START + HOUR, channel="chat", sentiment=-0.9)
    assert customer.tracker.belief == Belief()


def test_no_numbers_from_the_model_leave_the_rules_alone_and_say_so() -> None:
    tracker = settled(Score(sure_of(STRAINED).probabilities, 0.7, (("tone_mean_7d", -0.5),)))
    assert (tracker.churn, tracker.drivers) == (700_000, [("tone_mean_7d", -5000)])
    estimate(tracker, Score(invalid=True), START)
    assert (tracker.probabilities, tracker.churn, tracker.drivers, tracker.model_invalid) == ([], -1, [], True)
    assert (p_crisis(tracker), confidence(tracker)) == (0, 1)
    estimate(tracker, sure_of(STRAINED), START)
    assert tracker.model_invalid is False


def test_by_rules_only_crisis_is_certain_or_not_at_all() -> None:
    assert p_crisis(Tracker(CRISIS, START)) == 1
    assert p_crisis(start(START)) == 0


def test_with_a_model_confidence_is_the_probability_of_the_stage_in_force() -> None:
    tracker = settled(sure_of(STRAINED), stage=STEADY)
    assert confidence(tracker) == pytest.approx(0.01, abs=1e-4)
    assert p_crisis(tracker) == pytest.approx(0.01, abs=1e-4)


def test_the_probability_of_crisis_is_the_filtered_one_whatever_stage_the_rules_name() -> None:
    tracker = judged(sure_of(CRISIS, 0.6), State(first_at=START, low_csat_at=START))
    assert (STAGES[tracker.stage], tracker.by_rules) == ("strained", True)
    assert p_crisis(tracker) == pytest.approx(0.6, abs=1e-4)
    assert p_crisis(tracker) == shown_probabilities(tracker)[CRISIS]


def test_in_crisis_its_probability_is_one_and_the_confidence_never_nothing_whatever_the_model_says() -> None:
    tracker = settled(sure_of(STEADY, 0.999999), stage=CRISIS)
    tracker.by_rules = True
    assert tracker.probabilities[CRISIS] < 10
    assert (p_crisis(tracker), confidence(tracker)) == (1, pytest.approx(1 / 1.95, abs=1e-6))


def test_a_rule_multiplies_the_odds_of_the_stage_that_it_names_in_what_is_shown_as_confidence() -> None:
    tracker = judged(sure_of(CRISIS, 0.6), State(first_at=START, low_csat_at=START))
    odds = 0.08 / 0.92
    assert confidence(tracker) == pytest.approx(odds * RULE_ODDS / (1 + odds * RULE_ODDS), abs=1e-4)
    tracker.by_rules = False
    assert confidence(tracker) == pytest.approx(0.08, abs=1e-4)


def test_a_suspected_crisis_keeps_selling_waiting_also_where_the_rules_say_strained() -> None:
    customer = Customer(Rules(default_pack()))
    customer.score = sure_of(CRISIS, 0.8)
    customer.tell("survey.answered", START, instrument="ces", score=2)
    customer.tell("message.received", START + 1, channel="chat")
    assert customer.stage == "strained"
    assert customer.tracker.probabilities[CRISIS] > 0.4 * MILLION
    view = View(customer.record, START + 1, customer.rules)
    asked = request(candidate("sales", "cross_sell"))
    [verdict] = decide(asked, view, default_pack(), TenantSettings(), t=START + 1).verdicts
    assert "when-unsure-wait" in [reason.id for reason in verdict.reasons]


# ---- what a model may name -----------------------------------------------------------------------------------------


def judged(score: Score, state: State | None = None, **tracker: object) -> Tracker:
    """A tracker evaluated by that score."""
    found = settled(score, **tracker)  # type: ignore[arg-type]
    evaluate(found, state or State(first_at=START), t=START, at=START, cause=Cause("s", "1", "x"))
    return found


@pytest.mark.parametrize("named", range(6))
def test_over_steady_a_model_may_name_strained_or_at_risk_and_nothing_else(named: int) -> None:
    assert judged(sure_of(named)).stage == (named if named in {STRAINED, AT_RISK} else STEADY)


def test_over_thriving_a_model_may_name_strained() -> None:
    state = State(first_at=START, nps=(START, 1000), tiles_1d={START // 86_400_000: {2: 20_000, 3: 2}})
    assert judged(NONE, state).stage == THRIVING
    assert judged(sure_of(STRAINED), state).stage == STRAINED


@pytest.mark.parametrize("named", [STRAINED, STEADY])
def test_over_at_risk_and_strained_the_rules_have_the_last_word(named: int) -> None:
    assert judged(sure_of(named), State(first_at=START, nps=(START, 0))).stage == AT_RISK
    assert judged(sure_of(AT_RISK), State(first_at=START, low_csat_at=START)).stage == STRAINED


@pytest.mark.parametrize(("p", "stage"), [(0.52, STRAINED), (0.48, STEADY)])
def test_a_model_names_a_stage_only_if_it_finds_it_more_likely_than_not(p: float, stage: int) -> None:
    assert judged(sure_of(STRAINED, p)).stage == stage


@pytest.mark.parametrize("p", [0.51, 0.55, 0.95])
def test_what_the_model_named_lapses_when_the_estimate_carried_forward_names_it_no_more(p: float) -> None:
    customer = Customer()
    customer.score = sure_of(STRAINED, p)
    for n in range(30):
        customer.tell("message.received", START + n, channel="chat")
    assert customer.stage == "strained"
    believed, at = customer.tracker.probabilities[STRAINED] / MILLION, customer.tracker.estimated_at
    lapse = named_until(customer.tracker)
    before, after = (
        math.exp(-(t - at) / DWELL) * (believed - STATIONARY[STRAINED]) + STATIONARY[STRAINED]
        for t in (lapse - 1, lapse)
    )
    assert before >= 0.5 > after
    customer.tick(lapse - 1)
    assert customer.stage == "strained"
    customer.tick(lapse + 60 * DAY)
    assert (customer.stage, customer.tracker.since) == ("steady", lapse)


def test_no_model_moves_anybody_into_or_out_of_crisis() -> None:
    customer = Customer()
    customer.score = sure_of(CRISIS, 0.999)
    for n in range(40):
        customer.tell("order.placed", START + n, amount=1)
    assert (customer.stage, p_crisis(customer.tracker) > 0.9) == ("steady", True)
    customer.score = sure_of(THRIVING, 0.999)
    customer.tell("case.opened", START + HOUR, case="A", category="net", severity=1)
    for n in range(40):
        customer.tell("order.placed", START + HOUR + n, amount=1)
    assert customer.stage == "crisis"


def test_when_the_rules_end_a_crisis_the_filter_restarts_from_recovering() -> None:
    customer = Customer()
    customer.score = sure_of(CRISIS)
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    customer.tell("case.resolved", START + HOUR, case="A", resolution_code="fixed")
    tracker = customer.tracker
    assert (tracker.probabilities[RECOVERING], tracker.estimated_at) == (750_000, START + HOUR)
    assert sum(tracker.probabilities) == MILLION


@pytest.mark.parametrize(("churn", "stage"), [(0.5, "at_risk"), (0.499, "steady"), (-1.0, "steady")])
def test_a_churn_risk_at_the_threshold_is_a_risk_only_where_it_is_more_than_advisory(churn: float, stage: str) -> None:
    state, cause = State(first_at=START), Cause()
    for threshold, expected in ((0.5, stage), (2.0, "steady")):
        tracker = settled(Score(STATIONARY, churn))
        evaluate(tracker, state, t=START, at=START, cause=cause, limits=Limits(churn=threshold))
        assert STAGES[tracker.stage] == expected


# ---- history -------------------------------------------------------------------------------------------------------


@given(signals(), st.lists(st.integers(0, 20 * DAY), max_size=4))
def test_history_goes_forward_along_the_published_graph(stream: list[StoredSignal], waits: list[int]) -> None:
    customer = Customer()
    history = []
    for item in stream:
        history += customer.hear(item)
    for wait in waits:
        history += customer.tick(customer.record.clock + wait)
    changes = [one.what for one in history if one.kind == "stage"]
    assert all(change.after in ALLOWED_MOVES[change.before] for change in changes)
    for earlier, later in pairwise(changes):
        assert later.before == earlier.after
        assert later.at >= earlier.at
    if changes:
        last = changes[-1]
        tracker = customer.tracker
        assert (tracker.previous, tracker.stage, tracker.since) == (last.before, last.after, last.at)


@given(signals(max_size=20), signals(max_size=5))
def test_a_late_signal_never_rewrites_the_past(stream: list[StoredSignal], late: list[StoredSignal]) -> None:
    customer = Customer()
    for item in stream:
        customer.hear(item)
    before = copy.deepcopy(customer.tracker)
    for item in late:
        happened = [one for one in customer.hear(item) if one.kind == "stage"]
        assert all(one.at >= before.since for one in happened)
    if customer.tracker.stage == before.stage:
        assert customer.tracker.since >= before.since


def test_since_is_the_event_time_of_the_cause_and_never_before_the_previous_one() -> None:
    customer = Customer()
    customer.tell("survey.answered", START + DAY, instrument="csat", score=1)
    assert (customer.stage, customer.tracker.since) == ("strained", START + DAY)
    customer.tell("case.opened", START, case="A", category="net", severity=1)
    assert (customer.stage, customer.tracker.since) == ("crisis", START + DAY)
    assert customer.tracker.cause == Cause("tests", "2", "cx.case.opened.v1")


def test_an_episode_ends_14_days_after_its_crisis_and_not_while_that_lasts() -> None:
    assert episode_ends(start(START)) is None
    assert episode_ends(Tracker(CRISIS, START, episode_at=START)) is None
    healed = Tracker(RECOVERING, START, episode_at=START, left_crisis_at=START + 5)
    assert episode_ends(healed) == START + 5 + 14 * DAY
