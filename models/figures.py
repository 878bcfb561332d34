"""How good probabilities are against labels, and how sure it is that one model is better than another.

Everything takes probabilities (n, classes), labels (n,) and weights (n,); a weight says how far a label is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Metric = Callable[[Floats, Integers, Floats], float]

BINS: Final = 15
LEAST_PROBABILITY: Final = 1e-6
SEED: Final = 20_261_123


class Difference(NamedTuple):
    """A figure of two models, the second less the first, and the interval of that difference."""

    first: float
    second: float
    difference: float
    low: float
    high: float


def losses(probabilities: Floats, labels: Integers) -> Floats:
    """(n,) the log-loss of each row, of probabilities not below 1e-6."""
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY))


def log_loss(probabilities: Floats, labels: Integers, weights: Floats) -> float:
    """The weighted mean log-loss."""
    return float(np.average(losses(probabilities, labels), weights=weights))


def brier(probabilities: Floats, labels: Integers, weights: Floats) -> float:
    """The weighted mean squared distance from what happened, over all classes (Brier 1950)."""
    happened = np.eye(probabilities.shape[1])[labels]
    return float(np.average(((probabilities - happened) ** 2).sum(axis=1), weights=weights))


def calibration_error(probabilities: Floats, labels: Integers, weights: Floats) -> float:
    """The mean gap between probability and frequency over 15 equal-width bins (Guo et al. 2017): of the second class
    where there are two, else of the likeliest one."""
    if probabilities.shape[1] == 2:
        said, happened = probabilities[:, 1], labels == 1
    else:
        said, happened = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    index = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(index, weights=weights * (happened - said), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def accuracy(probabilities: Floats, labels: Integers, weights: Floats) -> float:
    """The weighted share of rows whose likeliest class is the label."""
    return float(np.average(probabilities.argmax(axis=1) == labels, weights=weights))


def macro_f1(probabilities: Floats, labels: Integers, weights: Floats) -> float:
    """The mean F1 over the classes that occur, as labels or as the likeliest class."""
    chosen, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    right = np.bincount(labels, weights=weights * (chosen == labels), minlength=classes)
    total = np.bincount(labels, weights, classes) + np.bincount(chosen, weights, classes)
    return float(np.mean(2 * right[total > 0] / total[total > 0]))


def auc(probabilities: Floats, labels: Integers, weights: Floats) -> float:
    """The weighted share of pairs of the two classes that stand in the right order, ties half; NaN of one class."""
    values, place = np.unique(probabilities[:, 1], return_inverse=True)
    positive = np.bincount(place, weights * (labels == 1), len(values))
    negative = np.bincount(place, weights * (labels == 0), len(values))
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / pairs) if pairs else float("nan")


def metrics_of(classes: int) -> dict[str, Metric]:
    """The figures by which models of so many classes are compared."""
    shared: dict[str, Metric] = {"log_loss": log_loss, "brier": brier, "ece": calibration_error}
    own: dict[str, Metric] = {"auc": auc} if classes == 2 else {"macro_f1": macro_f1, "accuracy": accuracy}
    return {**shared, **own}


class Sample(NamedTuple):
    """Labelled rows on which two models are compared: `groups` (n,) numbers the customers from 0."""

    labels: Integers
    weights: Floats
    groups: Integers

    def resampled(self, draws: int, seed: int = SEED) -> Iterator[Floats]:
        """Weights (n,) of so many samples of as many customers, drawn with replacement."""
        random = np.random.default_rng(seed)
        customers = int(self.groups.max()) + 1
        for _ in range(draws):
            times = np.bincount(random.integers(0, customers, customers), minlength=customers)
            yield self.weights * times[self.groups]


def compare(metric: Metric, first: Floats, second: Floats, sample: Sample, confidence: float, draws: int) -> Difference:
    """A figure of two models on the same rows, with the two-sided bootstrap interval of the difference by customer
    (Efron's percentiles). Samples in which the figure does not exist are left out."""
    found = [metric(one, sample.labels, sample.weights) for one in (first, second)]
    drawn = np.array(
        [metric(second, sample.labels, w) - metric(first, sample.labels, w) for w in sample.resampled(draws) if w.any()]
    )
    drawn = drawn[np.isfinite(drawn)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail)) if len(drawn) else (float("nan"), float("nan"))
    return Difference(found[0], found[1], found[1] - found[0], float(low), float(high))
