from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.trees import Attribution, Trees


def grown(random, *, depth, width, outputs, count):
    """Random trees; every inner node's value is the mean of its leaves, weighted by made-up numbers of rows."""
    nodes = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}

    def grow(left_depth):
        own = len(nodes["feature"])
        for name, value in (
            ("feature", int(random.integers(width))), ("threshold", float(np.float32(random.normal()))),
            ("left", own), ("right", own), ("value", float(random.normal())),
        ):  # fmt: skip
            nodes[name].append(value)
        rows = float(random.integers(1, 50))
        if left_depth and random.random() < 0.8:
            (left, left_rows), (right, right_rows) = grow(left_depth - 1), grow(left_depth - 1)
            rows = left_rows + right_rows
            mean = (nodes["value"][left] * left_rows + nodes["value"][right] * right_rows) / rows
            nodes["left"][own], nodes["right"][own], nodes["value"][own] = left, right, mean
        return own, rows

    roots = [grow(depth)[0] for _ in range(count)]
    return Trees(
        roots=tuple(roots), outputs=tuple(int(random.integers(outputs)) for _ in roots),
        base=tuple(random.normal(size=outputs).tolist()), shift=(0.1, -0.1, 0.3),
        scale=tuple(map(tuple, random.normal(size=(outputs, 3)).tolist())),
        **{name: tuple(column) for name, column in nodes.items()},
    )  # fmt: skip


def brute_force(trees, row, outputs):
    """Raw scores and contributions by walking each tree by hand."""
    raw, contributions = list(trees.base), np.zeros((outputs, len(row)))
    for root, output in zip(trees.roots, trees.outputs, strict=True):
        node = root
        while trees.left[node] != node:
            goes_left = row[trees.feature[node]] <= trees.threshold[node]
            child = trees.left[node] if goes_left else trees.right[node]
            contributions[output, trees.feature[node]] += trees.value[child] - trees.value[node]
            node = child
        raw[output] += trees.value[node]
    return raw, contributions


@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(1, 3), st.integers(0, 6))
def test_contributions_are_the_changes_along_the_path_and_add_up_to_the_raw_score(seed, depth, outputs, count):
    random = np.random.default_rng(seed)
    trees = grown(random, depth=depth, width=4, outputs=outputs, count=count)
    rows = random.normal(size=(5, 4)).astype(np.float32)
    attribution = Attribution(trees)
    found = attribution.contributions(rows)
    for row, contributions in zip(rows, found, strict=True):
        raw, by_hand = brute_force(trees, row, outputs)
        assert contributions == pytest.approx(by_hand, abs=1e-9)
        assert attribution.expected + contributions.sum(axis=1) == pytest.approx(raw, abs=1e-6)


def test_a_feature_that_no_node_splits_by_contributes_nothing():
    random = np.random.default_rng(1)
    trees = grown(random, depth=4, width=3, outputs=1, count=5)
    rows = random.normal(size=(20, 6)).astype(np.float32)
    assert not Attribution(trees).contributions(rows)[:, :, 3:].any()


def test_probabilities_add_up_to_one():
    random = np.random.default_rng(2)
    trees = grown(random, depth=3, width=3, outputs=2, count=4)
    found = Attribution(trees).probabilities(random.normal(size=(7, 3)))
    assert found.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"threshold": (1.0,)}, "as many thresholds"),
        ({"outputs": ()}, "an output for each tree"),
        ({"scale": ((1.0,),)}, "a scale for each class"),
        ({"left": (1, 0, 2)}, "nodes before their children"),
        ({"left": (0, 1, 2)}, "nodes before their children"),
        ({"left": (9, 1, 2)}, "nodes before their children"),
        ({"feature": (-1, 0, 0)}, "nodes before their children"),
        ({"outputs": (3,)}, "nodes before their children"),
    ],
)
def test_trees_that_cannot_be_walked_are_refused(change, problem):
    fine = {
        "roots": (0,), "outputs": (0,), "feature": (0, 0, 0), "threshold": (0.5, 0.0, 0.0), "left": (1, 1, 2),
        "right": (2, 1, 2), "value": (0.0, -1.0, 1.0), "base": (0.0,), "scale": ((-0.5, 0.5),), "shift": (0.0, 0.0),
    }  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(Trees(**fine)), type=Trees) == Trees(**fine)
    with pytest.raises(ValueError, match=problem):
        Trees(**{**fine, **change})
