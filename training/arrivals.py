"""Signals that arrive at a rate: exact draws from a Poisson process by stage, kind and hour of week."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from membrane.times import HOUR
from training import rates
from training.latent import Segments

_MONDAY = 72  # 1970-01-01 was a Thursday: hour 72 of a week that begins on Monday


def draw(
    segments: Segments,
    begin_ms: int,
    end_ms: int,
    activity: npt.NDArray[np.float64],
    random: np.random.Generator,
    drift: rates.Drift = rates.NO_DRIFT,
) -> list[tuple[int, int, int]]:
    """(epoch ms, customer, index into `rates.ARRIVALS`) in time order for one step of whole hours.

    The sum of independent Poisson processes is drawn at once, by stage and kind, and each arrival is given to one
    of the stage's members; what falls outside a member's stretch, or beyond its `activity` (0 to 1), is dropped.
    """
    order = np.argsort(segments.stage, kind="stable")
    members = np.bincount(segments.stage, minlength=len(rates.RATES))
    first = np.cumsum(members) - members
    weights = _weights(begin_ms, end_ms)
    expected = drift.rates_at(begin_ms) * weights.sum(axis=1)[rates.PROFILE] * members[:, None]
    cell = np.repeat(np.arange(expected.size), random.poisson(expected).ravel())
    stage, kind = np.divmod(cell, len(rates.ARRIVALS))
    member = order[first[stage] + (random.random(len(cell)) * members[stage]).astype(np.int64)]
    t = _moments(weights, rates.PROFILE[kind], begin_ms, random.random(len(cell)))
    customer = segments.customer[member]
    kept = (t >= segments.begin[member]) & (t < segments.end[member]) & (random.random(len(cell)) < activity[customer])
    t, customer, kind = t[kept], customer[kept], kind[kept]
    in_order = np.lexsort((kind, customer, t))
    return list(zip(t[in_order].tolist(), customer[in_order].tolist(), kind[in_order].tolist(), strict=True))


def _weights(begin_ms: int, end_ms: int) -> npt.NDArray[np.float64]:
    """(profiles, hours) of the step."""
    hours = begin_ms // HOUR + _MONDAY + np.arange((end_ms - begin_ms) // HOUR)
    weights: npt.NDArray[np.float64] = np.take(rates.HOURS_OF_WEEK, hours % 168, axis=1)
    return weights


def _moments(
    weights: npt.NDArray[np.float64], profile: npt.NDArray[np.int64], begin_ms: int, share: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Times at which each arrival's share (0 to 1) of its profile's weight has passed."""
    edges = np.arange(weights.shape[1] + 1)
    hours = np.empty(len(share))
    for index, row in enumerate(weights):
        mine = profile == index
        hours[mine] = np.interp(share[mine] * row.sum(), np.concatenate(([0.0], np.cumsum(row))), edges)
    passed: npt.NDArray[np.int64] = np.minimum((hours * HOUR).astype(np.int64), weights.shape[1] * HOUR - 1)
    return passed + begin_ms
