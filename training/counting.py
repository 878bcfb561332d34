"""The odds of `membrane.belief`, counted from labelled sequences: how often what comes in which stage, and moves it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from membrane.belief import Heard, follow, word
from membrane.fold import Folded, fold
from membrane.record import Belief, State
from membrane.signals import CheckedSignal, UsageMeasured
from membrane.times import DAY
from membrane.vocabulary import STAGES

Floats = npt.NDArray[np.float64]

ARRIVING: Final = (
    "message", "case", "resolved", "reopened", "order", "payment_failed", "self_service", "service", "credit",
)  # fmt: skip
"""Kinds of which coming, and not coming, says something; of the others only what they say does: they answer, or come to
all alike."""
MOVING: Final = ("case", "resolved")
"""Kinds that may themselves be what moves a stage."""
_CONTEXTS: Final = 3
_STAGES: Final = len(STAGES)
_FEW: Final = 1.0  # imagined counts, spread as those of all stages are
_RATHER_FEW: Final = 0.02
_LEVELS_FROM: Final = 8  # measurements of a customer whose spread is looked at
_ROUNDS: Final = 50


class Stretch(NamedTuple):
    """A customer was in a stage for a while, half-open (epoch ms)."""

    since: int
    until: int
    stage: int


def _counts(*shape: int) -> defaultdict[str, Floats]:
    return defaultdict(lambda: np.zeros(shape))


@dataclass(slots=True)
class Counts:
    """What was seen: days in each (context, stage); arrivals by kind (context, stage) and by word (stage,); moves by
    kind, or in silence (""), (context, before, after), and their words (stage after,); first stages; use as (customer,
    logarithm, stage)."""

    days: Floats = field(default_factory=lambda: np.zeros((_CONTEXTS, _STAGES)))
    first: Floats = field(default_factory=lambda: np.zeros(_STAGES))
    comes: dict[str, Floats] = field(default_factory=lambda: _counts(_CONTEXTS, _STAGES))
    says: dict[str, Floats] = field(default_factory=lambda: _counts(_STAGES))
    moves: dict[str, Floats] = field(default_factory=lambda: _counts(_CONTEXTS, _STAGES, _STAGES))
    says_moved: dict[str, Floats] = field(default_factory=lambda: _counts(_STAGES))
    use: list[tuple[int, float, int]] = field(default_factory=list)
    customers: int = 0

    def add(self, signals: Iterable[CheckedSignal], stretches: Sequence[Stretch]) -> None:
        """One customer's signals in time order, and the truth."""
        state, belief, since = State(), Belief(), stretches[0].since if stretches else 0
        moved = {after.since: before.stage for before, after in pairwise(stretches)}
        self.customers += 1
        for signal in signals:
            t, context, begun = signal.stored.time, belief.context, bool(belief.at)
            if fold(state, signal.stored, signal.typed, t) is not Folded.NEWS:
                continue
            follow([Heard(belief, signal.stored.type, signal.typed, t, state.cases)])
            self._wait(stretches, moved, (since, t), context)
            since = max(since, t)
            stage = _stage(stretches, t)
            if stage is None:
                continue
            if not begun:
                self.first[stage] += 1
            self._take(signal, context, stage, moved.pop(t, None))

    def _wait(self, stretches: Sequence[Stretch], moved: dict[int, int], wait: tuple[int, int], context: int) -> None:
        for one in stretches:
            both = min(one.until, wait[1]) - max(one.since, wait[0])
            if both > 0:
                self.days[context, one.stage] += both / DAY
                if wait[0] <= one.since < wait[1] and one.since in moved:
                    self.moves[""][context, moved.pop(one.since), one.stage] += 1

    def _take(self, signal: CheckedSignal, context: int, stage: int, before: int | None) -> None:
        said = word(signal.stored.type, signal.typed)
        kind = said.partition(":")[0]
        if isinstance(signal.typed, UsageMeasured) and signal.typed.value > 0:
            self.use.append((self.customers, float(np.log(signal.typed.value)), stage))
        if before is not None and kind in MOVING:
            self.moves[kind][context, before, stage] += 1
            self.says_moved[said][stage] += 1
        else:
            if before is not None:
                self.moves[""][context, before, stage] += 1
            self.comes[kind][context, stage] += 1
            self.says[said][stage] += 1


def _stage(stretches: Sequence[Stretch], t: int) -> int | None:
    index = bisect_right(stretches, t, key=lambda one: one.since) - 1
    return stretches[index].stage if index >= 0 and t < stretches[index].until else None


class Odds(NamedTuple):
    """The values of `membrane.belief_odds`, by name in small letters."""

    first: Floats
    passes: Floats
    comes: dict[str, Floats]
    says: dict[str, Floats]
    moves: dict[str, Floats]
    says_moved: dict[str, Floats]
    use: Floats
    use_variance: Floats


def odds(counts: Counts) -> Odds:
    """Rates are per day. A context that was seldom seen is drawn towards all contexts, what was seldom said towards
    what is said in all stages."""
    comes = {kind: _rates(counts.comes[kind], counts.days) for kind in ARRIVING}
    moves = {
        kind: np.swapaxes(found / np.maximum(counts.days, _RATHER_FEW)[:, :, None], 1, 2)
        for kind, found in sorted(counts.moves.items())
    }
    leaves = sum(found.sum(axis=1) for found in moves.values()) + sum(comes.values())
    passes = moves.pop("") - np.eye(_STAGES) * leaves[:, None, :]
    first = (counts.first + 1) / (counts.first + 1).sum()
    says = _said(counts.says, counts.says)
    use, variance = _use(counts)
    return Odds(first, passes, comes, says, moves, _said(counts.says_moved, counts.says), use, variance)


def _rates(found: Floats, days: Floats) -> Floats:
    """(contexts, stages)."""
    every = (found.sum() + _FEW) / days.sum()
    by_stage = (found.sum(axis=0) + _FEW) / (days.sum(axis=0) + _FEW / every)
    return np.asarray((found + _FEW) / (days + _FEW / by_stage))


def _said(found: dict[str, Floats], everywhere: dict[str, Floats]) -> dict[str, Floats]:
    """word -> (stages,) how probable it is, its kind given."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for said in sorted(found):
        kinds[said.partition(":")[0]].append(said)
    probable: dict[str, Floats] = {}
    for words in kinds.values():
        if len(words) > 1:
            table = np.array([found[said] for said in words])
            usual = np.array([everywhere[said].sum() + 1 for said in words])
            table = table + _FEW * (usual / usual.sum())[:, None]
            probable |= dict(zip(words, table / table.sum(axis=0), strict=True))
    return probable


def _use(counts: Counts) -> tuple[Floats, Floats]:
    """(stages, 1) how much is used in each stage and its spread, as logarithms: customers have a level of their own."""
    customer, value, stage = (np.array(column) for column in zip(*counts.use, strict=True))
    count = np.maximum(np.bincount(customer), 1)
    use = np.zeros(_STAGES)
    for _ in range(_ROUNDS):
        level = np.bincount(customer, value - use[stage]) / count
        use = np.bincount(stage, value - level[customer]) / np.bincount(stage)
    rest = value - level[customer] - use[stage]
    known = count[customer] >= _LEVELS_FROM
    share = count[customer] / np.maximum(count[customer] - 1, 1)
    variance = np.bincount(stage[known], (rest**2 * share)[known]) / np.bincount(stage[known])
    return use - use[STAGES.index("steady")], variance
