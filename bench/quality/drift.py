"""A drift planted in the middle of a stream: how many labels until the online learner is back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from bench.quality.simulated import START, Floats, Part, simulated
from bench.rows import Row
from membrane.times import DAY
from models.drift import DELTA_ERROR, Detector, Watch
from models.online import OnlineModel, untaught
from training.rates import Drift

SEED: Final = 104
TOLERATED: Final = 1.1
_BEFORE: Final = 2_000  # labels whose mean log-loss is the one to come back to
_WINDOW: Final = 500  # labels of which a mean is taken
_EVERY: Final = 2
_TONE: Final = 0.5
_FACTORS: Final = (("case", 4.0), ("message", 3.0))


class Course(NamedTuple):
    """Log-loss at each label, tested before it is learned, and the labels after the drift at which the detector on the
    errors fired."""

    losses: Floats
    fired: list[int]


def drift_rows(*, quick: bool) -> Iterator[Row]:
    """The learner that goes on, the one that begins anew when its detector fires, and the one that learns no more."""
    customers, days = (60, 60) if quick else (400, 150)
    moment = START + days // 2 * DAY + 15 * DAY
    part = simulated(customers, days, SEED, Drift(moment, _TONE, _FACTORS))
    order = np.flatnonzero(part.counted)[::_EVERY]
    order = order[np.argsort(part.times[order], kind="stable")]
    changed = int(np.searchsorted(part.times[order], moment))
    for name, options in (
        ("goes on learning", {}),
        ("begins anew when its detector fires", {"anew": True}),
        ("learns no more", {"stops": True}),
    ):
        yield _row(name, _course(part, order.tolist(), changed, **options), changed, len(order), part)


def _course(part: Part, order: list[int], changed: int, *, anew: bool = False, stops: bool = False) -> Course:
    model = OnlineModel("stage", untaught("stage", part.rows.shape[1]))
    detector = Detector(Watch(DELTA_ERROR))
    losses, fired = np.empty(len(order)), []
    for number, index in enumerate(order):
        row, label = part.rows[index].tolist(), int(part.truth[index])
        logs = model.logs(row)
        losses[number] = -logs[label]
        if detector.update(float(max(logs) > logs[label])) and number >= changed:
            fired.append(number - changed)
            if anew:
                model = OnlineModel("stage", untaught("stage", part.rows.shape[1]))
        if not (stops and number >= changed):
            model.learn(row, label, 1.0)
    return Course(losses, fired)


def _row(name: str, course: Course, changed: int, total: int, part: Part) -> Row:
    before = float(course.losses[max(0, changed - _BEFORE) : changed].mean())
    after = course.losses[changed:]
    window = min(_WINDOW, max(1, len(after) // 4))
    means = np.convolve(after, np.ones(window) / window, mode="valid")
    back = np.flatnonzero(means <= TOLERATED * before)
    first, last = float(means[0]), float(after[len(after) // 2 :].mean())
    labels = int(back[0]) + window if len(back) else len(after)
    found = f"back after {labels:,} labels" if len(back) else f"not back within {labels:,} labels"
    fired = f"detector fired at label {course.fired[0]:,}" if course.fired else "the detector never fired"
    levels = f"log-loss before {before:.3f}, first {window} labels {first:.3f}, later half {last:.3f}"
    return Row(
        f"drift, {name}: labels until the log-loss is within 10 %", "labels",
        float(labels),
        f"{len(part.logs):,} customers, {total:,} labels, {changed:,} before the drift, seed {part.seed}",
        control=round(before, 4),
        note=f"{found}; {levels}; {fired}",
        details={"fired": course.fired},
    )  # fmt: skip
