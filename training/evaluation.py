"""How good probabilities are, beside the baselines that anybody could have for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from training.labels import Labels

Floats = npt.NDArray[np.float64]
Metrics = dict[str, float]


def stage_metrics(truth: Labels, probabilities: Floats, share_before: Floats, previous: Labels) -> Metrics:
    """Of stage probabilities (n, classes): log-loss, macro-F1, accuracy, ECE; the baselines are the shares of the
    classes in training (classes,) and no change: each customer's own label one row earlier (n,)."""
    classes = list(range(probabilities.shape[1]))
    chosen = probabilities.argmax(axis=1)
    prior = np.tile(share_before, (len(truth), 1))
    return _rounded(
        {
            "rows": len(truth),
            "log_loss": log_loss(truth, probabilities, labels=classes),
            "log_loss_prior": log_loss(truth, prior, labels=classes),
            "macro_f1": _macro_f1(truth, chosen, classes),
            "macro_f1_prior": _macro_f1(truth, prior.argmax(axis=1), classes),
            "macro_f1_no_change": _macro_f1(truth, previous, classes),
            "accuracy": np.mean(chosen == truth),
            "accuracy_no_change": np.mean(previous == truth),
            "ece": expected_calibration_error(chosen == truth, probabilities.max(axis=1)),
        }
    )


def churn_metrics(truth: Labels, probability: Floats, rate_before: float, rows: npt.NDArray[np.float32]) -> Metrics:
    """Of churn probabilities (n,): log-loss, AUC, ECE; the baselines are the rate in training, and the best single
    column of the rows (n, features), either way round."""
    single = [roc_auc_score(truth, column) for column in rows.T]
    return _rounded(
        {
            "rows": len(truth),
            "rate": truth.mean(),
            "log_loss": log_loss(truth, probability, labels=[0, 1]),
            "log_loss_prior": log_loss(truth, np.full(len(truth), rate_before), labels=[0, 1]),
            "auc": roc_auc_score(truth, probability),
            "auc_single_feature": max(max(auc, 1 - auc) for auc in single),
            "ece": expected_calibration_error(truth == 1, probability),
        }
    )


def expected_calibration_error(happened: npt.NDArray[np.bool_], probability: Floats, bins: int = 15) -> float:
    """The mean gap between probability and frequency over equal-width bins, weighted by rows (Guo et al. 2017)."""
    index = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(index, weights=happened - probability, minlength=bins)
    return float(np.abs(gaps).sum() / len(probability))


def previous_labels(customers: Sequence[str], truth: Labels, first: int) -> Labels:
    """(n,) each row's label of the same customer one row earlier, `first` where there is none."""
    last: dict[str, int] = {}
    previous = np.empty_like(truth)
    for index, (customer, label) in enumerate(zip(customers, truth.tolist(), strict=True)):
        previous[index] = last.get(customer, first)
        last[customer] = label
    return previous


def _macro_f1(truth: Labels, chosen: Labels, classes: list[int]) -> float:
    return float(f1_score(truth, chosen, labels=classes, average="macro", zero_division=0.0))


def _rounded(metrics: dict[str, float | np.floating]) -> Metrics:
    return {name: round(float(value), 5) for name, value in metrics.items()}
