"""Calibration of a model that goes on learning: a slope and a shift for each class, from predictions made before the
labels were learned."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_ROUNDS: Final = 12
_HALVINGS: Final = 12
_HOLD: Final = 1.0
"""How strongly the parameters are held at their neutral values, in labels."""
_LEAST_SLOPE: Final = 0.1


class Calibration(Struct, frozen=True):
    """probabilities = softmax(slope * logs + shifts): a temperature (Guo et al. 2017), Platt's line for two classes."""

    slope: float
    shifts: tuple[float, ...]

    def apply(self, logs: Floats) -> Floats:
        """Logarithms of probabilities (n, classes) -> probabilities (n, classes)."""
        return _softmax(self.slope * logs + np.array(self.shifts))


def neutral(classes: int) -> Calibration:
    """The calibration that changes nothing."""
    return Calibration(1.0, (0.0,) * classes)


def fit(logs: Floats, labels: Integers, weights: Floats) -> Calibration:
    """The calibration with the least weighted log-loss over logs (n, classes), held near the neutral one: Newton's
    method, each step halved until it helps (the loss is convex). The neutral one where the order would be turned."""
    classes = logs.shape[1]
    problem = _Problem(logs, np.eye(classes)[labels], weights)
    parameters = problem.neutral()
    for _ in range(_ROUNDS):
        parameters = problem.better(parameters)
    slope, *shifts = parameters.tolist()
    return Calibration(slope, tuple(shifts)) if slope > _LEAST_SLOPE else neutral(classes)


class _Problem:
    """Find (slope, *shifts) for logs (n, classes), what happened (n, classes) and weights (n,)."""

    def __init__(self, logs: Floats, happened: Floats, weights: Floats) -> None:
        rows, classes = logs.shape
        own = np.broadcast_to(np.eye(classes), (rows, classes, classes))
        self._design = np.concatenate((logs[:, :, None], own), axis=2)
        self._happened = happened
        self._weights = weights

    def neutral(self) -> Floats:
        """The parameters that change nothing."""
        return np.asarray(np.eye(self._design.shape[2])[0])

    def better(self, parameters: Floats) -> Floats:
        """One step of Newton's from these parameters, halved until the loss falls; the same where it does not."""
        found, loss = self._answers(parameters), self._loss(parameters)
        away = parameters - self.neutral()
        gradient = np.einsum("n,nk,nkp->p", self._weights, found - self._happened, self._design) + _HOLD * away
        centred = self._design - np.einsum("nk,nkp->np", found, self._design)[:, None, :]
        weighted = centred * (self._weights[:, None] * found)[:, :, None]
        curvature = np.einsum("nkp,nkq->pq", weighted, centred) + _HOLD * np.eye(len(parameters))
        step = np.linalg.solve(curvature, gradient)
        for _ in range(_HALVINGS):
            if self._loss(parameters - step) < loss:
                return np.asarray(parameters - step)
            step = step / 2
        return parameters

    def _answers(self, parameters: Floats) -> Floats:
        return _softmax(np.asarray(self._design @ parameters))

    def _loss(self, parameters: Floats) -> float:
        logits = self._design @ parameters
        greatest = logits.max(axis=1)
        whole = greatest + np.log(np.exp(logits - greatest[:, None]).sum(axis=1))
        held = _HOLD / 2 * ((parameters - self.neutral()) ** 2).sum()
        return float((self._weights * (whole - (self._happened * logits).sum(axis=1))).sum() + held)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
