"""The tracker: what a customer's stage becomes after each signal and at each due time.

Rules are the floor; the model's filtered probabilities may name strained or at_risk where the rules say steady or
thriving, and nothing else. History is append-only: `since` never goes back.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from membrane.belief import believed
from membrane.cases import problem_key, problem_since
from membrane.record import Case, Cause, State, Tracker
from membrane.stages import (
    ALLOWED_MOVES,
    AT_RISK,
    CRISIS,
    MILLION,
    RECOVERING,
    RECOVERING_FOR,
    STEADY,
    STRAINED,
    THRIVING,
    USUAL,
    Finding,
    Limits,
    closing,
    crisis_cases,
    lifecycle,
    rule_stage,
)
from membrane.times import DAY
from membrane.vocabulary import LIFECYCLES, STAGES

OF_BELIEF, OF_SCORE = 0.9, 0.1
"""The weights of the pool with the belief, by simulated customers (docs/quality.md)."""
LEAST: Final = 1e-4
"""Neither side of that pool rules a stage out."""
DWELL: Final = 14 * DAY
"""Mean time (ms) after which the prior has forgotten the last estimate: 1 / lambda of Q = lambda (1 pi^T - I)."""
STATIONARY: Final = (0.02, 0.03, 0.12, 0.10, 0.18, 0.55)
"""pi, in the order of STAGES: what the prior tends to without news."""
NAMED_FROM: Final = 0.5
"""The filtered probability from which the model may name a stage."""
REST: Final = MILLION // 20
"""What each other stage keeps when the filter restarts from recovering."""
RULE_ODDS: Final = 20.0
"""What a rule's evidence does to the odds of the stage it names."""
DUE: Final = "due"
"""The type of a cause that is no signal but a due time."""
KEPT_CRISIS_CASES: Final = 24
_ABOUT_CASES: Final = "cx.case."


@dataclass(frozen=True, slots=True)
class Score:
    """A model's output for one row: stage probabilities in the order of STAGES, churn probability, the drivers of the
    likeliest stage. `invalid` when the model gave no numbers: rules only, flagged. `advisory`: of a stage model that
    learned from invented customers only."""

    probabilities: Sequence[float] = ()
    churn: float = -1.0
    drivers: tuple[tuple[str, float], ...] = ()
    invalid: bool = False
    advisory: bool = False


@dataclass(frozen=True, slots=True)
class StageChange:
    """A move of the stage (indexes in STAGES) at `at`, and what caused it."""

    before: int
    after: int
    at: int
    cause: Cause
    entered_crisis: bool


def start(t: int) -> Tracker:
    """The tracker of a customer first seen at t."""
    return Tracker(STEADY, t)


def estimate(tracker: Tracker, score: Score, t: int) -> None:
    """Take in a model's score of the features at t: a logarithmic opinion pool of the score and of a prior.

    Beside a model that learned from invented customers the prior is what the signals in their order say by odds that
    are counted on such (`membrane.belief`). Beside any other it is the last estimate, carried forward by expm(Q dt) =
    e^(-lambda dt) I + (1 - e^(-lambda dt)) 1 pi^T, with equal weights: elapsed time acts, not the number of signals,
    and repeating a score tends to the score, never beyond it.
    """
    tracker.model_invalid = score.invalid
    if not score.probabilities:
        if tracker.probabilities:  # those of the rules stay as long as their stage
            tracker.drivers = []
        tracker.probabilities, tracker.churn = [], -1
        return
    weights = _beside_belief(tracker, score) if score.advisory else _beside_the_last(tracker, score, t)
    share = MILLION / sum(weights)
    tracker.probabilities = [round(weight * share) for weight in weights]
    tracker.estimated_at = max(t, tracker.estimated_at)
    tracker.churn = round(score.churn * MILLION) if score.churn >= 0 else -1
    tracker.drivers = [(name, round(value * 10_000)) for name, value in score.drivers]


def _beside_belief(tracker: Tracker, score: Score) -> list[float]:
    return [
        max(q, LEAST) ** OF_BELIEF * max(p, LEAST) ** OF_SCORE
        for q, p in zip(believed(tracker.belief), score.probabilities, strict=True)
    ]


def _beside_the_last(tracker: Tracker, score: Score, t: int) -> list[float]:
    return [math.sqrt(p * q) for p, q in zip(_carried(tracker, t), score.probabilities, strict=True)]


def _carried(tracker: Tracker, t: int) -> list[float]:
    if not tracker.probabilities:
        return list(STATIONARY)
    kept = math.exp((tracker.estimated_at - t) / DWELL) if t > tracker.estimated_at else 1.0
    new = 1 - kept
    return [
        kept * (number or 1) / MILLION + new * rest
        for number, rest in zip(tracker.probabilities, STATIONARY, strict=True)
    ]


def evaluate(
    tracker: Tracker,
    state: State,
    *,
    t: int,
    at: int,
    cause: Cause,
    waiting: Collection[int] = (),
    limits: Limits = USUAL,
) -> StageChange | None:
    """Judge the customer at t and move the tracker if the stage changes; `at` is the event time of what caused it."""
    _follow_cases(tracker, state)
    if cause.type.startswith(_ABOUT_CASES):
        _follow_problems(tracker, state, limits.window)
    finding = rule_stage(state, tracker, t, waiting, limits)
    own = crisis_cases(state, tracker, t, limits) if finding.stage == CRISIS else []
    change = _move(tracker, _named(tracker, finding, t), at, cause, own)
    tracker.by_rules = tracker.stage == finding.stage and finding.stage not in {STEADY, THRIVING}
    if finding.drivers and tracker.stage == finding.stage and (change is not None or cause.type != DUE):
        tracker.drivers = [(name, round(value * 10_000)) for name, value in finding.drivers[:3]]
    tracker.lifecycle = LIFECYCLES.index(lifecycle(state, tracker, t))
    return change


def _follow_cases(tracker: Tracker, state: State) -> None:
    if tracker.crisis_cases:
        for case in state.cases:
            if case.case in tracker.crisis_cases:
                tracker.crisis_cases[case.case] = closing(case)


def _follow_problems(tracker: Tracker, state: State, window: int) -> None:
    tracker.problems = {
        (key := problem_key(problem)): problem_since(
            problem, tracker.problems.get(key, 0), state.replaced.get(problem.product, 0), window
        )
        for problem in state.problems
    }


def _named(tracker: Tracker, finding: Finding, t: int) -> int:
    if finding.stage in (STEADY, THRIVING) and t < named_until(tracker):
        return _likeliest(tracker)
    return finding.stage


def _likeliest(tracker: Tracker) -> int:
    return max(range(len(STAGES)), key=tracker.probabilities.__getitem__)


def named_until(tracker: Tracker) -> int:
    """The moment from which the estimate, carried forward, no longer names strained or at_risk; 0 if it names neither.

    It solves e^(-lambda dt) (p - pi) + pi = NAMED_FROM: what nothing has borne out since is not held against anybody.
    """
    if not tracker.probabilities:
        return 0
    likeliest = _likeliest(tracker)
    p, rest = tracker.probabilities[likeliest] / MILLION, STATIONARY[likeliest]
    if likeliest not in (STRAINED, AT_RISK) or p < NAMED_FROM:
        return 0
    return tracker.estimated_at + math.floor(DWELL * math.log((p - rest) / (NAMED_FROM - rest))) + 1


def _move(tracker: Tracker, found: int, at: int, cause: Cause, own: list[Case]) -> StageChange | None:
    """Moves the tracker to the stage that was found, as far as it may; `own` are the cases of a crisis."""
    before = tracker.stage
    after = RECOVERING if before == CRISIS and found != CRISIS else found
    since = max(at, tracker.since)
    if after == CRISIS:
        known = tracker.crisis_cases if before == CRISIS else {}
        tracker.crisis_cases = _bounded({**known, **{case.case: 0 for case in own}})
    if after not in ALLOWED_MOVES[before]:
        return None
    if after == CRISIS:
        tracker.episode_at = tracker.episode_at or since
    elif after == RECOVERING:
        _restart(tracker, since)
        tracker.left_crisis_at, tracker.crisis_cases = since, {}
    elif before == RECOVERING:
        tracker.episode_at = 0
    tracker.previous, tracker.stage, tracker.since, tracker.cause = before, after, since, cause
    return StageChange(before, after, since, cause, after == CRISIS)


def _bounded(cases: dict[str, int]) -> dict[str, int]:
    """At most KEPT_CRISIS_CASES, the properly resolved dropped first."""
    while len(cases) > KEPT_CRISIS_CASES:
        del cases[max(cases, key=lambda case: (cases[case] > 0, -cases[case], case))]
    return cases


def _restart(tracker: Tracker, t: int) -> None:
    """Where the rules end a crisis the filter starts again from recovering."""
    if tracker.probabilities:
        tracker.probabilities = [REST] * len(STAGES)
        tracker.probabilities[RECOVERING] = MILLION - REST * (len(STAGES) - 1)
        tracker.estimated_at = t


def episode_ends(tracker: Tracker) -> int | None:
    """When the running episode ends if nothing happens; None in crisis or without an episode."""
    if not tracker.episode_at or tracker.stage == CRISIS:
        return None
    return tracker.left_crisis_at + RECOVERING_FOR


def probabilities(tracker: Tracker) -> list[float]:
    """The filtered probability of each stage, in the order of STAGES; by rules only, the stage in force has it all."""
    if not tracker.probabilities:
        return [float(stage == tracker.stage) for stage in range(len(STAGES))]
    return [number / MILLION for number in tracker.probabilities]


def p_crisis(tracker: Tracker) -> float:
    """The probability of crisis: 1 in crisis, for its rules are evidence; else the filtered one (0 by rules only)."""
    return 1.0 if tracker.stage == CRISIS else probabilities(tracker)[CRISIS]


def confidence(tracker: Tracker) -> float:
    """How sure the stage in force is: its filtered probability; where a rule names it, at least REST of it with the
    odds times RULE_ODDS. For display; no condition reads it."""
    p = probabilities(tracker)[tracker.stage]
    if not tracker.by_rules or not tracker.probabilities:
        return p
    p = max(p, REST / MILLION)
    return round(p * RULE_ODDS / (p * RULE_ODDS + 1 - p), 6)
