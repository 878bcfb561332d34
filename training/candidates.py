"""The models that compete: a line, and three kinds of boosted trees, each with a few lengths.

Boosted trees of one split each are a sum of functions of single features (what explainable boosting machines are),
those of depth two know pairs; both often beat deeper trees on tables of a few thousand rows.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from training import linear
from training.labels import Labels

Floats = npt.NDArray[np.float64]
Candidate = Literal["linear", "additive", "pairs", "trees"]
Fitted = Any  # a Pipeline, or a HistGradientBoostingClassifier: scikit-learn ships no types

CANDIDATES: Final[tuple[Candidate, ...]] = ("linear", "additive", "pairs", "trees")
_LENGTHS: Final[dict[Candidate, tuple[int, ...]]] = {
    "additive": (100, 200, 400, 800),
    "pairs": (50, 100, 200, 400),
    "trees": (25, 50, 100, 200),
}
_SHAPES: Final[dict[Candidate, dict[str, float]]] = {
    "additive": {"max_depth": 1, "learning_rate": 0.1},
    "pairs": {"max_depth": 2, "learning_rate": 0.1},
    "trees": {"max_leaf_nodes": 31, "learning_rate": 0.06, "l2_regularization": 1.0},
}


class Setting(NamedTuple):
    """A candidate and, of trees, how many rounds of boosting."""

    candidate: Candidate
    rounds: int = 0

    def __str__(self) -> str:
        return f"{self.candidate}, {self.rounds} rounds" if self.rounds else self.candidate


def fit(setting: Setting, rows: Floats, labels: Labels, weights: Floats | None, *, balanced: bool, seed: int) -> Fitted:
    """Fit a candidate on rows (n, features) whose labels are 0..classes-1, every class among them."""
    if setting.candidate == "linear":
        return linear.fit(rows, labels, int(labels.max()) + 1, weights=weights, balanced=balanced)
    boosting = HistGradientBoostingClassifier(
        **_SHAPES[setting.candidate],
        max_iter=setting.rounds,
        min_samples_leaf=20,
        early_stopping=False,
        categorical_features=None,
        class_weight="balanced" if balanced else None,
        random_state=seed,
    )
    return boosting.fit(rows, labels, weights)


def longest(candidate: Candidate) -> Setting:
    """The candidate with as many rounds as are ever tried."""
    return Setting(candidate, max(_LENGTHS.get(candidate, (0,))))


def raw_scores(fitted: Fitted, rows: Floats) -> Floats:
    """(n, 1) of two classes, else (n, classes)."""
    found = np.asarray(fitted.decision_function(rows))
    return found.reshape(len(rows), -1)


def staged_scores(candidate: Candidate, fitted: Fitted, rows: Floats) -> list[tuple[Setting, Floats]]:
    """The raw scores at each of the candidate's lengths, of a fit of the longest."""
    if candidate == "linear":
        return [(Setting(candidate), raw_scores(fitted, rows))]
    return [
        (Setting(candidate, rounds), np.array(found).reshape(len(rows), -1))
        for rounds, found in enumerate(fitted.staged_decision_function(rows), 1)
        if rounds in _LENGTHS[candidate]
    ]
