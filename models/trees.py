"""An ensemble of trees as plain numbers, and what each feature contributes to its scores.

The contribution of a feature is the sum of the changes of the expected score along the path of a row, at the nodes that
split by it (Saabas 2014, "Interpreting random forests"): with the expectation over the training rows they add up to the
score itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Trees(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The nodes of all trees one after another; `roots` and `outputs` say where each tree begins and what it adds to.

    A row goes left at a node whose `feature` is at most `threshold` in it. A leaf is its own left and right; other
    nodes come before their children. `value` is what a leaf adds; of another node, the mean of the leaves below it,
    weighted by training rows. The raw scores (outputs,), `base` included, become logits by `scale` (outputs, classes)
    and `shift` (classes,)."""

    roots: tuple[int, ...]
    outputs: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]
    base: tuple[float, ...]
    scale: tuple[tuple[float, ...], ...]
    shift: tuple[float, ...]

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        if any(len(one) != nodes for one in (self.threshold, self.left, self.right, self.value)):
            raise ValueError("trees: as many thresholds, children and values as nodes required")
        if len(self.roots) != len(self.outputs) or len(self.scale) != len(self.base):
            raise ValueError("trees: an output for each tree and a scale for each output required")
        if any(len(row) != len(self.shift) for row in self.scale):
            raise ValueError("trees: a scale for each class required")
        pairs = enumerate(zip(self.left, self.right, strict=True))
        ahead = all(a == b == i or (i < a < nodes and i < b < nodes) for i, (a, b) in pairs)
        inside = all(0 <= root < nodes for root in self.roots) and min(self.feature, default=0) >= 0
        if not (ahead and inside and all(0 <= one < len(self.base) for one in self.outputs)):
            raise ValueError("trees: nodes before their children, and roots and outputs that exist required")


class Attribution:
    """The trees, ready to be walked by many rows at once."""

    def __init__(self, trees: Trees) -> None:
        self._roots = np.array(trees.roots, np.int64)
        self._outputs = np.array(trees.outputs, np.int64)
        self._feature = np.array(trees.feature, np.int64)
        self._threshold = np.array(trees.threshold, np.float64)
        self._left, self._right = np.array(trees.left, np.int64), np.array(trees.right, np.int64)
        self._value = np.array(trees.value, np.float64)
        self._base = np.array(trees.base, np.float64)
        self.scale = np.array(trees.scale, np.float64)
        self._shift = np.array(trees.shift, np.float64)

    @property
    def expected(self) -> Floats:
        """(outputs,) the raw scores before anything is known of a row."""
        return self._base + np.bincount(self._outputs, self._value[self._roots], len(self._base))

    def contributions(self, rows: npt.NDArray[np.floating]) -> Floats:
        """Rows (n, features) -> (n, outputs, features); with `expected` each row's add up to its raw scores."""
        width, outputs = rows.shape[1], len(self._base)
        place = (np.arange(len(rows))[:, None] * outputs + self._outputs) * width
        found = np.zeros(len(rows) * outputs * width)
        node = np.tile(self._roots, (len(rows), 1))
        while (inner := self._left[node] != node).any():
            by = self._feature[node]
            goes_left = np.take_along_axis(rows, by, axis=1) <= self._threshold[node]
            child = np.where(goes_left, self._left[node], self._right[node])
            change = self._value[child] - self._value[node]
            found += np.bincount((place + by)[inner], change[inner], len(found))
            node = child
        return found.reshape(len(rows), outputs, width)

    def probabilities(self, rows: npt.NDArray[np.floating]) -> Floats:
        """Rows (n, features) -> (n, classes), in doubles: what the exported model is compared with."""
        raw = self.expected + self.contributions(rows).sum(axis=2)
        logits = raw @ self.scale + self._shift
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
