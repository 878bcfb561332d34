"""Examples to train on: of a file of signals, or of the labels that the stream has joined with what it served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from membrane.errors import UsageError
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.labelled import Labelled
from membrane.times import format_time
from models.bundle import Kind
from training.cutoffs import Question, Snapshots, churn_snapshots, stage_snapshots
from training.labels import CHURN_HORIZON_MS
from training.leaks import require_point_in_time
from training.plan import Examples
from training.progress import Progress, silent
from training.signal_file import SignalFile

_TEST_SHARE: Final = 0.2


class Gathered(NamedTuple):
    """Examples, and what a plan must know of them; `notes` say what was checked and what was left out."""

    examples: Examples
    horizon_ms: int
    test_from: int | None
    notes: tuple[str, ...]


def churn_from_signals(file: SignalFile, question: Question, progress: Progress = silent) -> Gathered:
    """A row a customer and cutoff. Of several cutoffs the last one judges, with one folds of the customers do.

    Raises what `churn_snapshots` and the leak check raise."""
    snapshots = churn_snapshots(file, question, progress)
    several = len(question.cutoffs) > 1
    test_from = question.cutoffs[-1] if several else None
    return _from_snapshots(file, snapshots, question.horizon_ms, test_from, several=several)


def stage_from_signals(file: SignalFile, cutoff: int, progress: Progress = silent) -> Gathered:
    """A row a label of a stage; those about moments from the cutoff on judge. A label about an earlier moment that was
    given after the cutoff is left out.

    Raises what `stage_snapshots` and the leak check raise."""
    found = stage_snapshots(file, progress)
    kept = (found.times >= cutoff) | (found.known_at <= cutoff)
    snapshots = found.where(kept)
    if not (snapshots.times < cutoff).any() or not (snapshots.times >= cutoff).any():
        raise UsageError(
            f"--cutoff {format_time(cutoff)}: labels given before it and about moments after it were required, those "
            f"of {file.path} are about {format_time(int(found.times.min()))} to {format_time(int(found.times.max()))}"
        )
    gathered = _from_snapshots(file, snapshots, 0, cutoff, several=True)
    late = int((~kept).sum())
    return gathered._replace(notes=(*gathered.notes, *([f"{late} labels given too late left out"] if late else [])))


def from_labelled(kind: Kind, labelled: Iterable[Labelled]) -> Gathered:
    """The vectors as they were served, with the labels that were found out later; the latest fifth judges, and what was
    not yet known when it begins is not learned from.

    UsageError where there are none for this kind and these features."""
    found = [one for one in labelled if one.target == kind and not one.synthetic]
    usable = [one for one in found if one.fingerprint == fingerprint()]
    if not usable:
        of_others = f"; {len(found)} are of other features" if found else ""
        raise UsageError(f"--data: labels of the target {kind} were required, there are none{of_others}")
    kept, test_from = _split(kind, usable)
    rows = [usable[index] for index in kept]
    notes = []
    if len(usable) < len(found):
        notes.append(f"{len(found) - len(usable)} labels of vectors of other features left out")
    if len(rows) < len(usable):
        notes.append(f"{len(usable) - len(rows)} labels found out after the test part begins left out")
    if test_from is None:
        notes.append("the labels span too short a time to judge by later ones: judged by folds of the customers")
    return Gathered(_examples(rows, timed=test_from is not None), 0, test_from, tuple(notes))


def _split(kind: Kind, labelled: Sequence[Labelled]) -> tuple[list[int], int | None]:
    """Those to use, and where the test part begins: None if no label of before it was known by then."""
    times = np.array([one.time for one in labelled], np.int64)
    known_at = np.array([one.labelled_at for one in labelled], np.int64)
    if kind == "churn":  # who left is known early, who stayed is not: both count as known when the horizon has passed
        known_at = np.maximum(known_at, times + CHURN_HORIZON_MS)
    test_from = int(np.quantile(times, 1 - _TEST_SHARE, method="higher"))
    known = (times < test_from) & (known_at <= test_from)
    if not known.any():
        return list(range(len(labelled))), None
    return list(map(int, np.flatnonzero(known | (times >= test_from)))), test_from


def _examples(labelled: Sequence[Labelled], *, timed: bool) -> Examples:
    return Examples(
        rows=np.array([one.features for one in labelled], np.float64),
        names=FEATURE_NAMES,
        labels=np.array([one.label for one in labelled], np.int64),
        fingerprint=fingerprint(),
        weights=np.array([one.weight for one in labelled], np.float64),
        times=np.array([one.time for one in labelled], np.int64) if timed else None,
        groups=np.array([f"{one.tenant}/{one.customer}" for one in labelled], np.str_),
        slices={"labelled by": np.array([one.by for one in labelled], np.str_)},
        delays_ms=np.array([one.labelled_at - one.time for one in labelled], np.int64),
    )


def _from_snapshots(
    file: SignalFile, snapshots: Snapshots, horizon_ms: int, test_from: int | None, *, several: bool
) -> Gathered:
    checked = require_point_in_time(file, snapshots)
    notes = [f"{checked} rows were made again of the signals before their moment alone, and are the same"]
    if file.duplicates:
        notes.append(f"{file.duplicates} signals came more than once; the first counts")
    if file.refusals.lines:
        notes.append(f"{file.refusals.lines} lines are no signals and were left out; {file.refusals.reasons[0]}")
    examples = Examples(
        rows=snapshots.rows.astype(np.float64),
        names=FEATURE_NAMES,
        labels=snapshots.labels,
        fingerprint=fingerprint(),
        times=snapshots.times if several else None,
        groups=snapshots.customers if several else None,
        delays_ms=snapshots.known_at - snapshots.times,
    )
    return Gathered(examples, horizon_ms, test_from, tuple(notes))
