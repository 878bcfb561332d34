"""What time alone will do to a customer's stage and lifecycle, without the obligations that the engine would open.

`membrane.due.moments` names every moment at which they may change; most of them change nothing. Here those that cannot
matter are left out and the others tried on a copy of the tracker, so that a decision can say `until` cheaply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from membrane.cases import relapse_products
from membrane.due import deadlines, relapse_moments, tone_moments, turning_points, usage_moments
from membrane.record import Cause, Metric, Record, State, Tracker
from membrane.stages import CRISIS, RECOVERING, TONE_HIGH, TONE_LOW, USAGE_HIGH, USAGE_LOW, lifecycle
from membrane.tiles import MEASURE
from membrane.times import DAY
from membrane.tracker import evaluate
from membrane.vocabulary import LIFECYCLES

_WEEK: Final = 7
_CAUSE: Final = Cause(type="due")
_TONE_SUM, _TONE_COUNT = MEASURE["tone_sum"], MEASURE["tone_count"]


def next_move(record: Record, t: int, churn_threshold: float) -> int | None:
    """The earliest moment > t at which stage or lifecycle changes if nothing happens, None if never.

    `record` is as it stands at t; nothing of it is changed.
    """
    return next((moment for moment, _ in _moves(record, t, churn_threshold)), None)


def foreseen(record: Record, t: int, later: int, churn_threshold: float) -> Record:
    """The record of t as it will stand at `later` if nothing happens: stage and lifecycle have moved, obligations are
    as they were. Shares everything else with `record`."""
    at, found = t, record
    while True:
        move = next(_moves(found, at, churn_threshold, until=later), None)
        if move is None:
            return found
        at, found = move[0], msgspec.structs.replace(found, tracker=move[1])


def _moves(
    record: Record, t: int, churn_threshold: float, until: int | None = None
) -> Iterator[tuple[int, Tracker]]:
    """The moments after t (up to `until`) at which the tracker says something else than at t, with what it says."""
    state, tracker = record.state, _copied(record.tracker)
    before = tracker.stage, LIFECYCLES.index(lifecycle(state, tracker, t))
    for moment in sorted({moment for moment in _candidates(state, tracker, t) if moment > t}):
        if until is not None and moment > until:
            return
        evaluate(tracker, state, t=moment, at=moment, cause=_CAUSE, churn_threshold=churn_threshold)
        if (tracker.stage, tracker.lifecycle) != before:
            yield moment, tracker


def _copied(tracker: Tracker) -> Tracker:
    return msgspec.structs.replace(
        tracker, crisis_cases=dict(tracker.crisis_cases), probabilities=list(tracker.probabilities)
    )


def _candidates(state: State, tracker: Tracker, t: int) -> Iterable[int]:
    if tracker.stage in {CRISIS, RECOVERING}:  # neither deadlines nor windows end them
        return turning_points(state, tracker)
    found = [*deadlines(state), *turning_points(state, tracker)]
    if _tone_matters(state, t):
        found += tone_moments(state)
    if any(_usage_matters(metric) for metric in state.metrics):
        found += _while_measured(state)
    if relapse_products(state, t):  # a relapse risk can only end by time
        found += relapse_moments(state)
    return found


def _tone_matters(state: State, t: int) -> bool:
    """Whether the mean tone of the week can still fall or rise past a limit as its days go: a mean of some of the days
    lies between the least and the greatest of theirs."""
    today = t // DAY
    days = [sums for day, sums in state.tiles_1d.items() if day > today - _WEEK and sums.get(_TONE_COUNT)]
    means = [sums.get(_TONE_SUM, 0) / sums[_TONE_COUNT] / 10_000 for sums in days]
    return any(not TONE_LOW < mean < TONE_HIGH for mean in means)


def _usage_matters(metric: Metric) -> bool:
    """Whether the ratio of the week's mean to the month's can pass a limit: both lie within the days' means."""
    means = [total / count for total, count in metric.days.values()]
    low, high = min(means, default=0), max(means, default=0)
    return low <= 0 or high / low >= USAGE_HIGH or low / high <= USAGE_LOW


def _while_measured(state: State) -> Iterator[int]:
    """Moments of usage until no metric has a value of the week any more; then the ratio is unknown for good."""
    last = max(max(metric.days, default=0) for metric in state.metrics)
    return (moment for moment in usage_moments(state) if moment <= (last + _WEEK) * DAY)
