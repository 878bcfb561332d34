"""One target learned online: each labelled example is tested, then learned, beside baselines and detectors."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from membrane.labelled import RULES, Labelled
from models import calibration
from models.bundle import Kind
from models.calibration import Calibration
from models.drift import DELTA_ERROR, DELTA_FEATURE, Detector, Watch, squashed
from models.figures import accuracy, calibration_error, log_loss, macro_f1
from models.linear_graph import Affine
from models.online import BOUND, OnlineModel, Parameters, untaught
from models.scorer import CLASSES

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rows = npt.NDArray[np.float32]

WINDOW: Final = 1_000
RECALIBRATE_EVERY: Final = 100
RECALIBRATE_EARLY: Final = 20
"""While the window is not full."""
WATCHED: Final = ("tone_mean_7d", "open_cases", "usage_ratio_7d_30d", "silence")
"""The features whose drift is watched."""
LEARNER, MAJORITY, NO_CHANGE, TREES = "learner", "majority", "no_change", "trees"
BASELINES: Final = (MAJORITY, NO_CHANGE, RULES)
ERROR: Final = "error"
DETECTORS: Final = (ERROR, *(f"feature:{name}" for name in WATCHED))

Answers = dict[str, tuple[float, ...]]
"""By who gave them: probabilities of the classes."""


class Answered(Struct, frozen=True, array_like=True):
    """A labelled example with what was answered before it was learned; `number` counts those of its target, from 0.
    `features` are of 32 bits, native; `logs` (classes,) are the pipeline's own, before calibration."""

    number: int
    label: int
    weight: float
    features: bytes
    logs: tuple[float, ...]
    answers: Answers

    def row(self) -> Rows:
        """(features,) the vector."""
        return np.frombuffer(self.features, np.float32)


class TargetState(Struct):
    """All that is known of one target, but for the window. `low` and `high` (features,) are the range seen; `shares`
    (classes,) the weights of the labels so far, and `right` by baseline the weights of its right answers and of all,
    each begun with what keeps a probability from 0 and 1. `labels_until`: the latest `labelled_at`."""

    fingerprint: str
    parameters: Parameters
    calibration: Calibration
    low: list[float]
    high: list[float]
    shares: list[float]
    watches: dict[str, Watch]
    right: dict[str, list[float]] = {}
    learned: int = 0
    labels_until: int = 0


class Beside(Protocol):
    """A model that answers beside the learner and is only measured."""

    def probabilities(self, rows: Rows) -> Floats:
        """Rows (n, features) -> (n, classes)."""


class Outcome(NamedTuple):
    """What came of one example: the row for the window, and the detectors that found a change."""

    answered: Answered
    drifted: list[str]


def first_state(kind: Kind, names: Sequence[str], fingerprint: str) -> TargetState:
    """What is known before the first label."""
    width, classes = len(names), len(CLASSES[kind])
    features = [f"feature:{name}" for name in WATCHED if name in names]
    return TargetState(
        fingerprint,
        untaught(kind, width),
        calibration.neutral(classes),
        [float("inf")] * width,
        [float("-inf")] * width,
        [1.0] * classes,
        {ERROR: Watch(DELTA_ERROR, rises=True), **{name: Watch(DELTA_FEATURE) for name in features}},
    )


class TargetLearner:
    """Tests and learns the labels of one target in the order in which they come. `beside`: other models to measure."""

    def __init__(self, kind: Kind, names: Sequence[str], state: TargetState, window: Sequence[Answered]) -> None:
        self.kind = kind
        self.window = deque(sorted(window, key=lambda one: one.number), WINDOW)
        self.beside: dict[str, Beside] = {}
        self._state = state
        self._classes = len(CLASSES[kind])
        self._model = OnlineModel(kind, state.parameters)
        self._detectors = {name: Detector(watch) for name, watch in state.watches.items()}
        self._columns = {f"feature:{name}": names.index(name) for name in WATCHED if name in names}

    @property
    def learned(self) -> int:
        """How many labels were learned."""
        return self._state.learned

    @property
    def labels_until(self) -> int:
        """The latest moment at which one of them was found out (epoch ms, event time)."""
        return self._state.labels_until

    def state(self) -> TargetState:
        """What is known now."""
        self._state.parameters = self._model.parameters()
        self._state.watches = {name: detector.watch() for name, detector in self._detectors.items()}
        return self._state

    def test_and_learn(self, example: Labelled, previous: int | None) -> Outcome:
        """Test an example whose features are finite, then learn it. `previous`: the customer's label before it."""
        logs = self._model.logs(example.features)
        answers = self._answers(example, logs, previous)
        answered = Answered(
            self._state.learned,
            example.label,
            example.weight,
            array("f", example.features).tobytes(),
            tuple(logs),
            answers,
        )
        self._learn(example, previous)
        self.window.append(answered)
        early = self._state.learned < WINDOW
        if self._state.learned % (RECALIBRATE_EARLY if early else RECALIBRATE_EVERY) == 0:
            self._calibrate()
        return Outcome(answered, self._drifted(example, answers[LEARNER]))

    def probabilities(self, rows: Rows) -> Floats:
        """Rows (n, features) -> (n, classes), as it would answer now: River's pipeline, calibrated."""
        logs = np.array([self._model.logs(row) for row in rows.astype(np.float64).tolist()])
        return self._state.calibration.apply(logs.reshape(len(rows), self._classes))

    def affine(self) -> Affine:
        """The same as the parameters of one linear model, clipped to the range that was seen and, within it, to that
        in which the pipeline bounds what it standardised."""
        state = self.state()
        mean, scale = np.array(state.parameters.means), np.sqrt(state.parameters.variances)
        coef, intercept = state.parameters.logits()
        slope, shifts = state.calibration.slope, np.array(state.calibration.shifts)
        low = np.maximum(np.array(state.low), mean - BOUND * scale)
        high = np.minimum(np.array(state.high), mean + BOUND * scale)
        return Affine(mean, scale, low, high, slope * coef, slope * intercept + shifts)

    def _answers(self, example: Labelled, logs: list[float], previous: int | None) -> Answers:
        shares = np.array(self._state.shares)
        majority = shares / shares.sum()
        found: dict[str, Floats] = {
            LEARNER: self._state.calibration.apply(np.array([logs]))[0],
            MAJORITY: majority,
            NO_CHANGE: majority if previous is None else self._hedged(NO_CHANGE, previous, majority),
        }
        ruled = self._ruled(example)
        if ruled is not None:
            found[RULES] = self._hedged(RULES, ruled, majority)
        row = np.array([example.features], np.float32)
        found |= {name: model.probabilities(row)[0] for name, model in self.beside.items()}
        served = {
            name: scores for name, scores in example.scores.items() if name != RULES and len(scores) == self._classes
        }
        return {name: tuple(float(one) for one in scores) for name, scores in {**served, **found}.items()}

    def _ruled(self, example: Labelled) -> int | None:
        """The class that the rules named, where they were asked."""
        scores = example.scores.get(RULES, ())
        return int(np.argmax(scores)) if len(scores) == self._classes else None

    def _hedged(self, name: str, answer: int, majority: Floats) -> Floats:
        """A baseline that names one class, as probabilities: it is right as often as it was so far, and where it is
        wrong the other classes share what is left as they did so far."""
        right, all_ = self._state.right.get(name, [1.0, 2.0])
        others = np.where(np.arange(self._classes) == answer, 0.0, majority)
        others *= (1 - right / all_) / others.sum()
        others[answer] = right / all_
        return others

    def _learn(self, example: Labelled, previous: int | None) -> None:
        state = self._state
        self._model.learn(example.features, example.label, example.weight * self._rarity(example.label))
        state.low = [min(pair) for pair in zip(state.low, example.features, strict=True)]
        state.high = [max(pair) for pair in zip(state.high, example.features, strict=True)]
        state.shares[example.label] += example.weight
        for name, answer in ((NO_CHANGE, previous), (RULES, self._ruled(example))):
            if answer is not None:
                right, all_ = state.right.get(name, [1.0, 2.0])
                state.right[name] = [right + example.weight * (answer == example.label), all_ + example.weight]
        state.learned += 1
        state.labels_until = max(state.labels_until, example.labelled_at)

    def _rarity(self, label: int) -> float:
        """How much more a label counts because its class is rare: the square root of the mean class's share over its
        own. Calibration takes back what that does to the probabilities."""
        shares = self._state.shares
        return math.sqrt(sum(shares) / len(shares) / shares[label])

    def _calibrate(self) -> None:
        logs = np.array([one.logs for one in self.window])
        labels = np.array([one.label for one in self.window])
        weights = np.array([one.weight for one in self.window])
        self._state.calibration = calibration.fit(logs, labels, weights)

    def _drifted(self, example: Labelled, answer: tuple[float, ...]) -> list[str]:
        values = {ERROR: float(int(np.argmax(answer)) != example.label)}
        values |= {name: squashed(example.features[column]) for name, column in self._columns.items()}
        return [name for name, detector in self._detectors.items() if detector.update(values[name])]


def answering(window: Iterable[Answered]) -> list[str]:
    """Everybody who answered in a window, by name."""
    return sorted({name for answered in window for name in answered.answers})


def figures_of(window: Iterable[Answered], name: str) -> dict[str, float] | None:
    """How good somebody's answers were over those rows of a window for which it gave a distribution, and the learner's
    log-loss over the same rows; None if there is none, or no weight in them."""
    rows = [one for one in window if name in one.answers and np.isfinite(one.answers[name]).all()]
    weights = np.array([one.weight for one in rows])
    if not weights.sum():
        return None
    answers, ours = (np.array([one.answers[who] for one in rows]) for who in (name, LEARNER))
    labels = np.array([one.label for one in rows], np.int64)
    metrics = {"log_loss": log_loss, "accuracy": accuracy, "macro_f1": macro_f1, "ece": calibration_error}
    found = {metric: measure(answers, labels, weights) for metric, measure in metrics.items()}
    found["log_loss_learner"] = log_loss(ours, labels, weights)
    return {"rows": float(len(rows)), **{metric: round(value, 5) for metric, value in found.items()}}
