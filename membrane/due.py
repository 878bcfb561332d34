"""Due times: the moments at which time alone may change a customer's stage or lifecycle.

They are derived from the record, never stored: a moment that has passed and changed nothing leaves no trace. Those of
principles and obligations are in `membrane.obligations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from membrane.cases import RELAPSE_WINDOW
from membrane.record import State, Tracker
from membrane.stages import (
    AT_RISK,
    CRISIS,
    LOW_CSAT_FOR,
    NEW_FOR,
    NPS_FOR,
    OUR_COURT_FOR,
    QUIET_AFTER_CRISIS,
    RECOVERING_FOR,
    STRAINED,
    VERY_NEGATIVE_WINDOW,
    dormant_from,
    in_our_court_since,
    quiet_from,
)
from membrane.tiles import MEASURE
from membrane.times import DAY
from membrane.tracker import named_until

_TONE: Final = MEASURE["tone_count"]


def deadlines(state: State) -> list[int]:
    """Moments that open cases set: a case in our court for more than 24 hours, a promised time that passes.

    When a late signal sets one at or before the clock, it waits for the next tick.
    """
    moments: list[int] = []
    for case in state.cases:
        if case.open:
            if case.severity <= 3 and case.status != 1:
                moments.append(in_our_court_since(case) + OUR_COURT_FOR + 1)
            if case.eta is not None and case.status == 0:
                moments.append(case.eta + 1)
    return moments


def moments(state: State, tracker: Tracker) -> list[int]:
    """Every moment, past or to come, at which stage or lifecycle may change by time."""
    found = turning_points(state, tracker)
    found += lifecycle_moments(state)
    if state.cases:
        found += deadlines(state)
        found += relapse_moments(state)
    found += tone_moments(state)
    if state.metrics:
        found += usage_moments(state)
    return found


def turning_points(state: State, tracker: Tracker) -> list[int]:
    """Moments at which the stage may change that single events and the stage itself set."""
    found: list[int] = []
    if tracker.stage == CRISIS:
        found.append(quiet_from(state) + QUIET_AFTER_CRISIS)
        found.extend(angry + VERY_NEGATIVE_WINDOW for angry in state.very_negative[:1])
    if tracker.stage in (AT_RISK, STRAINED):
        found.append(named_until(tracker))
    if tracker.left_crisis_at:
        found.append(tracker.left_crisis_at + RECOVERING_FOR)
    if state.low_csat_at:
        found.append(state.low_csat_at + LOW_CSAT_FOR)
    if state.nps:
        found.append(state.nps[0] + NPS_FOR)
    return found


def lifecycle_moments(state: State) -> list[int]:
    """Moments at which the lifecycle alone may change."""
    grown, asleep = (state.opened_at or state.first_at) + NEW_FOR, dormant_from(state)
    return [grown] if asleep is None else [grown, asleep]


def relapse_moments(state: State) -> list[int]:
    """When reports of problems leave the window of the relapse risk."""
    return [case.reported_at + RELAPSE_WINDOW for case in state.cases if case.product and case.reported_at]


def tone_moments(state: State) -> list[int]:
    """When days with messages leave the week's mean tone."""
    return [(day + 7) * DAY for day, sums in state.tiles_1d.items() if _TONE in sums]


def usage_moments(state: State) -> list[int]:
    """When measured days leave the week or the month of the usage ratio."""
    days = [day for metric in state.metrics for day in metric.days]
    return [*((day + 7) * DAY for day in days), *((day + 30) * DAY for day in days)]


def first_after(moments: Iterable[int], t: int) -> int | None:
    """The earliest moment later than t.

    >>> first_after([30, 10, 20], 10)
    20
    """
    found: int | None = None
    for moment in moments:
        if moment > t and (found is None or moment < found):
            found = moment
    return found
