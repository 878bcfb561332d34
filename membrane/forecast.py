"""What time alone will do to a customer's stage and lifecycle, without the obligations that the engine would open.

`membrane.due.moments` names every moment at which they may change; most of them change nothing. Here those that cannot
matter are left out and the others tried on a copy of the tracker, so that a decision can say `until` cheaply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from membrane.cases import relapse_products
from membrane.dictionary import Matters, Position, any_move
from membrane.due import deadlines, lifecycle_moments, relapse_moments, tone_moments, turning_points, usage_moments
from membrane.features import usage_ratio
from membrane.record import Cause, Metric, Record, State, Tracker
from membrane.stages import (
    CRISIS,
    RECOVERING,
    TOLD,
    TONE_HIGH,
    TONE_LOW,
    USAGE_HIGH,
    USAGE_LOW,
    USUAL,
    Limits,
    lifecycle,
    week_tone,
)
from membrane.tiles import MEASURE
from membrane.times import DAY
from membrane.tracker import evaluate
from membrane.vocabulary import LIFECYCLES, STAGES

_WEEK: Final = 7
_CAUSE: Final = Cause(type="due")
_TONE_SUM, _TONE_COUNT = MEASURE["tone_sum"], MEASURE["tone_count"]


class Forecast:
    """The moves of stage and lifecycle that time will bring to a record that stands so at t, worked out one by one as
    they are asked for. The record is not changed."""

    def __init__(self, record: Record, t: int, limits: Limits = USUAL) -> None:
        self._record = record
        self._limits = limits
        standing = str(STAGES[record.tracker.stage]), str(lifecycle(record.state, record.tracker, t))
        self._steps: list[tuple[int, Tracker, Position]] = [(t, record.tracker, standing)]
        self._complete = False

    def next_move(self, t: int, matters: Matters = any_move) -> int | None:
        """The earliest moment > t at which stage or lifecycle move in a way that matters, None if never."""
        number = 1
        while number < len(self._steps) or self._extend():
            moment, _, after = self._steps[number]
            if moment > t and matters(self._steps[number - 1][2], after):
                return moment
            number += 1
        return None

    def record_at(self, t: int) -> Record:
        """The record as it will stand at t: stage and lifecycle have moved, obligations are as they are now. It shares
        with the present one what does not change."""
        self.next_move(t)
        tracker = next(tracker for moment, tracker, _ in reversed(self._steps) if moment <= t)
        return msgspec.structs.replace(self._record, tracker=tracker)

    def _extend(self) -> bool:
        """Works out one more move; whether there is one."""
        if self._complete:
            return False
        t, before, known = self._steps[-1]
        state, tracker = self._record.state, copied_tracker(before)
        of_stage = {moment for moment in _candidates(state, before, t) if moment > t}
        for moment in sorted(of_stage.union(moment for moment in lifecycle_moments(state) if moment > t)):
            if moment in of_stage:
                evaluate(tracker, state, t=moment, at=moment, cause=_CAUSE, limits=self._limits)
            else:
                tracker.lifecycle = LIFECYCLES.index(lifecycle(state, tracker, moment))
            standing = str(STAGES[tracker.stage]), str(LIFECYCLES[tracker.lifecycle])
            if standing != known:
                self._steps.append((moment, tracker, standing))
                return True
        self._complete = True
        return False


def copied_tracker(tracker: Tracker) -> Tracker:
    """A copy that can be evaluated without changing the tracker."""
    return msgspec.structs.replace(
        tracker, crisis_cases=dict(tracker.crisis_cases), probabilities=list(tracker.probabilities)
    )


def _candidates(state: State, tracker: Tracker, t: int) -> Iterable[int]:
    if tracker.stage in {CRISIS, RECOVERING}:  # neither deadlines nor windows end them
        return turning_points(state, tracker)
    found = [*deadlines(state), *turning_points(state, tracker), *_turning_days(state, t)]
    if relapse_products(state, t):  # a relapse risk can only end by time
        found += relapse_moments(state)
    return found


def _turning_days(state: State, t: int) -> Iterator[int]:
    """The ends of days that take the week's tone or the usage ratio past a limit."""
    if _tone_matters(state, t):
        yield from _crossings(state, t, tone_moments(state), _tone_side)
    if state.metrics and any(map(_usage_matters, state.metrics)):
        yield from _crossings(state, t, usage_moments(state), _usage_side)


def _crossings(state: State, t: int, days: Iterable[int], side: Callable[[State, int], int]) -> Iterator[int]:
    """Those ends of days at which the side changes; in a week both tone and ratio are unknown."""
    before, last = side(state, t), (t // DAY + _WEEK) * DAY
    for moment in sorted({moment for moment in days if t < moment <= last}):
        now = side(state, moment)
        if now != before:
            yield moment
        before = now


def _tone_side(state: State, t: int) -> int:
    """-1 and 1: past the limits of the week's tone; 0: neither."""
    tone, count = week_tone(state, t)
    return (tone >= TONE_HIGH) - (tone <= TONE_LOW) if count >= TOLD else 0


def _usage_side(state: State, t: int) -> int:
    """-1 and 1: past the limits of the usage ratio; 0: neither."""
    ratio = usage_ratio(state, t)
    return 0 if ratio is None else (ratio >= USAGE_HIGH) - (ratio <= USAGE_LOW)


def _tone_matters(state: State, t: int) -> bool:
    """Whether the mean tone of the week can still fall or rise past a limit as its days go: a mean of some of the days
    lies between the least and the greatest of theirs."""
    today, told, strong = t // DAY, 0, False
    for day, sums in state.tiles_1d.items():
        count = sums.get(_TONE_COUNT)
        if count and day > today - _WEEK:
            told += count
            strong = strong or not TONE_LOW < sums.get(_TONE_SUM, 0) / count / 10_000 < TONE_HIGH
    return strong and told >= TOLD


def _usage_matters(metric: Metric) -> bool:
    """Whether the ratio of the week's mean to the month's can pass a limit: both lie within the days' means."""
    means = [total / count for total, count in metric.days.values()]
    low, high = min(means, default=0), max(means, default=0)
    return low <= 0 or high / low >= USAGE_HIGH or low / high <= USAGE_LOW
