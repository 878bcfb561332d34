"""The batch trainer: labelled rows in, a bundle with its figures out.

`train` splits the examples, lets a few candidates compete on rows that they have not seen, calibrates the best, exports
it to ONNX, compares the export with its source and measures it on the test part. `training.card.write` writes what
comes out as a bundle with its model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from membrane.errors import UsageError
from models.bundle import Bundle, Golden, Kind, Manifest
from models.onnx_model import OnnxModel
from models.scorer import CLASSES
from training import judging, splits
from training.calibration import spread
from training.choosing import Chosen, Rows, Wish, choose, fits
from training.export import export
from training.judging import Judged
from training.labels import Labels
from training.linear import require_equal
from training.plan import Examples, Plan
from training.progress import Progress, silent
from training.report import Report

__all__ = ["Examples", "Plan", "Trained", "train"]

Floats = npt.NDArray[np.float64]

LEAST_ROWS: Final = 100
LEAST_OF_A_CLASS: Final = 20
_GOLDEN_ROWS: Final = 24
_COMPARED_ROWS: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A bundle that is not written yet (its digest is still empty), and what the card and `--json` tell of it."""

    bundle: Bundle
    report: Report


def train(kind: Kind, examples: Examples, plan: Plan, progress: Progress = silent) -> Trained:
    """Learn `kind` from the examples. Progress in fits.

    Raises UsageError where the examples do not suffice (too few rows, one class only), InvalidBundle where the export
    differs from its source by more than 1e-5."""
    usable, notes = _usable(kind, examples)
    run = _Run(kind, usable, plan, progress)
    part = None if usable.times is None else splits.by_time(usable.times, plan.horizon_ms, plan.test_from)
    with threadpool_limits(1):  # the fits are small: threads waiting for each other took minutes for one's seconds
        model, judged = run.by_folds() if part is None else run.by_time(part)
    report = judging.report(kind, usable, plan, judged, notes)
    bundle = _bundle(kind, usable, plan, model, report)
    told = msgspec.structs.replace(bundle.manifest, labels_until=labels_until(usable, plan.horizon_ms, part))
    bundle = msgspec.structs.replace(bundle, manifest=told)
    drivers = judging.drivers(OnnxModel(bundle), usable.rows[judged.tested])
    return Trained(bundle=bundle, report=msgspec.structs.replace(report, drivers=drivers))


def labels_until(examples: Examples, horizon_ms: int, part: splits.Part | None) -> int | None:
    """When the latest label was found out (epoch ms) that the kept model learned from or was chosen by; None without
    times."""
    if examples.times is None:
        return None
    found_out = examples.times + (horizon_ms if examples.delays_ms is None else examples.delays_ms)
    if part is None:
        return int(found_out.max())
    known = [found_out[rows] for rows in (part.learn, part.choose) if rows is not None]
    return int(np.concatenate(known).max())


class _Run:
    """The fits of one training; labels are numbered among the classes that are there."""

    def __init__(self, kind: Kind, examples: Examples, plan: Plan, progress: Progress) -> None:
        self._classes = len(CLASSES[kind])
        self._present, labels = np.unique(examples.labels, return_inverse=True)
        values = examples.rows.astype(np.float32).astype(np.float64)  # what a served row is
        self._rows = Rows(values, labels, examples.weights, examples.groups)
        self._wish = Wish(len(self._present), plan.candidates, plan.balanced, plan.seed)
        self._plan, self._progress = plan, progress
        self._done, self._total = 0, 0

    def by_time(self, part: splits.Part) -> tuple[Chosen, Judged]:
        """One model, learned before the test part."""
        self._total = fits(self._wish, held_out=part.choose is not None)
        model = self._choose(part)
        tested = model.probabilities(self._rows.values[part.test])
        chosen_by = len(part.learn) if part.choose is None else len(part.choose)
        return model, Judged(part.test, tested, [part], len(part.learn), chosen_by, model)

    def by_folds(self) -> tuple[Chosen, Judged]:
        """A model for each fold, which judges the way it was made, and one of all rows, which is kept."""
        rows, plan = self._rows, self._plan
        everything = np.arange(len(rows.labels))
        parts = [
            splits.Part(learn, None, test)
            for learn, test in splits.folds(rows.labels, rows.groups, plan.folds, plan.seed)
        ]
        self._total = fits(self._wish, held_out=False) * (len(parts) + 1)
        tested = np.empty((len(everything), self._classes))
        for part in parts:
            tested[part.test] = self._choose(part).probabilities(rows.values[part.test])
        model = self._choose(splits.Part(everything, None, everything))
        return model, Judged(everything, tested, parts, len(everything), len(everything), model)

    def _choose(self, part: splits.Part) -> Chosen:
        held_out = None if part.choose is None else self._rows.at(part.choose)
        found = choose(self._rows.at(part.learn), held_out, self._wish, self._step)
        return found._replace(head=spread(found.head, self._present, self._classes))

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def _usable(kind: Kind, examples: Examples) -> tuple[Examples, tuple[str, ...]]:
    """Those of classes with enough labels; UsageError where that leaves too little."""
    if not np.isfinite(examples.rows).all():
        raise UsageError("training: finite features are required, got NaN or infinity")
    if len(examples.labels) < LEAST_ROWS:
        raise UsageError(f"training: at least {LEAST_ROWS} rows are required, got {len(examples.labels)}")
    classes = CLASSES[kind]
    counts = np.bincount(examples.labels, minlength=len(classes))
    enough = counts >= LEAST_OF_A_CLASS
    told = ", ".join(f"{count} of {name}" for name, count in zip(classes, counts.tolist(), strict=True))
    if enough.sum() < 2:
        raise UsageError(f"training: at least {LEAST_OF_A_CLASS} rows of two classes are required, got {told}")
    notes = tuple(
        f"{name}: {count} rows are too few to learn from (at least {LEAST_OF_A_CLASS}); "
        "left out, and next to no probability is given to it"
        for name, count in zip(classes, counts.tolist(), strict=True)
        if count < LEAST_OF_A_CLASS
    )
    return (examples, ()) if enough.all() else (examples.at(enough[examples.labels]), notes)


def _bundle(kind: Kind, examples: Examples, plan: Plan, model: Chosen, report: Report) -> Bundle:
    """The exported model, equal to its source on (up to 20,000 of) the examples."""
    exported = export(model.fitted, model.head, len(examples.names))
    manifest = Manifest(
        name=plan.name,
        kind=kind,
        revision=plan.revision,
        created=plan.created,
        fingerprint=examples.fingerprint,
        features=examples.names,
        classes=CLASSES[kind],
        metrics={name: figure.value for name, figure in report.figures.items()} | report.baselines,
        provenance=plan.provenance,
        parent=plan.parent,
        linear=exported.linear,
    )
    draft = Bundle("", manifest, Golden((), ()), exported.model, exported.trees, examples.encoder)
    rows = examples.rows[_spread_over(len(examples.rows), _COMPARED_ROWS)].astype(np.float32)
    found = OnnxModel(draft).probabilities(rows)
    require_equal(found, model.probabilities(rows.astype(np.float64)))
    golden = _spread_over(len(rows), _GOLDEN_ROWS)
    return msgspec.structs.replace(draft, golden=_golden(rows[golden], found[golden]))


def _golden(rows: npt.NDArray[np.float32], outputs: Floats) -> Golden:
    return Golden(tuple(map(tuple, rows.tolist())), tuple(map(tuple, outputs.tolist())))


def _spread_over(rows: int, at_most: int) -> Labels:
    return np.unique(np.linspace(0, rows - 1, min(rows, at_most)).astype(np.int64))
