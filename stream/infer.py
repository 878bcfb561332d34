"""Infer: one model call over the rows of many customers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from membrane.ports import Scorer
from membrane.tracker import Score
from models.scorer import unusable


class DrivenScorer(Scorer, Protocol):
    """A scorer that can say what spoke for a stage, and which of its models learned from invented customers only."""

    churn_is_advisory: bool
    stage_is_advisory: bool
    stage_revision: str | None
    churn_revision: str | None

    def stage_drivers(
        self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]
    ) -> list[list[tuple[str, float]]]:
        """For each row the features that speak most for its chosen stage."""


class Challenger(Protocol):
    """A model that scores beside the champion and answers nobody. It never raises."""

    kind: str
    revision: str

    def probabilities(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Rows (n, features) -> (n, classes); NaN in a row for which it gives none."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What the models gave for n rows: `scores` (n) by the champions, which judge; `given` by the revision of every
    champion and challenger (n, classes), NaN in a row for which it gave nothing."""

    scores: list[Score]
    given: dict[str, npt.NDArray[np.float64]]

    def of_row(self, row: int) -> dict[str, tuple[float, ...]]:
        """What each model gave for one row, by its revision; those that gave nothing are left out."""
        found = {revision: tuple(rows[row].tolist()) for revision, rows in self.given.items()}
        return {revision: one for revision, one in found.items() if not math.isnan(one[0])}


def infer(scorer: DrivenScorer, rows: Sequence[list[float]], challengers: Sequence[Challenger] = ()) -> Inferred:
    """The score of each row; `invalid` where a model that should answer gave no numbers. Challengers see the same rows,
    and change no score."""
    silent = scorer.stage_revision is None and scorer.churn_revision is None
    if not rows or (silent and not challengers):
        return Inferred([Score()] * len(rows), {})
    matrix = np.frombuffer(b"".join([array("f", row).tobytes() for row in rows]), np.float32).reshape(len(rows), -1)
    given = {one.revision: one.probabilities(matrix) for one in challengers}
    if silent:
        return Inferred([Score()] * len(rows), given)
    probabilities, churn = scorer.score(matrix)
    if scorer.stage_revision is not None:
        given[scorer.stage_revision] = probabilities
    if scorer.churn_revision is not None:
        given[scorer.churn_revision] = np.column_stack([1 - churn, churn])
    return Inferred(_scores(scorer, matrix, probabilities, churn), given)


def _scores(
    scorer: DrivenScorer,
    matrix: npt.NDArray[np.float32],
    probabilities: npt.NDArray[np.float64],
    churn: npt.NDArray[np.float64],
) -> list[Score]:
    bad_rows = unusable(probabilities)
    flags = bad_rows.tolist()
    chosen = np.where(bad_rows, 0, np.nan_to_num(probabilities).argmax(axis=1))
    drivers = scorer.stage_drivers(matrix, chosen)
    has_stage = scorer.stage_revision is not None
    return [
        Score(
            () if bad else tuple(row),
            -1.0 if risk != risk else risk,  # noqa: PLR0124 - NaN
            () if bad else tuple(named),
            bad and has_stage,
            scorer.stage_is_advisory,
        )
        for row, risk, bad, named in zip(probabilities.tolist(), churn.tolist(), flags, drivers, strict=True)
    ]
