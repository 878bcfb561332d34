"""The rules of the stages: the floor, the fallback and the teacher of the models (design, section 6).

`rule_stage` names the first stage whose rule matches; `membrane.tracker` moves the tracker by it. Crisis is entered
and left on evidence only, never by time alone, by silence or by state that was lost.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from membrane.cases import RECURRENCE_WINDOW, missed_eta, recurrences, relapse_products
from membrane.features import usage_ratio
from membrane.record import Case, State, Tracker
from membrane.settings import TenantSettings
from membrane.tiles import MEASURE
from membrane.times import DAY, HOUR
from membrane.vocabulary import NO_EVIDENCE_CODES, RESOLUTION_CODES, STAGES, Lifecycle, Stage

QUIET_AFTER_CRISIS: Final = 24 * HOUR
RECOVERING_FOR: Final = 14 * DAY
WORD_COUNTS_FOR: Final = 30 * DAY
"""How old an escalation or a label of crisis may be to put somebody into crisis; older ones came too late."""
VERY_NEGATIVE_WINDOW: Final = 48 * HOUR
OUR_COURT_FOR: Final = 24 * HOUR
LOW_CSAT_FOR: Final = 7 * DAY
NPS_FOR: Final = 90 * DAY
NEW_FOR: Final = 30 * DAY
SILENT_FOR: Final = 30 * DAY
CRISIS_RECURRENCES: Final = 4  # more than three, unless a tenant says otherwise
STRAINED_RECURRENCES: Final = 2
MILLION: Final = 1_000_000
ADVISORY: Final = 2.0
"""A churn threshold that no probability reaches."""
USAGE_LOW, USAGE_HIGH = 0.5, 1.15
TONE_LOW, TONE_HIGH = -0.3, 0.4
TOLD: Final = 2  # messages of a week whose mean tone says something
NPS_LOW, NPS_HIGH = 600, 900  # in 1e-2
NO_EVIDENCE: Final = frozenset(RESOLUTION_CODES.index(code) for code in NO_EVIDENCE_CODES)

_TONE_SUM, _TONE_COUNT = MEASURE["tone_sum"], MEASURE["tone_count"]

CRISIS: Final = STAGES.index(Stage.CRISIS)
RECOVERING: Final = STAGES.index(Stage.RECOVERING)
STRAINED: Final = STAGES.index(Stage.STRAINED)
AT_RISK: Final = STAGES.index(Stage.AT_RISK)
THRIVING: Final = STAGES.index(Stage.THRIVING)
STEADY: Final = STAGES.index(Stage.STEADY)

ALLOWED_MOVES: Final[dict[int, frozenset[int]]] = {
    CRISIS: frozenset({RECOVERING}),
    RECOVERING: frozenset({CRISIS, STRAINED, AT_RISK, THRIVING, STEADY}),
    STRAINED: frozenset({CRISIS, AT_RISK, THRIVING, STEADY}),
    AT_RISK: frozenset({CRISIS, STRAINED, THRIVING, STEADY}),
    THRIVING: frozenset({CRISIS, STRAINED, AT_RISK, STEADY}),
    STEADY: frozenset({CRISIS, STRAINED, AT_RISK, THRIVING}),
}
"""The published graph: crisis is left only for recovering, and recovering is entered only from crisis."""


class Limits(NamedTuple):
    """What may differ between tenants: the churn risk from which a customer is at risk, how many recurrences of a
    problem are a crisis, and the time (ms) within which they are counted."""

    churn: float = ADVISORY
    recurrences: int = CRISIS_RECURRENCES
    window: int = RECURRENCE_WINDOW


USUAL: Final = Limits()


def limits_of(settings: TenantSettings, churn: float = ADVISORY) -> Limits:
    """The limits that a tenant's settings name, with the churn risk from which its customers are at risk."""
    often = settings.recurrences
    return Limits(churn, often.more_than + 1, often.days * DAY)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the rules say: the stage (index in STAGES) and the facts that made it so, with their values."""

    stage: int
    drivers: tuple[tuple[str, float], ...] = ()


_STEADY: Final = Finding(STEADY)


def rule_stage(
    state: State, tracker: Tracker, t: int, waiting: Collection[int] = (), limits: Limits = USUAL
) -> Finding:
    """The first stage whose rule matches at t.

    `waiting` are due times that a late signal set at or before t and that wait for the next tick: what they would
    make true is not true yet.
    """
    found = _crisis(state, tracker, t, limits)
    if found is not None:
        return found
    recovered = tracker.left_crisis_at + RECOVERING_FOR
    if tracker.left_crisis_at and (t < recovered or recovered in waiting):
        return Finding(RECOVERING)
    mean, count = week_tone(state, t)
    tone = mean if count >= TOLD else None
    strained = _strained(state, t, waiting, tone, limits)
    if strained:
        return Finding(STRAINED, tuple(strained))
    usage = usage_ratio(state, t)
    churn = tracker.churn / MILLION
    at_risk = _at_risk(state, t, churn if churn >= limits.churn else -1.0, usage)
    if at_risk:
        return Finding(AT_RISK, tuple(at_risk))
    thriving = _thriving(state, t, tone, usage)
    return Finding(THRIVING, tuple(thriving)) if len(thriving) >= 2 else _STEADY


def _crisis(state: State, tracker: Tracker, t: int, limits: Limits) -> Finding | None:
    drivers = crisis_drivers(state, tracker, t, limits)
    if drivers or (tracker.stage == CRISIS and not crisis_is_over(state, tracker, t)):
        return Finding(CRISIS, drivers)
    return None


def crisis_drivers(state: State, tracker: Tracker, t: int, limits: Limits = USUAL) -> tuple[tuple[str, float], ...]:
    """What puts (or keeps putting) the customer in crisis at t; an escalation or label counts once, and not when it
    comes too late: after 30 days, or after a later good word."""
    drivers: list[tuple[str, float]] = []
    open_cases = [case for case in state.cases if case.open]
    if open_cases:
        worst = min(case.severity for case in open_cases)
        if worst == 1:
            drivers.append(("open_case_severity", 4.0))
        reported = max(recurrences(state, case, limits.window) for case in open_cases)
        if reported >= limits.recurrences:
            drivers.append(("recurrences_30d", float(reported)))
        if worst <= 2 and _angry(state, tracker, t):
            drivers.append(("negative_messages_24h", 2.0))
    if tracker.stage != CRISIS:
        since = max(tracker.left_crisis_at, t - WORD_COUNTS_FOR)
        if state.escalated_at > since and state.escalated_at >= _good_word_at(state):
            drivers.append(("escalation", 1.0))
        if state.crisis_label_at > max(since, state.other_label_at) and state.crisis_label_at >= _good_word_at(state):
            drivers.append(("label", 1.0))
    return tuple(drivers)


def _good_word_at(state: State) -> int:
    """The latest message >= +0.3 or CSAT >= 4."""
    return max(state.positive_at, state.good_csat_at)


def _angry(state: State, tracker: Tracker, t: int) -> bool:
    messages = state.very_negative
    return len(messages) == 2 and messages[0] > max(t - VERY_NEGATIVE_WINDOW, tracker.left_crisis_at)


def crisis_cases(state: State, tracker: Tracker, t: int, limits: Limits = USUAL) -> list[Case]:
    """The open cases that are the crisis's own: severity 1, a problem come back too often, or what the angry
    messages were about; an escalation or a label alone is about whatever was open then (severity 4 apart)."""
    angry = _angry(state, tracker, t)
    serious = [case for case in state.cases if case.open and case.severity <= 3]
    own = [case for case in state.cases if case.open and _crisis_own(state, case, angry, limits)]
    return own or (serious if tracker.stage != CRISIS else [])


def _crisis_own(state: State, case: Case, angry: bool, limits: Limits) -> bool:
    severe = 2 if angry else 1
    return case.severity <= severe or recurrences(state, case, limits.window) >= limits.recurrences


def crisis_is_over(state: State, tracker: Tracker, t: int) -> bool:
    """Whether there is evidence that the crisis ended: all its cases resolved and a quiet day, or a good word after
    the fix, or a person's word."""
    if state.other_label_at > max(tracker.since, state.crisis_label_at):
        return True
    closings = tracker.crisis_cases.values()
    if any(closed == 0 for closed in closings):
        return False
    fixed_at = max((abs(closed) for closed in closings), default=tracker.since)
    good_word = _good_word_at(state)
    if good_word > fixed_at and good_word > state.negative_at:
        return True
    return bool(closings) and all(closed > 0 for closed in closings) and t >= quiet_from(state) + QUIET_AFTER_CRISIS


def quiet_from(state: State) -> int:
    """The latest message <= -0.3 or reopening."""
    reopened = max((case.reopenings[-1] for case in state.cases if case.reopenings), default=0)
    return max(state.negative_at, reopened)


def closing(case: Case) -> int:
    """How a case ended: 0 open, t resolved at t, -t closed at t without evidence that anything was solved."""
    if case.open:
        return 0
    return -case.resolved_at if case.code in NO_EVIDENCE else case.resolved_at


def in_our_court_since(case: Case) -> int:
    """When an open case came (back) to us."""
    return max(case.reported_at or case.opened_at, case.reopenings[-1] if case.reopenings else 0)


def _strained(
    state: State, t: int, waiting: Collection[int], tone: float | None, limits: Limits
) -> list[tuple[str, float]]:
    drivers: list[tuple[str, float]] = []
    most = 0
    for case in state.cases:
        if not case.open:
            continue
        since = in_our_court_since(case)
        late = since + OUR_COURT_FOR + 1
        if case.severity <= 3 and case.status != 1 and late <= t and late not in waiting:
            drivers.append(("open_case_age_hours", (t - since) / HOUR))
        if missed_eta(case, t) and (case.eta or 0) + 1 not in waiting:
            drivers.append(("etas_missed_open", 1.0))
        most = max(most, recurrences(state, case, limits.window))
    if most >= STRAINED_RECURRENCES:
        drivers.append(("recurrences_30d", float(most)))
    if tone is not None and tone <= TONE_LOW:
        drivers.append(("tone_mean_7d", tone))
    if state.low_csat_at and state.low_csat_at > t - LOW_CSAT_FOR:
        drivers.append(("low_scores_30d", 1.0))
    return drivers


def week_tone(state: State, t: int) -> tuple[float, int]:
    """The mean tone of the messages of 7 days, and how many there were."""
    last, tone, count = t // DAY, 0, 0
    for day, sums in state.tiles_1d.items():
        if _TONE_COUNT in sums and last - 7 < day <= last:
            tone += sums[_TONE_SUM]
            count += sums[_TONE_COUNT]
    return (tone / count / 10_000 if count else 0.0), count


def _at_risk(state: State, t: int, churn: float, usage: float | None) -> list[tuple[str, float]]:
    drivers: list[tuple[str, float]] = []
    if any(case.open for case in state.cases):
        return drivers
    if relapse_products(state, t):
        drivers.append(("relapse", 1.0))
    if state.nps and state.nps[1] <= NPS_LOW and state.nps[0] > t - NPS_FOR:
        drivers.append(("nps_last", state.nps[1] / 100))
    if usage is not None and usage <= USAGE_LOW:
        drivers.append(("usage_ratio_7d_30d", usage))
    if churn >= 0:
        drivers.append(("churn", churn))
    return drivers


def _thriving(state: State, t: int, tone: float | None, usage: float | None) -> list[tuple[str, float]]:
    drivers: list[tuple[str, float]] = []
    if state.nps and state.nps[1] >= NPS_HIGH and state.nps[0] > t - NPS_FOR:
        drivers.append(("nps_last", state.nps[1] / 100))
    if tone is not None and tone >= TONE_HIGH:
        drivers.append(("tone_mean_7d", tone))
    if usage is not None and usage >= USAGE_HIGH:
        drivers.append(("usage_ratio_7d_30d", usage))
    return drivers


def lifecycle(state: State, tracker: Tracker, t: int) -> Lifecycle:
    """Where the relationship stands by facts alone."""
    if state.closed_at and state.closed_at >= state.opened_at:
        return Lifecycle.CLOSED
    if t < (state.opened_at or state.first_at) + NEW_FOR:
        return Lifecycle.NEW
    silent = t >= state.inbound_at + SILENT_FOR
    if silent and tracker.stage != CRISIS and not any(case.open for case in state.cases):
        asleep = dormant_from(state)
        if asleep is not None and t >= asleep:
            return Lifecycle.DORMANT
    return Lifecycle.ACTIVE


def dormant_from(state: State) -> int | None:
    """When the silence becomes dormancy: 30 days, and more than 3 times the customer's own median gap between active
    days; None while fewer than 3 gaps are known."""
    days = state.active_days
    if len(days) < 4:
        return None
    gaps = sorted(later - earlier for earlier, later in pairwise(days))
    middle = len(gaps) // 2
    twice_median = gaps[middle] * 2 if len(gaps) % 2 else gaps[middle - 1] + gaps[middle]
    return state.inbound_at + max(SILENT_FOR, 3 * twice_median * DAY // 2 + 1)
