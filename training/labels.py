"""The simulator's truth as labels at a moment: the latent stage, and whether the account closes soon."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from membrane.times import DAY, parse_time
from membrane.vocabulary import STAGES
from training.simulator import Truth

CHURN_HORIZON_MS: Final = 30 * DAY
UNLABELLED: Final = -1

Labels = npt.NDArray[np.int64]


class TruthTable:
    """The truth of all customers, gathered from a simulation's truths."""

    def __init__(self, truths: Iterable[Truth], end_ms: int) -> None:
        """`end_ms` is where the simulation stopped: what would be seen only after it stays unlabelled."""
        self._end_ms = end_ms
        self._closed: dict[str, int] = {}
        stretches: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for truth in truths:
            customer = truth["customer"]
            if "closed_at" in truth:
                self._closed[customer] = parse_time(truth["closed_at"])
            else:
                stage = STAGES.index(truth["stage"])
                stretches[customer].append((parse_time(truth["since"]), parse_time(truth["until"]), stage))
        self._stretches = {customer: sorted(rows) for customer, rows in stretches.items()}

    def stages(self, customers: Sequence[str], times: Sequence[int]) -> Labels:
        """(n,) the index in STAGES of each customer's latent stage at its time (epoch ms); -1 where there is none."""
        return np.array([self._stage(*row) for row in zip(customers, times, strict=True)], np.int64)

    def closes(self, customers: Sequence[str], times: Sequence[int]) -> Labels:
        """(n,) 1 if the account closes within 30 days after the time, 0 if not, -1 if it cannot be known."""
        return np.array([self._closes(*row) for row in zip(customers, times, strict=True)], np.int64)

    def _stage(self, customer: str, t: int) -> int:
        stretches = self._stretches.get(customer, [])
        index = bisect_right(stretches, t, key=lambda stretch: stretch[0]) - 1
        if index < 0 or t >= stretches[index][1]:
            return UNLABELLED
        return stretches[index][2]

    def _closes(self, customer: str, t: int) -> int:
        closed_at = self._closed.get(customer)
        if closed_at is not None and closed_at <= t:
            return UNLABELLED
        if closed_at is not None and closed_at <= t + CHURN_HORIZON_MS:
            return 1
        return 0 if t + CHURN_HORIZON_MS <= self._end_ms else UNLABELLED
