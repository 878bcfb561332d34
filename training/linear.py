"""Calibrated logistic regression, and its export to ONNX, compared with its source.

Calibration is a scaling of the logits, fitted on customers that the model has not seen. For a linear model that is
another linear model, so the few floats go into its own weights and the exported graph needs nothing more.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from membrane.errors import InvalidBundle
from models.bundle import Linear
from training.labels import Labels

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

TOLERANCE: Final = 1e-5
OPSET: Final = 17
_TEMPERATURES: Final = np.geomspace(0.4, 4.0, 93)


def fit(
    rows: Rows | Floats, labels: Labels, classes: int, *, weights: Floats | None = None, balanced: bool = False
) -> Pipeline:
    """Clip to the range seen in training (a line must not be drawn beyond it), standardise and regress; `balanced`
    weighs each class as if it were as frequent as the others.

    ValueError unless every class has a label and every number is finite."""
    if not np.isfinite(rows).all():
        raise ValueError("training: finite features required, got NaN or infinity")
    missing = sorted(set(range(classes)) - set(np.unique(labels).tolist()))
    if missing:
        raise ValueError(f"training: labels of all {classes} classes required, none of {missing}")
    regression = LogisticRegression(C=1.0, max_iter=2_000, class_weight="balanced" if balanced else None)
    pipeline = make_pipeline(MinMaxScaler(clip=True), StandardScaler(), regression)
    pipeline.fit(rows, labels, logisticregression__sample_weight=weights)
    return pipeline


def calibrate_stage(pipeline: Pipeline, rows: Rows, labels: Labels) -> None:
    """Divide the logits by the temperature with the least log-loss (Guo et al. 2017)."""
    logits = pipeline.decision_function(rows)
    classes = list(range(logits.shape[1]))
    losses = [log_loss(labels, _softmax(logits / temperature), labels=classes) for temperature in _TEMPERATURES]
    regression = pipeline[-1]
    temperature = _TEMPERATURES[int(np.argmin(losses))]
    regression.coef_ = regression.coef_ / temperature
    regression.intercept_ = regression.intercept_ / temperature


def calibrate_churn(pipeline: Pipeline, rows: Rows, labels: Labels) -> None:
    """Scale and shift the logit by a regression on it (Platt 1999)."""
    platt = LogisticRegression(C=1e6).fit(pipeline.decision_function(rows)[:, None], labels)
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    regression = pipeline[-1]
    regression.coef_ = regression.coef_ * slope
    regression.intercept_ = regression.intercept_ * slope + shift


def to_onnx_bytes(pipeline: Pipeline) -> bytes:
    """The pipeline as an ONNX model with the outputs `label` and `probabilities`."""
    regression, width = pipeline[-1], pipeline[0].n_features_in_
    graph = to_onnx(
        pipeline,
        initial_types=[("features", FloatTensorType([None, width]))],
        options={id(regression): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )
    return bytes(graph.SerializeToString())


def linear_weights(pipeline: Pipeline) -> Linear:
    """The weights for drivers; a model of two classes gets a row for each."""
    clip, scaler, coef = pipeline[0], pipeline[1], pipeline[-1].coef_
    both = np.vstack((-coef, coef)) / 2 if len(coef) == 1 else coef
    mean, scale = clip.data_min_ + scaler.mean_ / clip.scale_, scaler.scale_ / clip.scale_
    vector = [tuple(float(value) for value in row) for row in (mean, scale, clip.data_min_, clip.data_max_, *both)]
    return Linear(mean=vector[0], scale=vector[1], low=vector[2], high=vector[3], coef=tuple(vector[4:]))


def require_equal(exported: Floats, source: Floats) -> None:
    """InvalidBundle unless two sets of probabilities (n, classes) agree within 1e-5, and on the greatest class of
    every row in which the source's two greatest are further apart than that."""
    worst = float(np.abs(exported - source).max())
    if not worst <= TOLERANCE:
        raise InvalidBundle(f"export: probabilities within {TOLERANCE} of the source required, got {worst}")
    ranked = np.sort(source, axis=1)
    decided = ranked[:, -1] - ranked[:, -2] > TOLERANCE
    others = int((exported.argmax(axis=1) != source.argmax(axis=1))[decided].sum())
    if others:
        raise InvalidBundle(f"export: the same greatest class as the source required, got another in {others} rows")


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
