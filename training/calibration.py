"""From a model's raw scores to probabilities that mean what they say: a scale and a shift of the logits.

Two classes: a regression on the score (Platt 1999). More: one temperature and a shift for each class (bias-corrected
temperature scaling, Alexandari et al. 2020). Both are fitted on rows that the model has not seen, and both are a matrix
and a vector, which the exported graph applies before its softmax.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from training.labels import Labels

Floats = npt.NDArray[np.float64]

_ABSENT: Final = -10.0
"""The logit, beside the mean of the others, of a class that had no label: a probability of next to nothing."""


class Head(NamedTuple):
    """logits (n, classes) = raw (n, outputs) @ scale (outputs, classes) + shift (classes,)."""

    scale: Floats
    shift: Floats

    def probabilities(self, raw: Floats) -> Floats:
        """Raw scores (n, outputs) -> (n, classes)."""
        return softmax(raw @ self.scale + self.shift)


def fit_head(raw: Floats, labels: Labels, weights: Floats | None) -> Head:
    """The head with the least log-loss on raw scores (n, 1) of two classes, or (n, classes)."""
    return _platt(raw, labels, weights) if raw.shape[1] == 1 else _temperature(raw, labels, weights)


def spread(head: Head, present: Labels, classes: int) -> Head:
    """The head for all `classes`, where only those of `present` had labels. What is absent gets the mean of the others'
    scores, so that it says nothing about any feature, and next to no probability."""
    scale = np.repeat(head.scale.mean(axis=1, keepdims=True), classes, axis=1)
    shift = np.full(classes, head.shift.mean() + _ABSENT)
    scale[:, present], shift[present] = head.scale, head.shift
    return Head(scale, shift)


def softmax(logits: Floats) -> Floats:
    """Logits (n, classes) -> probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _platt(raw: Floats, labels: Labels, weights: Floats | None) -> Head:
    regression = LogisticRegression(C=1e6).fit(raw, labels, weights)
    slope, shift = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    return Head(np.array([[-slope / 2, slope / 2]]), np.array([-shift / 2, shift / 2]))


def _temperature(raw: Floats, labels: Labels, weights: Floats | None) -> Head:
    classes = raw.shape[1]
    shares = np.full(len(labels), 1 / len(labels)) if weights is None else weights / weights.sum()
    hits = np.zeros_like(raw)
    hits[np.arange(len(labels)), labels] = shares

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, shift = np.exp(parameters[0]), parameters[1:]
        logits = raw * slope + shift
        found = softmax(logits)
        error = found * shares[:, None] - hits
        gradient = np.concatenate(([(error * raw).sum() * slope], error.sum(axis=0)))
        at = np.log(np.maximum(found[np.arange(len(labels)), labels], 1e-300))
        return float(-(shares * at).sum()), gradient

    best = minimize(loss, np.zeros(1 + classes), jac=True, method="L-BFGS-B").x
    return Head(np.eye(classes) * np.exp(best[0]), best[1:] - best[1:].mean())
