"""One ONNX model that may answer: its outputs checked against golden rows, its features against ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from membrane.errors import InvalidBundle
from models.bundle import Bundle
from models.trees import Attribution

OUTPUT: Final = "probabilities"
GOLDEN_TOLERANCE: Final = 1e-5
_PAD_ROWS_TO: Final = 8  # the runtime's last bits depend on a batch's remainder, not on its length
_ERRORS_ONLY: Final = 3
RUNTIME_ERRORS: Final = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What the runtime raises at bytes or rows that it does not like."""

Drivers = list[tuple[str, float]]


class OnnxModel:
    """A loaded model. `probabilities` is pure: a row gives the same bytes whatever batch it comes in."""

    def __init__(self, bundle: Bundle) -> None:
        """Start the runtime on the bundle's bytes; InvalidBundle if it refuses them or their shape is another."""
        self.bundle = bundle
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = ort.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            raise self._fault("a model that the runtime can load", error) from None
        inputs, outputs = self._session.get_inputs(), [output.name for output in self._session.get_outputs()]
        width = len(bundle.manifest.features)
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or inputs[0].shape[1:] != [width]:
            raise self._fault(f"one float input of {width} columns", [(i.type, i.shape) for i in inputs])
        if OUTPUT not in outputs:
            raise self._fault(f"an output named {OUTPUT}", outputs)
        self._input = inputs[0].name
        self._linear = self._weights()
        self._trees = self._attribution(width)

    def probabilities(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Rows (n, features) -> (n, classes); all NaN in a row for which the model gives no distribution."""
        padded = np.zeros((-(-max(len(rows), 1) // _PAD_ROWS_TO) * _PAD_ROWS_TO, rows.shape[1]), np.float32)
        padded[: len(rows)] = rows
        (output,) = self._session.run([OUTPUT], {self._input: padded})
        found = np.asarray(output, np.float64)[: len(rows)]
        # A sum that is no number, or infinite, is not near 1 either.
        lawful = (found.min(axis=1) >= 0) & (np.abs(found.sum(axis=1) - 1) < 1e-3)
        return found if lawful.all() else np.where(lawful[:, None], found, np.nan)

    def drivers(self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64], at_most: int = 3) -> list[Drivers]:
        """For each row (n, features) the features that speak most for its `chosen` class (n,), greatest first.

        Against the mean of all classes; none of a model that is neither linear nor made of trees."""
        contributions = self.contributions(rows, chosen)
        if contributions is None:
            return [[] for _ in rows]
        best = np.argsort(-contributions, axis=1, kind="stable")[:, :at_most]
        amounts = np.take_along_axis(contributions, best, axis=1)
        return [self._named(*row) for row in zip(best.tolist(), amounts.tolist(), strict=True)]

    def contributions(
        self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64] | None:
        """(n, features) what each feature adds to the logit of a row's `chosen` class (n,), less the mean of all.

        Linear: weight x standardised value, within the range seen in training. Trees: see `models.trees`."""
        if self._linear is not None:
            low, high, mean, scale, coef = self._linear
            inside = np.minimum(np.maximum(rows.astype(np.float64), low), high)
            return np.asarray(coef[chosen] * ((inside - mean) / scale))
        if self._trees is not None:
            by_class = self._trees.scale - self._trees.scale.mean(axis=1, keepdims=True)
            return np.asarray(np.einsum("nof,on->nf", self._trees.contributions(rows), by_class[:, chosen]))
        return None

    def check_golden(self) -> float:
        """The greatest difference between the golden rows' outputs and what they must be; InvalidBundle if it is too
        great."""
        golden, manifest = self.bundle.golden, self.bundle.manifest
        rows, wanted = _matrix(golden.inputs), _matrix(golden.outputs)
        shapes = (len(rows), len(manifest.features)), (len(rows), len(manifest.classes))
        if not len(rows) or (rows.shape, wanted.shape) != shapes:
            raise self._fault(f"golden rows and outputs of shapes {shapes}, at least one", (rows.shape, wanted.shape))
        try:
            found = self.probabilities(rows.astype(np.float32))
        except RUNTIME_ERRORS as error:
            raise self._fault("a model that runs on its golden rows", error) from None
        if found.shape != wanted.shape:
            raise self._fault(f"outputs of {len(manifest.classes)} classes", found.shape)
        worst = float(np.max(np.abs(found - wanted)))
        if not worst <= GOLDEN_TOLERANCE:  # NaN is refused, too
            raise self._fault(f"golden outputs within {GOLDEN_TOLERANCE}", f"a difference of {worst}")
        return worst

    def _weights(self) -> tuple[npt.NDArray[np.float64], ...] | None:
        """What `drivers` needs of a linear model: low, high, mean, scale and the weights less their mean."""
        linear = self.bundle.manifest.linear
        if linear is None:
            return None
        coef = _matrix(linear.coef)
        columns = (np.array(one, np.float64) for one in (linear.low, linear.high, linear.mean, linear.scale))
        return (*columns, coef - coef.mean(axis=0))

    def _attribution(self, width: int) -> Attribution | None:
        trees = self.bundle.trees
        if trees is None:
            return None
        classes = len(self.bundle.manifest.classes)
        if max(trees.feature, default=0) >= width or len(trees.shift) != classes:
            raise self._fault(f"trees of {width} features and {classes} classes", "others")
        return Attribution(trees)

    def _named(self, columns: list[int], amounts: list[float]) -> Drivers:
        names = self.bundle.manifest.features
        return [(names[i], round(amount, 4)) for i, amount in zip(columns, amounts, strict=True) if amount > 0]

    def _fault(self, required: str, got: object) -> InvalidBundle:
        manifest = self.bundle.manifest
        return InvalidBundle(f"bundle {manifest.name} {self.bundle.revision}: {required} required, got {got}")


def load_model(bundle: Bundle, *, classes: Sequence[str], fingerprint: str) -> OnnxModel:
    """A bundle (whose digests were checked when it was read) as a model that may answer: golden rows, then features.

    Raises InvalidBundle if the runtime refuses it, if it does not give its golden outputs, or if it was made for
    other classes or features (`fingerprint` is that of the feature registry)."""
    model = OnnxModel(bundle)
    model.check_golden()
    manifest = bundle.manifest
    where = f"bundle {manifest.name} {bundle.revision}"
    if manifest.fingerprint != fingerprint:
        raise InvalidBundle(
            f"{where}: feature fingerprint {fingerprint} required, got {manifest.fingerprint}: it was made for "
            "the columns of a table, or for the features of another version"
        )
    if manifest.classes != tuple(classes):
        raise InvalidBundle(f"{where}: classes {', '.join(classes)} required, got {', '.join(manifest.classes)}")
    return model


def _matrix(rows: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """(n, columns); shape (n,) or (0,) where the rows are ragged or none, which no check accepts."""
    widths = {len(row) for row in rows}
    return np.array(rows, np.float64) if len(widths) == 1 else np.empty(len(rows))
