"""A fitted candidate and its head as an ONNX graph, with the plain numbers that its drivers are made of.

The graph ends in the head: a matrix, a vector and a softmax. A line is standardised in doubles. Trees are written node
by node from scikit-learn's own, each threshold rounded down to the floats that the runtime compares: a float is at most
the threshold exactly where it is at most that.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from models.bundle import Linear
from models.linear_graph import Affine
from models.onnx_model import OUTPUT
from models.trees import Trees
from training.calibration import Head
from training.candidates import Fitted
from training.linear import OPSET, linear_weights

Floats = npt.NDArray[np.float64]

_INPUT: Final = "features"
_ML_OPSET: Final = 3
_IR_VERSION: Final = 8


class Exported(NamedTuple):
    """The graph, and what drivers need."""

    model: bytes
    linear: Linear | None = None
    trees: Trees | None = None


def export(fitted: Fitted, head: Head, width: int) -> Exported:
    """A fitted candidate over `width` columns with the head of its calibration."""
    if isinstance(fitted, Pipeline):
        weights, shift = _line(fitted, head)
        parameters = (weights.mean, weights.scale, weights.low, weights.high, weights.coef, shift)
        return Exported(Affine(*map(np.array, parameters)).to_onnx(), linear=weights)
    trees = trees_of(fitted, head)
    return Exported(_trees_graph(trees, width), trees=trees)


def trees_of(fitted: HistGradientBoostingClassifier, head: Head) -> Trees:
    """The nodes of the ensemble, whose training rows had no missing number and no categories."""
    rounds = fitted._predictors  # noqa: SLF001 - scikit-learn shows its trees to nobody
    nodes: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots, outputs = [], []
    for trees in rounds:
        for output, tree in enumerate(trees):
            first = len(nodes["feature"])
            roots.append(first)
            outputs.append(output)
            for name, column in _columns(tree.nodes, first).items():
                nodes[name] += column.tolist()
    base = np.ravel(fitted._baseline_prediction)  # noqa: SLF001 - as above
    return Trees(
        roots=tuple(roots),
        outputs=tuple(outputs),
        base=tuple(base.tolist()),
        scale=tuple(map(tuple, head.scale.tolist())),
        shift=tuple(head.shift.tolist()),
        **{name: tuple(column) for name, column in nodes.items()},
    )


def _columns(nodes: Any, first: int) -> dict[str, npt.NDArray[Any]]:
    """One tree of scikit-learn, its nodes numbered from `first` on."""
    own = np.arange(len(nodes))
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, own, nodes["left"].astype(np.int64))
    right = np.where(leaf, own, nodes["right"].astype(np.int64))
    value, count = nodes["value"].astype(np.float64), nodes["count"].astype(np.float64)
    for i in own[::-1][~leaf[::-1]]:
        a, b = left[i], right[i]
        value[i] = (value[a] * count[a] + value[b] * count[b]) / (count[a] + count[b])
    return {
        "feature": np.where(leaf, 0, nodes["feature_idx"]),
        "threshold": np.where(leaf, 0.0, rounded_down(nodes["num_threshold"])),
        "left": left + first,
        "right": right + first,
        "value": value,
    }


def rounded_down(thresholds: Floats) -> Floats:
    """The greatest finite floats of 32 bits that are at most the thresholds."""
    greatest = np.finfo(np.float32).max
    near = np.clip(thresholds, -greatest, greatest).astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float64)


def _line(pipeline: Pipeline, head: Head) -> tuple[Linear, Floats]:
    """The weights and the shift (classes,) of the logits: the head taken into the line."""
    regression, plain = pipeline[-1], linear_weights(pipeline)
    coef = head.scale.T @ regression.coef_
    shift = head.scale.T @ regression.intercept_ + head.shift
    table = tuple(map(tuple, coef.tolist()))
    return Linear(mean=plain.mean, scale=plain.scale, low=plain.low, high=plain.high, coef=table), shift


def _trees_graph(trees: Trees, width: int) -> bytes:
    sizes = np.diff([*trees.roots, len(trees.feature)])
    tree_ids = np.repeat(np.arange(len(sizes)), sizes)
    first = np.repeat(trees.roots, sizes).astype(np.int64)
    own = np.arange(len(trees.feature))
    left, right = np.array(trees.left), np.array(trees.right)
    leaf = left == own
    leaves = own[leaf]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor", [_INPUT], ["raw"], domain="ai.onnx.ml", name="trees",
        n_targets=len(trees.base), base_values=list(trees.base), post_transform="NONE",
        nodes_treeids=tree_ids.tolist(), nodes_nodeids=(own - first).tolist(),
        nodes_featureids=list(trees.feature), nodes_values=list(trees.threshold),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_truenodeids=np.where(leaf, 0, left - first).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, right - first).tolist(),
        target_treeids=tree_ids[leaf].tolist(), target_nodeids=(leaves - first[leaf]).tolist(),
        target_ids=np.repeat(trees.outputs, sizes)[leaf].tolist(),
        target_weights=np.array(trees.value)[leaf].tolist(),
    )  # fmt: skip
    nodes = [
        ensemble,
        helper.make_node("Cast", ["raw"], ["doubles"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["doubles", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["logits"]),
    ]
    constants = {"scale": np.array(trees.scale), "shift": np.array(trees.shift)}
    return _graph(nodes, constants, width, len(trees.shift))


def _graph(nodes: list[NodeProto], constants: dict[str, Floats], width: int, classes: int) -> bytes:
    """The nodes that make `logits` (in doubles) of `features`, with what makes probabilities of them."""
    nodes = [
        *nodes,
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
        helper.make_node("Cast", ["shares"], [OUTPUT], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, classes])],
        [numpy_helper.from_array(np.asarray(value, np.float64), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    checker.check_model(model)
    return bytes(model.SerializeToString())
