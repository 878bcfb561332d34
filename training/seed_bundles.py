"""The two models that ship: stage and churn, learned from simulated customers and therefore advisory."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from membrane.times import DAY
from models.bundle import Bundle, Golden, Kind, Manifest, read_bundle, write_bundle
from models.onnx_model import OnnxModel
from models.scorer import CLASSES, load_bundle
from training import linear
from training.equal import require_equal
from training.evaluation import Metrics, churn_metrics, previous_labels, stage_metrics
from training.labels import UNLABELLED, Labels, TruthTable
from training.linear import Rows
from training.progress import Progress, silent
from training.simulator import Truth, simulate
from training.world import Event

FeatureRows = Callable[[Iterable[Event]], tuple[Rows, Sequence[str], Sequence[int]]]
"""Folds events in time order into rows (n, features), one a signal or fewer, with the customer (the event's subject)
and the time (epoch ms) of each."""

_GOLDEN_ROWS: Final = 24
_LEARN, _CALIBRATE, _TEST = (0, 1, 2, 3, 4, 5), (6, 7), (8, 9)  # of ten parts, by customer


@dataclass(frozen=True)
class Recipe:
    """What the bundles are made of and for: the same recipe gives the same bundles."""

    features: tuple[str, ...]
    fingerprint: str
    revision: str
    created: str
    start_ms: int
    customers: int = 2_000
    days: int = 180
    warm_up_days: int = 30
    seed: int = 7


class _Examples(NamedTuple):
    """Rows (n, features), their customers and labels (n,), in time order."""

    rows: Rows
    customers: npt.NDArray[np.str_]
    labels: Labels

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Examples:
        return _Examples(self.rows[chosen], self.customers[chosen], self.labels[chosen])

    def of(self, parts: tuple[int, ...]) -> _Examples:
        """Those of a share of the customers: nobody is in two shares."""
        part = [zlib.crc32(customer.encode()) % 10 for customer in self.customers.tolist()]
        return self.where(np.isin(part, parts))


def make_seed_bundles(
    feature_rows: FeatureRows, directory: Path, recipe: Recipe, progress: Progress = silent
) -> dict[str, Metrics]:
    """Simulate, learn, compare and write `directory/stage` and `directory/churn`; their metrics by kind.

    Progress is in ms of simulated time. Raises InvalidBundle where an export differs from its source, ValueError
    where the simulation is too small to learn from; then nothing is written."""
    stages, closes = _examples(feature_rows, recipe, progress)
    made = [_learn("stage", stages, recipe), _learn("churn", closes, recipe)]
    for bundle in made:
        place = directory / bundle.manifest.kind
        write_bundle(place, bundle.manifest, bundle.golden, bundle.model)
        load_bundle(read_bundle(place), bundle.manifest.kind, recipe.fingerprint)
    return {bundle.manifest.kind: bundle.manifest.metrics for bundle in made}


def _examples(feature_rows: FeatureRows, recipe: Recipe, progress: Progress) -> tuple[_Examples, _Examples]:
    """The labelled rows after the warm-up: for stages, and for churn."""
    truths: list[Truth] = []
    rows, customers, times = feature_rows(_events(recipe, truths, progress))
    table = TruthTable(truths, recipe.start_ms + recipe.days * DAY)
    warm = np.asarray(times, np.int64) >= recipe.start_ms + recipe.warm_up_days * DAY
    examples = (
        _Examples(rows, np.array(customers), labels(customers, times)).where(warm)
        for labels in (table.stages, table.closes)
    )
    stages, closes = (found.where(found.labels != UNLABELLED) for found in examples)
    return stages, closes


def _events(recipe: Recipe, truths: list[Truth], progress: Progress) -> Iterator[Event]:
    """The simulated events; the truth is put into `truths` on the way."""
    for step in simulate(recipe.customers, days=recipe.days, seed=recipe.seed, start_ms=recipe.start_ms):
        truths.extend(step.truths)
        progress(step.end_ms - recipe.start_ms, recipe.days * DAY)
        yield from step.signals


def _learn(kind: Kind, examples: _Examples, recipe: Recipe) -> Bundle:
    learned, unseen, test = (examples.of(parts) for parts in (_LEARN, _CALIBRATE, _TEST))
    pipeline = linear.fit(learned.rows, learned.labels, len(CLASSES[kind]))
    calibrate = linear.calibrate_stage if kind == "stage" else linear.calibrate_churn
    calibrate(pipeline, unseen.rows, unseen.labels)
    source = np.asarray(pipeline.predict_proba(test.rows))
    metrics = _metrics(kind, learned, test, source)
    draft = Bundle("", _manifest(kind, recipe, metrics, pipeline), Golden((), ()), linear.to_onnx_bytes(pipeline))
    exported = OnnxModel(draft).probabilities(test.rows)
    require_equal(exported, source)
    spread = np.linspace(0, len(test.rows) - 1, _GOLDEN_ROWS).astype(np.int64)
    return msgspec.structs.replace(draft, golden=_golden(test.rows[spread], exported[spread]))


def _metrics(kind: Kind, learned: _Examples, test: _Examples, source: linear.Floats) -> Metrics:
    if kind == "churn":
        return churn_metrics(test.labels, source[:, 1], float(learned.labels.mean()), test.rows)
    shares = np.bincount(learned.labels, minlength=source.shape[1]) / len(learned.labels)
    previous = previous_labels(test.customers.tolist(), test.labels, int(shares.argmax()))
    return stage_metrics(test.labels, source, shares, previous)


def _manifest(kind: Kind, recipe: Recipe, metrics: Metrics, pipeline: Pipeline) -> Manifest:
    return Manifest(
        name=f"seed-{kind}",
        kind=kind,
        revision=recipe.revision,
        created=recipe.created,
        fingerprint=recipe.fingerprint,
        features=recipe.features,
        classes=CLASSES[kind],
        metrics=metrics,
        provenance="simulated",
        linear=linear.linear_weights(pipeline),
    )


def _golden(rows: Rows, outputs: linear.Floats) -> Golden:
    return Golden(tuple(map(tuple, rows.tolist())), tuple(map(tuple, outputs.tolist())))
