"""What may be true of one simulated customer, and how probable each of it is: the numbers behind the forward filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import roots_jacobi

from membrane.times import DAY, HOUR
from membrane.vocabulary import STAGES
from training.rates import AT_RISK, FRAGILE_SHARE, THRIVING

Floats = npt.NDArray[np.float64]

_ACTIVITY: Final = (4.0, 1.5)  # of a beta distribution
_LEVEL: Final = (3.7, 0.6)  # of the logarithm of the usual use
_MANY_LIGHT: Final = 8
_SILENT: Final = (AT_RISK, THRIVING)
_SURE: Final = 0.01
_IMPOSSIBLE: Final = 1e-7  # the share below which a level of use is given up
_NARROWER: Final = 0.7


@dataclass(frozen=True)
class Grid:
    """How fine the filter is: levels of use, activities, the longest step and the bins of silent beginnings (ms), and
    the weight below which a beginning is taken together with its neighbour."""

    levels: int = 40
    activities: int = 8
    step_ms: int = 12 * HOUR
    bin_ms: int = 2 * DAY
    least: float = 1e-4


class Hypothesis(NamedTuple):
    """What may be: the stage, since when (epoch ms; 0 for steady, which has no memory), the open cases that were
    reported while strained (their resolution takes longer), and which words after a crisis have come already (bits)."""

    stage: int
    since: int
    slow: frozenset[str] = frozenset()
    told: int = 0


class Belief:
    """`weights` are by hypothesis, fragility (2), activity and level of use; they sum to one after `normalise`."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.keys: list[Hypothesis] = []
        nodes, shares = roots_jacobi(grid.activities, _ACTIVITY[1] - 1, _ACTIVITY[0] - 1)
        self.activity: Floats = (nodes + 1) / 2
        spread = np.linspace(-3.2, 3.2, grid.levels)
        self.levels: Floats = _LEVEL[0] + _LEVEL[1] * spread
        level = np.exp(-0.5 * spread**2)
        fragile = np.array([1 - FRAGILE_SHARE, FRAGILE_SHARE])
        self.prior: Floats = fragile[:, None, None] * (shares / shares.sum())[:, None] * (level / level.sum())
        self.weights: Floats = np.empty((0, *self.prior.shape))

    @property
    def stages(self) -> npt.NDArray[np.int64]:
        """(hypotheses,)"""
        return np.array([key.stage for key in self.keys], np.int64)

    def by_stage(self) -> Floats:
        """(6,) the probability of each stage."""
        mass = self.weights.sum(axis=(1, 2, 3))
        return np.asarray(np.bincount(self.stages, mass, minlength=len(STAGES)) / mass.sum())

    def seen(self, likelihood: Floats) -> None:
        """Multiply by a likelihood by stage (6,), or by stage and activity (6, activities)."""
        factor = likelihood[self.stages]
        self.weights = self.weights * factor.reshape(len(factor), 1, -1, 1)

    def seen_level(self, likelihood: Floats) -> None:
        """Multiply by a likelihood by stage and level of use (6, levels)."""
        self.weights = self.weights * likelihood[self.stages][:, None, None]

    def seen_fragile(self, likelihood: Floats) -> None:
        """Multiply by a likelihood (2,) by fragility."""
        self.weights = self.weights * likelihood[:, None, None]

    def normalise(self) -> bool:
        """Make the weights sum to one; whether anything was left to do so with."""
        total = self.weights.sum() if self.keys else 0.0
        if total > 0:
            self.weights = self.weights / total
        return bool(total > 0)

    def replace(self, found: Mapping[Hypothesis, Floats]) -> None:
        """Take these for the hypotheses, each with its weights (2, activities, levels)."""
        self.keys = list(found)
        self.weights = np.stack(list(found.values())) if found else np.zeros((0, *self.prior.shape))

    def add(self, more: Mapping[Hypothesis, Floats]) -> None:
        """Take these, too."""
        if more:
            found = self.as_mapping()
            for key, weight in more.items():
                put(found, key, weight)
            self.replace(found)

    def as_mapping(self) -> dict[Hypothesis, Floats]:
        """Each hypothesis with its weights."""
        return dict(zip(self.keys, self.weights, strict=True))

    def renamed(self, name: Callable[[Hypothesis], Hypothesis]) -> None:
        """Give each hypothesis another name; those of one name become one."""
        found: dict[Hypothesis, Floats] = {}
        for key, weight in zip(self.keys, self.weights, strict=True):
            put(found, name(key), weight)
        self.replace(found)

    def tidy(self) -> None:
        """Take beginnings of little weight together with the one before them: what began in silence is not known to
        the moment anyway, for the others hardly any weight is little."""
        least = np.where(np.isin(self.stages, _SILENT), self.grid.least, self.grid.least * _SURE)
        light = self.weights.sum(axis=(1, 2, 3)) < least
        if light.sum() < _MANY_LIGHT:
            return
        kept: dict[Hypothesis, Floats] = {}
        last: dict[Hypothesis, Hypothesis] = {}
        for index in sorted(range(len(self.keys)), key=lambda index: self.keys[index].since):
            key = self.keys[index]
            family = key._replace(since=0)
            if not light[index] or family not in last:
                last[family] = key
            put(kept, last[family], self.weights[index])
        self.replace(kept)

    def refine(self) -> None:
        """A finer grid of levels over those that are still possible, by linear interpolation of the density."""
        share = self.weights.sum(axis=(0, 1, 2))
        possible = np.flatnonzero(share > _IMPOSSIBLE * share.sum())
        if not len(possible) or len(possible) + 2 > _NARROWER * len(share):
            return
        step = self.levels[1] - self.levels[0]
        levels = np.linspace(self.levels[possible[0]] - step, self.levels[possible[-1]] + step, len(share))
        basis = np.stack([np.interp(levels, self.levels, one, left=0, right=0) for one in np.eye(len(levels))])
        self.weights, self.levels = self.weights @ basis, levels


def put(found: dict[Hypothesis, Floats], key: Hypothesis, weight: Floats) -> None:
    """Add the weights of a hypothesis to those that it has already."""
    found[key] = found[key] + weight if key in found else weight
