"""The hidden truth of the simulator: a semi-Markov stage per customer, with joining and leaving."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from membrane.times import DAY
from training import rates

_NEVER: Final = np.iinfo(np.int64).max
_FOLLOWERS: Final = {
    stage: (followers, list(accumulate(odds))[:-1]) for stage, (followers, odds) in rates.NEXT_STAGE.items()
}


class Change(NamedTuple):
    """At `t` (epoch ms) a customer went from one latent stage to another; `since` is when the former began."""

    t: int
    customer: int
    before: int
    after: int
    since: int


@dataclass(frozen=True, slots=True)
class Segments:
    """Columns of stretches of time in one stage: customer index, stage, begin and end in epoch ms (half-open)."""

    customer: npt.NDArray[np.int64]
    stage: npt.NDArray[np.int8]
    begin: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]


class Latent:
    """The latent stages of all customers, moved forward step by step; about 25 bytes a customer."""

    def __init__(self, customers: int, begin_ms: int, end_ms: int, random: np.random.Generator) -> None:
        self._random = random
        self._clock = begin_ms
        self.fragile = random.random(customers) < rates.FRAGILE_SHARE
        self.established = random.random(customers) < rates.ESTABLISHED_SHARE
        first = random.choice(len(rates.INITIAL_SHARE), customers, p=rates.INITIAL_SHARE).astype(np.int8)
        self.stage = np.where(self.established, first, np.int8(rates.ABSENT)).astype(np.int8)
        self.since = np.full(customers, begin_ms, np.int64)
        self._after = first.copy()
        self._until = random.integers(begin_ms, end_ms, customers)
        for customer in np.flatnonzero(self.established).tolist():
            self._plan(customer)

    def advance(self, end_ms: int) -> tuple[Segments, list[Change]]:
        """Move every customer to `end_ms`: the stretches until then, and the changes in time order."""
        customers = len(self.stage)
        begins = np.full(customers, self._clock)
        whole = Segments(np.arange(customers), self.stage.copy(), begins, np.minimum(self._until, end_ms))
        changes: list[Change] = []
        pieces: list[tuple[int, int, int, int]] = []
        for customer in np.flatnonzero(self._until < end_ms).tolist():
            while self._until[customer] < end_ms:
                change = self._move(customer)
                changes.append(change)
                pieces.append((customer, change.after, change.t, min(int(self._until[customer]), end_ms)))
        changes.sort()
        self._clock = end_ms
        return _with_pieces(whole, pieces), changes

    def _move(self, customer: int) -> Change:
        t, before, after = int(self._until[customer]), int(self.stage[customer]), int(self._after[customer])
        change = Change(t, customer, before, after, int(self.since[customer]))
        self.stage[customer], self.since[customer] = after, t
        if after == rates.ABSENT:
            self._until[customer] = _NEVER
        else:
            self._plan(customer)
        return change

    def _plan(self, customer: int) -> None:
        """Draw when the present stage ends and what follows: another stage, or leaving if that comes first."""
        stage = int(self.stage[customer])
        mean = rates.DWELL_MEAN_DAYS[stage]
        if self.fragile[customer] and stage in (rates.STEADY, rates.THRIVING):
            mean *= rates.FRAGILE_DWELL
        dwell = self._random.gamma(rates.DWELL_SHAPE[stage]) * mean / rates.DWELL_SHAPE[stage]
        leaving = self._random.exponential(1 / rates.CHURN_PER_DAY[stage])
        followers, thresholds = _FOLLOWERS[stage]
        follower = followers[bisect(thresholds, self._random.random())]
        self._after[customer] = follower if dwell <= leaving else rates.ABSENT
        self._until[customer] = self.since[customer] + max(1, int(min(dwell, leaving) * DAY))


def _with_pieces(whole: Segments, pieces: list[tuple[int, int, int, int]]) -> Segments:
    if not pieces:
        return whole
    customer, stage, begin, end = np.array(pieces, np.int64).T
    return Segments(
        np.concatenate((whole.customer, customer)),
        np.concatenate((whole.stage, stage.astype(np.int8))),
        np.concatenate((whole.begin, begin)),
        np.concatenate((whole.end, end)),
    )
