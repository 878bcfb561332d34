"""How good a trained model is on its test part, beside what anybody could have for nothing."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from membrane.times import DAY, format_time
from models.bundle import Kind
from models.onnx_model import OnnxModel
from models.scorer import CLASSES
from training.choosing import Chosen
from training.labels import Labels
from training.measures import BINS, Measures, Ranking, with_intervals
from training.plan import Examples, Plan
from training.report import Calibration, Delay, Report, Slice
from training.splits import Indices, Part

Floats = npt.NDArray[np.float64]

_PACKAGES: Final = ("numpy", "scikit-learn", "onnx", "onnxruntime")
_LEAST_OF_A_SLICE: Final = 30
_SLICES: Final = 10
_DRIVERS: Final = 15
_DRIVER_ROWS: Final = 2_000
_SUSPICIOUS_AUC: Final = 0.99


class Judged(NamedTuple):
    """The rows of the test part, the probabilities (tested, classes) that models which had not seen them gave, and the
    parts that these learned from; how many rows the kept model learned from, was chosen by, and it."""

    tested: Indices
    probabilities: Floats
    parts: list[Part]
    learned: int
    chosen_by: int
    model: Chosen


def report(kind: Kind, examples: Examples, plan: Plan, judged: Judged, notes: tuple[str, ...]) -> Report:
    """Everything but the drivers."""
    test = examples.at(judged.tested)
    measures = Measures(test.labels, judged.probabilities)
    weights = np.ones(len(test.labels)) if test.weights is None else test.weights
    single, feature = _single_feature(examples, judged.parts) if kind == "churn" else (None, None)
    baselines = _prior(examples, judged) | _no_change(examples, judged, plan.horizon_ms)
    baselines |= {} if single is None else {"auc_single_feature": round(single, 5)}
    suspicion = () if single is None or single < _SUSPICIOUS_AUC else (_suspicion(feature, single),)
    times = examples.times
    return Report(
        name=plan.name,
        kind=kind,
        revision=plan.revision,
        created=plan.created,
        provenance=plan.provenance,
        command=plan.command,
        source=plan.source,
        source_sha256=plan.source_sha256,
        rows=len(examples.labels),
        features=len(examples.names),
        classes=CLASSES[kind],
        shares=_shares(examples.labels, len(CLASSES[kind])),
        period=None if times is None else (format_time(int(times.min())), format_time(int(times.max()))),
        split=_split(examples, judged),
        learned=judged.learned,
        chosen_by=judged.chosen_by,
        tested=len(judged.tested),
        seed=plan.seed,
        resamples=plan.resamples,
        model=str(judged.model.setting),
        candidates=judged.model.tried,
        figures=with_intervals(measures, weights, test.groups, resamples=plan.resamples, seed=plan.seed),
        folds_auc=_folds_auc(examples, judged) if len(judged.parts) > 1 else (),
        baselines=baselines,
        single_feature=feature,
        calibration=_calibration(test.labels, judged.probabilities),
        confusion=_confusion(test.labels, judged.probabilities),
        roc=tuple(Ranking(judged.probabilities[:, 1], test.labels == 1).curve()) if kind == "churn" else (),
        drivers=(),
        slices=_slices(test, judged.probabilities),
        delay=_delay(examples),
        versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        notes=(*plan.notes, *notes, *suspicion),
    )


def drivers(model: OnnxModel, rows: npt.NDArray[np.floating]) -> tuple[tuple[str, float], ...]:
    """The features with the greatest mean absolute contribution to the likeliest class of up to 2,000 of the rows."""
    some = rows[:: -(-len(rows) // _DRIVER_ROWS)].astype(np.float32)
    found = model.contributions(some, model.probabilities(some).argmax(axis=1))
    if found is None:
        return ()
    mean = np.abs(found).mean(axis=0)
    best = np.argsort(-mean, kind="stable")[:_DRIVERS]
    names = model.bundle.manifest.features
    return tuple((names[i], round(float(mean[i]), 4)) for i in best.tolist() if mean[i] > 0)


def _split(examples: Examples, judged: Judged) -> str:
    if len(judged.parts) == 1 and examples.times is not None:
        begin = format_time(int(examples.times[judged.tested].min()))
        return f"by time: the rows from {begin} on are the test part; the model learned from earlier ones"
    kept = "customers kept together" if examples.groups is not None else "stratified"
    return (
        f"{len(judged.parts)} folds, {kept}: each row is judged by a model that has not seen it; the model that is "
        "kept learned from all rows in the same way"
    )


def _shares(labels: Labels, classes: int) -> tuple[float, ...]:
    return tuple(round(float(one), 5) for one in np.bincount(labels, minlength=classes) / len(labels))


def _prior(examples: Examples, judged: Judged) -> dict[str, float]:
    """What the shares of the classes in the rows learned from would give."""
    learned = np.unique(np.concatenate([part.learn for part in judged.parts]))
    classes = judged.probabilities.shape[1]
    shares = np.bincount(examples.labels[learned], minlength=classes) / len(learned)
    labels = examples.labels[judged.tested]
    same = np.tile(np.maximum(shares, 1e-4), (len(labels), 1))
    found = Measures(labels, same).figures(np.ones(len(labels)))
    return {f"{name}_prior": round(found[name], 5) for name in ("log_loss", "brier", "accuracy")}


def _no_change(examples: Examples, judged: Judged, horizon_ms: int) -> dict[str, float]:
    """What the last label of the same customer that was known by then would give, where there is one."""
    if examples.times is None or examples.groups is None:
        return {}
    known: dict[str, list[tuple[int, int]]] = {}
    for i in np.argsort(examples.times, kind="stable").tolist():
        known.setdefault(str(examples.groups[i]), []).append((int(examples.times[i]), int(examples.labels[i])))
    right = []
    for i in judged.tested.tolist():
        t = int(examples.times[i])
        before = [label for at, label in known[str(examples.groups[i])] if at + horizon_ms <= t and at < t]
        if before:
            right.append(before[-1] == examples.labels[i])
    share = len(right) / len(judged.tested)
    return {"accuracy_no_change": round(float(np.mean(right)), 5), "rows_no_change": round(share, 5)} if right else {}


def _single_feature(examples: Examples, parts: list[Part]) -> tuple[float, str]:
    """The mean AUC on the test rows of the feature that is best on the rows learned from, either way round."""
    found, names = [], []
    for part in parts:
        learned = [_auc(column, examples.labels[part.learn]) for column in examples.rows[part.learn].T]
        best = int(np.argmax([max(auc, 1 - auc) for auc in learned]))
        auc = _auc(examples.rows[part.test, best], examples.labels[part.test])
        found.append(auc if learned[best] >= 0.5 else 1 - auc)
        names.append(examples.names[best])
    return float(np.mean(found)), max(names, key=names.count)


def _suspicion(feature: str | None, auc: float) -> str:
    return f"{feature} alone separates the classes (AUC {auc:.3f}): was it known at the moment that a row speaks of?"


def _folds_auc(examples: Examples, judged: Judged) -> tuple[float, ...]:
    figures = (
        Measures(examples.labels[part.test], judged.probabilities[part.test]).figures(np.ones(len(part.test)))
        for part in judged.parts
    )
    return tuple(round(one["auc"], 5) for one in figures)


def _said(probabilities: Floats, labels: Labels) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What is said of each row, and whether it happened: of two classes the second, of more the likeliest."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], labels == 1
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def _calibration(labels: Labels, probabilities: Floats) -> tuple[Calibration, ...]:
    said, happened = _said(probabilities, labels)
    index = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    return tuple(
        Calibration(round(float(said[rows].mean()), 4), round(float(happened[rows].mean()), 4), int(rows.sum()))
        for rows in (index == one for one in range(BINS))
        if rows.any()
    )


def _confusion(labels: Labels, probabilities: Floats) -> tuple[tuple[int, ...], ...]:
    classes = probabilities.shape[1]
    cells = np.bincount(labels * classes + probabilities.argmax(axis=1), minlength=classes**2)
    return tuple(map(tuple, cells.reshape(classes, classes).tolist()))


def _slices(test: Examples, probabilities: Floats) -> tuple[Slice, ...]:
    """The groups of at least 30 rows with the greatest log-loss."""
    found = []
    for column, values in test.slices.items():
        for value in np.unique(values).tolist():
            rows = values == value
            if rows.sum() < _LEAST_OF_A_SLICE:
                continue
            figures = Measures(test.labels[rows], probabilities[rows]).figures(np.ones(int(rows.sum())))
            auc = None if np.isnan(figures["auc"]) else round(figures["auc"], 4)
            found.append(
                Slice(column, value, int(rows.sum()), round(figures["log_loss"], 4), round(figures["ece"], 4), auc)
            )
    return tuple(sorted(found, key=lambda one: -one.log_loss)[:_SLICES])


def _delay(examples: Examples) -> Delay | None:
    if examples.delays_ms is None or not len(examples.delays_ms):
        return None
    median, p90 = (np.percentile(examples.delays_ms, [50, 90]) / DAY).tolist()
    return Delay(round(median, 2), round(p90, 2))


def _auc(column: npt.NDArray[np.floating], labels: Labels) -> float:
    auc = Ranking(column, labels == 1).auc(np.ones(len(labels)))
    return 0.5 if np.isnan(auc) else auc
