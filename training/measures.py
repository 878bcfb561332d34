"""How good probabilities are, with the interval that chance alone would give.

The same figures are taken again and again with the rows (or whole groups of them: the rows of a customer are alike)
weighted by how often a draw with replacement took them; the interval holds the middle 95 % (Efron 1979).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from training.labels import Labels

Floats = npt.NDArray[np.float64]

BINS = 15
_LEAST = 1e-15


class Figure(Struct, frozen=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Measures:
    """Labels (n,) and probabilities (n, classes), ready to be weighed in many ways."""

    def __init__(self, labels: Labels, probabilities: Floats) -> None:
        classes = probabilities.shape[1]
        at = probabilities[np.arange(len(labels)), labels]
        hits = np.zeros_like(probabilities)
        hits[np.arange(len(labels)), labels] = 1
        self._binary = classes == 2
        self._chosen = probabilities.argmax(axis=1)
        self._labels, self._classes = labels, classes
        self._loss = -np.log(np.maximum(at, _LEAST))
        self._brier = ((probabilities - hits) ** 2).sum(axis=1) / (2 if self._binary else 1)
        said = probabilities[:, 1] if self._binary else probabilities.max(axis=1)
        happened = (labels == 1) if self._binary else (self._chosen == labels)
        self._gap = happened - said
        self._bin = np.minimum((said * BINS).astype(np.int64), BINS - 1)
        ranked = (1,) if self._binary else range(classes)
        self._rankings = [Ranking(probabilities[:, one], labels == one) for one in ranked]

    def figures(self, weights: Floats) -> dict[str, float]:
        """Of rows that count as much as `weights` (n,): log-loss, Brier score, expected calibration error, accuracy;
        of two classes AUC and PR-AUC, of more the macro-F1 and the mean AUC of each class against the rest."""
        total = weights.sum()
        found = {
            "auc": _mean([ranking.auc(weights) for ranking in self._rankings]),
            "log_loss": float(weights @ self._loss / total),
            "brier": float(weights @ self._brier / total),
            "ece": float(np.abs(np.bincount(self._bin, weights * self._gap, BINS)).sum() / total),
            "accuracy": float(weights @ (self._chosen == self._labels) / total),
        }
        if self._binary:
            return {**found, "pr_auc": self._rankings[0].average_precision(weights)}
        return {**found, "macro_f1": self._macro_f1(weights)}

    def _macro_f1(self, weights: Floats) -> float:
        """Over the classes that are there or were said."""
        cells = np.bincount(self._labels * self._classes + self._chosen, weights, self._classes**2)
        table = cells.reshape(self._classes, self._classes)
        there = table.sum(axis=0) + table.sum(axis=1)
        return float((2 * np.diag(table)[there > 0] / there[there > 0]).mean())


class Ranking:
    """Scores (n,) in order, for figures that only the order decides."""

    def __init__(self, scores: npt.NDArray[np.floating], happened: npt.NDArray[np.bool_]) -> None:
        _, self._tie = np.unique(-scores, return_inverse=True)
        self._happened = happened.astype(np.float64)
        self._ties = int(self._tie.max()) + 1

    def auc(self, weights: Floats) -> float:
        """The share of pairs in the right order, a tie counting half; NaN without both outcomes."""
        yes, no = self._outcomes(weights)
        below = no.sum() - np.cumsum(no)
        pairs = yes.sum() * no.sum()
        return float((yes @ (below + no / 2)) / pairs) if pairs else float("nan")

    def average_precision(self, weights: Floats) -> float:
        """The area under precision by recall, in steps; NaN where nothing happened."""
        yes, no = self._outcomes(weights)
        said = np.cumsum(yes + no)
        precision = np.cumsum(yes) / np.where(said > 0, said, 1)
        return float(yes @ precision / yes.sum()) if yes.sum() else float("nan")

    def curve(self, points: int = 100) -> list[tuple[float, float]]:
        """(false positive rate, true positive rate), at most about so many points."""
        yes, no = self._outcomes(np.ones(len(self._tie)))
        rates = np.column_stack((np.cumsum(no) / max(no.sum(), 1), np.cumsum(yes) / max(yes.sum(), 1)))
        kept = rates[np.unique(np.linspace(0, len(rates) - 1, points).astype(np.int64))]
        return [(0.0, 0.0), *((round(x, 4), round(y, 4)) for x, y in kept.tolist())]

    def _outcomes(self, weights: Floats) -> tuple[Floats, Floats]:
        """The weight of what happened and of what did not, by rank from the greatest score on."""
        yes = np.bincount(self._tie, weights * self._happened, self._ties)
        return np.asarray(yes, np.float64), np.asarray(np.bincount(self._tie, weights, self._ties) - yes, np.float64)


def with_intervals(
    measures: Measures, weights: Floats, groups: npt.NDArray[np.str_] | None, *, resamples: int, seed: int
) -> dict[str, Figure]:
    """The figures with their intervals over so many draws; `groups` (n,) are drawn whole."""
    random = np.random.default_rng(seed)
    member = np.arange(len(weights)) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = int(member.max()) + 1
    drawn = [
        measures.figures(weights * np.bincount(random.integers(0, size, size), minlength=size)[member])
        for _ in range(resamples)
    ]
    return {name: _figure(value, [one[name] for one in drawn]) for name, value in measures.figures(weights).items()}


def _figure(value: float, drawn: list[float]) -> Figure:
    known = [one for one in drawn if one == one]  # noqa: PLR0124 - NaN: a draw without one of the outcomes
    low, high = np.percentile(known, [2.5, 97.5]).tolist() if known else (value, value)
    return Figure(round(value, 5), round(low, 5), round(high, 5))


def _mean(values: list[float]) -> float:
    known = [one for one in values if not np.isnan(one)]
    return float(np.mean(known)) if known else float("nan")
