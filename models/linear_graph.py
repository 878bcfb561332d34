"""A linear model as an ONNX graph that computes in double, from a float input to float probabilities."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper

from models.bundle import Linear
from models.onnx_model import OUTPUT

INPUT: Final = "features"
OPSET: Final = 17
IR_VERSION: Final = 8

Floats = npt.NDArray[np.float64]


class Affine(NamedTuple):
    """probabilities = softmax(coef @ ((x - mean) / scale) + intercept), with x clipped to low..high.

    `mean`, `scale`, `low`, `high` are (features,), `coef` is (classes, features), `intercept` (classes,); a scale of 0
    stands for a column that never moved, which says nothing."""

    mean: Floats
    scale: Floats
    low: Floats
    high: Floats
    coef: Floats
    intercept: Floats

    def moving(self) -> Affine:
        """The same model with a scale and no weight where there was no scale."""
        still = self.scale == 0
        return self._replace(scale=np.where(still, 1.0, self.scale), coef=np.where(still, 0.0, self.coef))

    def weights(self) -> Linear:
        """The parameters as a manifest has them, for drivers."""
        model = self.moving()
        columns = [tuple(column.tolist()) for column in (model.mean, model.scale, model.low, model.high)]
        return Linear(columns[0], columns[1], columns[2], columns[3], tuple(map(tuple, model.coef.tolist())))

    def to_onnx(self) -> bytes:
        """The graph, with the input `features` (float, any number of rows) and the output `probabilities`."""
        model = self.moving()
        constants = {
            "low": model.low,
            "high": model.high,
            "mean": model.mean,
            "scale": model.scale,
            "coef": model.coef.T,
            "intercept": model.intercept,
        }
        steps = [
            helper.make_node("Cast", [INPUT], ["x"], to=TensorProto.DOUBLE),
            helper.make_node("Max", ["x", "low"], ["raised"]),
            helper.make_node("Min", ["raised", "high"], ["inside"]),
            helper.make_node("Sub", ["inside", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["standard"]),
            helper.make_node("MatMul", ["standard", "coef"], ["weighted"]),
            helper.make_node("Add", ["weighted", "intercept"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["doubles"], axis=1),
            helper.make_node("Cast", ["doubles"], [OUTPUT], to=TensorProto.FLOAT),
        ]
        classes, width = model.coef.shape
        graph = helper.make_graph(
            steps,
            "linear",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, classes])],
            [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        checker.check_model(made)
        return bytes(made.SerializeToString())
