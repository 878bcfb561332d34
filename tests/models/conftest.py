from __future__ import annotations

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.bundle import Golden, Linear, Manifest, write_bundle
from models.scorer import CLASSES

FEATURES = tuple(f"feature_{i}" for i in range(13))
WIDTH = len(FEATURES)
FINGERPRINT = "f" * 64
BASE = Manifest(
    name="test", kind="stage", revision="2026-11-22.1", created="2026-11-22T00:00:00Z", fingerprint=FINGERPRINT,
    features=FEATURES, classes=CLASSES["stage"], metrics={"log_loss": 1.0}, provenance="simulated",
)  # fmt: skip


def softmax_model(coef, *, opset=17, ir_version=8):
    """An ONNX model: probabilities = softmax(features @ coef.T)."""
    classes, width = coef.shape
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "coef"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes])],
        [numpy_helper.from_array(coef.T.astype(np.float32), "coef")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    return model.SerializeToString()


class Maker:
    """Writes bundles, good ones unless told otherwise, and keeps what they were made of."""

    features, fingerprint, onnx = FEATURES, FINGERPRINT, onnx
    model = staticmethod(softmax_model)

    def __init__(self, directory):
        self.directory = directory
        self.random = np.random.default_rng(5)

    def coef(self, kind="stage", width=WIDTH):
        return self.random.normal(0, 0.5, (len(CLASSES[kind]), width))

    def rows(self, count, width=WIDTH):
        return self.random.normal(0, 2, (count, width)).astype(np.float32)

    def write(self, name="bundle", *, coef=None, model=None, golden=None, linear=False, **changes):
        kind = changes.get("kind", "stage")
        coef = self.coef(kind) if coef is None else coef
        rows = self.rows(8)
        logits = rows.astype(float) @ coef.T if coef.shape[1] == rows.shape[1] else np.zeros((8, len(coef)))
        outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        golden = golden or Golden(tuple(map(tuple, rows.tolist())), tuple(map(tuple, outputs.tolist())))
        ones = (1.0,) * len(FEATURES)
        zeros, edge = (0.0,) * len(FEATURES), (1e9,) * len(FEATURES)
        low, table = tuple(-one for one in edge), tuple(map(tuple, coef.tolist()))
        weights = Linear(mean=zeros, scale=ones, low=low, high=edge, coef=table)
        fields = {"classes": CLASSES.get(kind, ()), "linear": weights if linear else None, **changes}
        path = self.directory / name
        write_bundle(path, msgspec.structs.replace(BASE, **fields), golden, model or softmax_model(coef))
        return path


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)
