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
    """At each label, tested before it is learned: log-loss and whether the likeliest stage was wrong. And the labels
    before and after the drift at which the learner's detector told that errors rise."""

    losses: Floats
    wrong: Floats
    early: list[int]
    fired: list[int]


def drift_rows(*, quick: bool) -> Iterator[Row]:
    """The learner that goes on, one that begins anew when errors have risen, and one that learns no more."""
    customers, days = (60, 60) if quick else (400, 150)
    moment = START + days // 2 * DAY + 15 * DAY
    part = simulated(customers, days, SEED, Drift(moment, _TONE, _FACTORS))
    order = np.flatnonzero(part.counted)[::_EVERY]
    order = order[np.argsort(part.times[order], kind="stable")]
    changed = int(np.searchsorted(part.times[order], moment))
    for name, options in (
        ("goes on learning", {}),
        ("begins anew when errors have risen", {"anew": True}),
        ("learns no more", {"stops": True}),
    ):
        yield _row(name, _course(part, order.tolist(), changed, **options), changed, part)


def _course(part: Part, order: list[int], changed: int, *, anew: bool = False, stops: bool = False) -> Course:
    model = OnlineModel("stage", untaught("stage", part.rows.shape[1]))
    detector = Detector(Watch(DELTA_ERROR, rises=True))
    course = Course(np.empty(len(order)), np.empty(len(order)), [], [])
    for number, index in enumerate(order):
        row, label = part.rows[index].tolist(), int(part.truth[index])
        logs = model.logs(row)
        wrong = float(max(logs) > logs[label])
        course.losses[number], course.wrong[number] = -logs[label], wrong
        if detector.update(wrong):
            (course.fired if number >= changed else course.early).append(number - changed)
            if anew and number >= changed:
                model = OnlineModel("stage", untaught("stage", part.rows.shape[1]))
        if not (stops and number >= changed):
            model.learn(row, label, 1.0)
    return course


def _row(name: str, course: Course, changed: int, part: Part) -> Row:
    before = float(course.losses[max(0, changed - _BEFORE) : changed].mean())
    after = course.losses[changed:]
    window = min(_WINDOW, max(1, len(after) // 4))
    means = np.convolve(after, np.ones(window) / window, mode="valid")
    back = np.flatnonzero(means <= TOLERATED * before)
    labels = int(back[0]) + window if len(back) else len(after)
    ends = "" if len(back) else "not back at the end; "
    return Row(
        f"drift, {name}: labels until the log-loss is within 10 %", "labels", float(labels),
        f"{len(part.logs):,} customers, {len(course.losses):,} labels, {changed:,} before the drift, seed {part.seed}",
        note=f"{ends}log-loss (errors) {_levels(course, changed, window)}; drift told by the learner's detector "
        f"{_first(course.fired)}, {len(course.early)} false alarms before it",
        details={"before": before, "early": course.early, "fired": course.fired},
    )  # fmt: skip


def _levels(course: Course, changed: int, window: int) -> str:
    half = (changed + len(course.losses)) // 2
    spans = {
        "before": slice(max(0, changed - _BEFORE), changed),
        f"at the first {window}": slice(changed, changed + window),
        "in the later half": slice(half, None),
    }
    return ", ".join(
        f"{name} {course.losses[span].mean():.3f} ({course.wrong[span].mean():.1%})" for name, span in spans.items()
    )


def _first(fired: list[int]) -> str:
    return f"at label {fired[0]:,}" if fired else "never"
