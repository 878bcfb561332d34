"""River's pipelines that learn stage and churn one label at a time, with their state as plain data.

`StandardScaler | bounded | SoftmaxRegression` for stages, `StandardScaler | bounded | LogisticRegression` for churn.
`bounded` keeps a standardised value within five deviations, so that one outlier does not undo what was learned, and
gives River's softmax, which has none, an intercept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from river.compose import FuncTransformer, Pipeline
from river.linear_model import LogisticRegression, SoftmaxRegression
from river.optim import SGD
from river.optim.losses import CrossEntropy
from river.preprocessing import StandardScaler
from river.utils import VectorDict

from models.bundle import Kind
from models.scorer import CLASSES

Floats = npt.NDArray[np.float64]

BOUND: Final = 5.0
RATE: Final = 0.01
_LEAST: Final = 1e-300
_ONE: Final = "one"


class Parameters(Struct, frozen=True):
    """All that a pipeline has learned: `count` rows; mean and variance of each feature (features,); `weights` (classes,
    features) and `intercepts` (classes,), of which churn has one row, for the logit that the account closes."""

    count: int
    means: tuple[float, ...]
    variances: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]

    def logits(self) -> tuple[Floats, Floats]:
        """Weights (classes, features) and intercepts (classes,), a row for each class whatever the kind."""
        weights, intercepts = np.array(self.weights), np.array(self.intercepts)
        if len(weights) > 1:
            return weights, intercepts
        return np.vstack((-weights, weights)) / 2, np.concatenate((-intercepts, intercepts)) / 2


def untaught(kind: Kind, width: int) -> Parameters:
    """What a pipeline of `width` features knows before its first label."""
    rows = len(CLASSES[kind]) if kind == "stage" else 1
    nothing = (0.0,) * width
    return Parameters(0, nothing, nothing, (nothing,) * rows, (0.0,) * rows)


class OnlineModel:
    """One River pipeline. The same rows in the same order give the same parameters to the bit, also when it was taken
    down and made again from its parameters between any two of them."""

    def __init__(self, kind: Kind, parameters: Parameters) -> None:
        self._classes = len(CLASSES[kind])
        self._width = len(parameters.means)
        self._count = parameters.count
        self._scaler = _scaler(parameters)
        self._loss = CrossEntropy()
        if kind == "stage":
            self._regression: Any = _softmax(parameters, self._loss)
            bounded = _bounded_with_one
        else:
            self._regression = _logistic(parameters)
            bounded = _bounded
        self._pipeline = Pipeline(self._scaler, FuncTransformer(bounded), self._regression)

    def probabilities(self, features: Sequence[float]) -> list[float]:
        """(classes,) what it makes of a vector (features,)."""
        found = self._pipeline.predict_proba_one(dict(enumerate(features)))
        return [found[label] for label in range(self._classes)]

    def logs(self, features: Sequence[float]) -> list[float]:
        """(classes,) the logarithms of the same, finite."""
        return [math.log(max(one, _LEAST)) for one in self.probabilities(features)]

    def learn(self, features: Sequence[float], label: int, weight: float) -> None:
        """One label of a vector (features,); its gradient counts `weight` times."""
        row = dict(enumerate(features))
        if isinstance(self._regression, SoftmaxRegression):
            self._loss.class_weight = dict.fromkeys(range(self._classes), weight)
            self._pipeline.learn_one(row, label)
        else:
            self._pipeline.learn_one(row, label == 1, w=weight)
        self._count += 1

    def parameters(self) -> Parameters:
        """All that it has learned."""
        columns = range(self._width)
        if isinstance(self._regression, SoftmaxRegression):
            rows = [self._regression.weights[label] for label in range(self._classes)]
            intercepts = tuple(row[_ONE] for row in rows)
        else:
            rows, intercepts = [self._regression.weights], (float(self._regression.intercept),)
        return Parameters(
            self._count,
            tuple(float(self._scaler.means[i]) for i in columns),
            tuple(float(self._scaler.vars[i]) for i in columns),
            tuple(tuple(float(row.get(i, 0.0)) for i in columns) for row in rows),
            intercepts,
        )


def _scaler(parameters: Parameters) -> StandardScaler:
    scaler = StandardScaler()
    for i, (mean, variance) in enumerate(zip(parameters.means, parameters.variances, strict=True)):
        scaler.counts[i], scaler.means[i], scaler.vars[i] = parameters.count, mean, variance
    return scaler


def _softmax(parameters: Parameters, loss: CrossEntropy) -> SoftmaxRegression:
    """Every class has its weights from the start, so that none is impossible before its first label."""
    regression = SoftmaxRegression(SGD(RATE), loss)
    for label, (row, intercept) in enumerate(zip(parameters.weights, parameters.intercepts, strict=True)):
        weights: dict[int | str, float] = dict(enumerate(row))
        regression.weights[label].update({**weights, _ONE: intercept})
    return regression


def _logistic(parameters: Parameters) -> LogisticRegression:
    regression = LogisticRegression(SGD(RATE), intercept_init=parameters.intercepts[0])
    weights = dict(enumerate(parameters.weights[0]))
    regression._weights = VectorDict(weights)  # noqa: SLF001 - River has no way to give weights back
    return regression


def _bounded(standard: dict[Any, float]) -> dict[Any, float]:
    return {name: min(max(value, -BOUND), BOUND) for name, value in standard.items()}


def _bounded_with_one(standard: dict[Any, float]) -> dict[Any, float]:
    return {**_bounded(standard), _ONE: 1.0}
