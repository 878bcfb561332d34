"""River's own benchmark done again: the same pipelines, test-then-learn over the same streams.

The pipelines are those that River's page of results prints (docs/benchmarks, of River 0.19), their accuracies
those of ../shared/data/reference/river_binary_benchmark.md. Elec2 there has two columns more than the copy here, so it
is reported beside the no-change baseline and compared with nothing else.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from river import dummy, ensemble, forest, linear_model, naive_bayes, optim, preprocessing, tree

from bench.quality.parts import DATA, Size
from bench.rows import Bound, Row, at_most

Pair = tuple[dict[str, float], bool]
Maker = Callable[[], Any]

_STREAMS: Final = {"Phishing": "river_builtin/phishing.csv.gz", "Bananas": "river_builtin/bananas.csv.gz"}
_MODELS: Final[dict[str, tuple[Maker, dict[str, float], float]]] = {
    "logistic regression": (
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(optimizer=optim.SGD(0.005)),
        {"Phishing": 0.887200, "Bananas": 0.543208},
        0.002,
    ),
    "ALMA": (
        lambda: preprocessing.StandardScaler() | linear_model.ALMAClassifier(),  # type: ignore[no-untyped-call]
        {"Phishing": 0.825600, "Bananas": 0.506415},
        0.002,
    ),
    "naive Bayes": (naive_bayes.GaussianNB, {"Phishing": 0.884708, "Bananas": 0.615210}, 0.002),
    "Hoeffding tree": (tree.HoeffdingTreeClassifier, {"Phishing": 0.879904, "Bananas": 0.642197}, 0.002),
    "Hoeffding adaptive tree": (
        lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=42),
        {"Phishing": 0.874299, "Bananas": 0.616531},
        0.002,
    ),
    "ADWIN bagging": (
        lambda: ensemble.ADWINBaggingClassifier(tree.HoeffdingTreeClassifier(), seed=42),
        {"Phishing": 0.893515, "Bananas": 0.625967},
        0.01,
    ),
    "adaptive random forest": (
        lambda: forest.ARFClassifier(seed=42),
        {"Phishing": 0.907926, "Bananas": 0.886960},
        0.01,
    ),
    "aggregated Mondrian forest": (
        lambda: forest.AMFClassifier(seed=42),
        {"Phishing": 0.904724, "Bananas": 0.889413},
        0.01,
    ),
    "last class": (dummy.NoChangeClassifier, {"Phishing": 0.515612, "Bananas": 0.509530}, 0.002),
}
_CHANGED: Final = {
    "aggregated Mondrian forest": "; River changed it since (pull requests 1804, 1825, 1835), with these results"
}
_ON_ELEC2: Final = ("last class", "logistic regression", "naive Bayes", "Hoeffding tree", "Hoeffding adaptive tree")
_QUICK: Final = ("logistic regression", "naive Bayes", "last class")


def rows(size: Size) -> Iterator[Row]:
    """The distance from each published accuracy, then elec2."""
    chosen = _QUICK if size.quick else tuple(_MODELS)
    for stream, file in _STREAMS.items():
        pairs = _pairs(DATA / file, "target")
        for name in chosen:
            make, published, tolerance = _MODELS[name]
            yield _beside(name, stream, accuracy(make(), pairs), published[stream], tolerance, len(pairs))
    if not size.quick:
        yield from _elec2()


def _beside(name: str, stream: str, found: float, published: float, tolerance: float, count: int) -> Row:
    return Row(
        f"{stream}, {name}: distance from the published accuracy",
        "",
        round(abs(found - published), 6),
        f"{count:,} rows",
        must=at_most(tolerance),
        details={"measured": round(found, 6), "published": published, "source": "River 0.19, docs/benchmarks"},
        note=f"{found:.4f} here, {published:.4f} published{_CHANGED.get(name, '')}",
    )


def _elec2() -> Iterator[Row]:
    pairs = _pairs(DATA / "elec2" / "electricity.csv.gz", "class")
    baseline = accuracy(_MODELS["last class"][0](), pairs)
    for name in _ON_ELEC2:
        found = accuracy(_MODELS[name][0](), pairs)
        yield Row(
            f"elec2, {name}: accuracy", "", round(found, 4), f"{len(pairs):,} rows",
            must=Bound(">=", 0.853) if name == "last class" else None,
            control=round(baseline, 4),
            note="no change .8533 published" if name == "last class" else "six columns here, eight in River's table",
        )  # fmt: skip


def accuracy(model: Any, pairs: list[Pair]) -> float:
    """Of the predictions that were made, each before its label was learned."""
    asked = right = 0
    for features, label in pairs:
        said = model.predict_one(features)
        asked += said is not None
        right += said == label
        model.learn_one(features, label)
    return right / asked


def _pairs(path: Path, label: str) -> list[Pair]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return [
        ({name: float(cell) for name, cell in line.items() if name != label}, line[label] in ("True", "1"))
        for line in lines
    ]
