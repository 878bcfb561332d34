"""The best candidate for some rows: fitted, chosen and calibrated on rows that it had not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from membrane.errors import UsageError
from training.calibration import Head, fit_head
from training.candidates import Candidate, Fitted, Setting, fit, longest, raw_scores, staged_scores
from training.labels import Labels
from training.report import Tried
from training.splits import INNER_FOLDS, Indices, inner_folds

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.str_]
Step = Callable[[], None]


class Rows(NamedTuple):
    """Rows (n, features) with labels 0..classes-1, each class among them."""

    values: Floats
    labels: Labels
    weights: Floats | None
    groups: Words | None

    def at(self, index: Indices) -> Rows:
        weights = None if self.weights is None else self.weights[index]
        groups = None if self.groups is None else self.groups[index]
        return Rows(self.values[index], self.labels[index], weights, groups)


class Wish(NamedTuple):
    """Which candidates compete, how they are fitted, and how many classes there are."""

    classes: int
    candidates: tuple[Candidate, ...]
    balanced: bool
    seed: int


class Chosen(NamedTuple):
    """A fitted candidate with its head, and what was tried beside it."""

    setting: Setting
    fitted: Fitted
    head: Head
    tried: tuple[Tried, ...]

    def probabilities(self, rows: Floats) -> Floats:
        """Rows (n, features) -> (n, classes)."""
        return self.head.probabilities(raw_scores(self.fitted, rows))


class _Contest(NamedTuple):
    """One setting on the rows held out: its raw scores, the head fitted on them, and the log-loss with it."""

    setting: Setting
    head: Head
    log_loss: float


def choose(learn: Rows, held_out: Rows | None, wish: Wish, step: Step) -> Chosen:
    """The best candidate, by the log-loss of its calibrated probabilities.

    With `held_out` rows these decide, and the model is fitted on `learn` alone; without, folds of `learn` do, and
    then the best is fitted on all of them. `step` is called after every fit; UsageError where a fold lacks a class."""
    contests = [_best(candidate, learn, held_out, wish, step) for candidate in wish.candidates]
    best = min(contests, key=lambda contest: contest.log_loss)
    _require_every_class(learn.labels, wish.classes)
    fitted = fit(best.setting, *learn[:3], balanced=wish.balanced, seed=wish.seed)
    step()
    tried = tuple(Tried(one.setting.candidate, round(one.log_loss, 5), one.setting.rounds) for one in contests)
    return Chosen(best.setting, fitted, best.head, tried)


def fits(wish: Wish, *, held_out: bool) -> int:
    """How many times `step` is called."""
    return len(wish.candidates) * (1 if held_out else INNER_FOLDS) + 1


def _best(candidate: Candidate, learn: Rows, held_out: Rows | None, wish: Wish, step: Step) -> _Contest:
    """The candidate's best length."""
    scores: dict[Setting, list[Floats]] = {}
    judged: list[Rows] = []
    for seen, unseen in _splits(learn, held_out, wish.seed):
        _require_every_class(seen.labels, wish.classes)
        fitted = fit(longest(candidate), *seen[:3], balanced=wish.balanced, seed=wish.seed)
        for setting, raw in staged_scores(candidate, fitted, unseen.values):
            scores.setdefault(setting, []).append(raw)
        judged.append(unseen)
        step()
    labels = np.concatenate([rows.labels for rows in judged])
    weights = None if learn.weights is None else np.concatenate([rows.weights for rows in judged])
    contests = [_contest(setting, np.concatenate(raw), labels, weights) for setting, raw in scores.items()]
    return min(contests, key=lambda contest: contest.log_loss)


def _splits(learn: Rows, held_out: Rows | None, seed: int) -> Iterator[tuple[Rows, Rows]]:
    if held_out is not None:
        yield learn, held_out
        return
    for seen, unseen in inner_folds(learn.labels, learn.groups, seed):
        yield learn.at(seen), learn.at(unseen)


def _contest(setting: Setting, raw: Floats, labels: Labels, weights: Floats | None) -> _Contest:
    head = fit_head(raw, labels, weights)
    at = head.probabilities(raw)[np.arange(len(labels)), labels]
    return _Contest(setting, head, float(np.average(-np.log(np.maximum(at, 1e-15)), weights=weights)))


def _require_every_class(labels: Labels, classes: int) -> None:
    """UsageError unless each class is among the labels to learn from."""
    missing = sorted(set(range(classes)) - set(np.unique(labels).tolist()))
    if missing:
        raise UsageError(
            f"training: every part to learn from must hold labels of all {classes} classes; one holds none of "
            f"number {missing[0]}: more customers with that label are required, or fewer folds"
        )
