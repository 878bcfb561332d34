"""Which rows a model learns from, which choose and calibrate it, and which judge it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from membrane.errors import UsageError
from membrane.times import format_time
from training.labels import Labels

Indices = npt.NDArray[np.int64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.str_]

_TEST_SHARE, _CHOOSE_SHARE = 0.2, 0.25
INNER_FOLDS = 4


class Part(NamedTuple):
    """Rows to learn from, to choose and calibrate by (None: by folds of those learned from), and to judge by."""

    learn: Indices
    choose: Indices | None
    test: Indices


def by_time(times: Integers, horizon_ms: int, test_from: int | None = None) -> Part | None:
    """The rows from `test_from` on to judge, or the latest fifth; of the rest the latest quarter to choose; None if all
    are of one moment.

    A part begins at a moment, and the one before it ends where its labels were known by then: a row whose horizon
    reaches into the next part is in neither. With two moments, or where that would leave less than half of
    the rows to learn from, there is no part to choose by. UsageError where nothing is left to learn from."""
    moments = np.unique(times)
    if len(moments) == 1:
        return None
    test = _begin(times, moments[1:], _TEST_SHARE) if test_from is None else test_from
    before = _known_before(times, horizon_ms, test)
    if not before.any():
        told = f"{format_time(int(test))}, when the test part begins"
        raise UsageError(f"training: rows whose horizon ends by {told} are required to learn from, none is there")
    tested = np.flatnonzero(times >= test)
    early = times[before]
    if len(np.unique(early)) > 1:
        choose = _begin(early, np.unique(early)[1:], _CHOOSE_SHARE)
        learn = before & _known_before(times, horizon_ms, choose)
        if 2 * learn.sum() >= before.sum():
            return Part(np.flatnonzero(learn), np.flatnonzero(before & (times >= choose)), tested)
    return Part(np.flatnonzero(before), None, tested)


def folds(labels: Labels, groups: Words | None, count: int, seed: int) -> list[tuple[Indices, Indices]]:
    """(learn, judge) `count` times, with the shares of the classes kept; the rows of a group stay together."""
    if groups is None or len(np.unique(groups)) == len(groups):
        return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(labels, labels))
    return list(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(labels, labels, groups))


def inner_folds(labels: Labels, groups: Words | None, seed: int) -> list[tuple[Indices, Indices]]:
    """The folds by which a model is chosen and calibrated."""
    return folds(labels, groups, INNER_FOLDS, seed)


def _known_before(times: Integers, horizon_ms: int, begin: int) -> npt.NDArray[np.bool_]:
    """Whose moment is before a part, and whose label was known when it began."""
    return (times < begin) & (times + horizon_ms <= begin)


def _begin(times: Integers, moments: Integers, share: float) -> int:
    """The moment from which on about such a share of the rows is."""
    shares = 1 - np.searchsorted(np.sort(times), moments) / len(times)
    return int(moments[np.argmin(np.abs(shares - share))])
