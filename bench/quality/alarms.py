"""How soon a crisis is noticed, and how often for nothing."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.quality.simulated import Crisis, Floats, Part
from membrane.times import HOUR
from training.rates import CRISIS

_NEVER: Final = 2.0
_MOST_ON: Final = 0.1  # the share of rows: a detector that is on for good has few false alarms, too


class Alarms(NamedTuple):
    """Of a detector that is on or off at each row: false alarms per 1,000 days of customers who are in no crisis (times
    it goes on while there is none); hours from each crisis's beginning until it is on (0 where it was on already; that
    of a crisis that ends unnoticed is its length), and the share that ends unnoticed."""

    false_per_1000: float
    delays: Floats
    missed: float

    @property
    def median(self) -> float:
        return float(np.median(self.delays))

    @property
    def p90(self) -> float:
        return float(np.quantile(self.delays, 0.9))

    @property
    def mean(self) -> float:
        return float(self.delays.mean())


def alarms(part: Part, on: npt.NDArray[np.bool_]) -> Alarms:
    """Of a detector (n,) at the rows of a part."""
    first = np.r_[True, part.customers[1:] != part.customers[:-1]]
    rises = on & (first | ~np.r_[False, on[:-1]])
    false = int((rises & part.counted & (part.truth != CRISIS)).sum())
    bounds = np.searchsorted(part.customers, np.arange(len(part.logs) + 1))
    delays = []
    for crisis in part.crises:
        mine = slice(bounds[crisis.customer], bounds[crisis.customer + 1])
        delays.append(_delay(crisis, part.times[mine], on[mine]))
    hours = [crisis.hours if delay is None else delay for crisis, delay in zip(part.crises, delays, strict=True)]
    missed = sum(delay is None for delay in delays) / max(1, len(delays))
    return Alarms(false / part.calm_days * 1000, np.array(hours), missed)


def _delay(crisis: Crisis, times: npt.NDArray[np.int64], on: npt.NDArray[np.bool_]) -> float | None:
    """Hours until a customer's detector is on in a crisis, None if never. What it says between two rows is what it said
    at the earlier one."""
    start, stop = np.searchsorted(times, (crisis.begin, crisis.end)).tolist()
    says_now = start < len(times) and times[start] == crisis.begin
    if start and on[start - 1] and not says_now:
        return 0.0
    found = np.flatnonzero(on[start:stop])
    return float(times[start + found[0]] - crisis.begin) / HOUR if len(found) else None


def threshold_at(part: Part, p: Floats, false_per_1000: float) -> float:
    """The least threshold of p (n,) at which there are at most so many false alarms."""
    for threshold in np.quantile(p[part.counted], 1 - np.geomspace(_MOST_ON, 1e-4, 160)).tolist():
        if alarms(part, p >= threshold).false_per_1000 <= false_per_1000:
            return float(threshold)
    return _NEVER
