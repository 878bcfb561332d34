"""Infer: one model call over the rows of many customers."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from membrane.ports import Scorer
from membrane.tracker import Score
from models.scorer import unusable


class DrivenScorer(Scorer, Protocol):
    """A scorer that can say what spoke for a stage, and whether its churn risk is only advisory."""

    churn_is_advisory: bool
    stage_revision: str | None
    churn_revision: str | None

    def stage_drivers(
        self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]
    ) -> list[list[tuple[str, float]]]:
        """For each row the features that speak most for its chosen stage."""


def infer(scorer: DrivenScorer, rows: Sequence[list[float]]) -> list[Score]:
    """The score of each row; `invalid` where a model that should answer gave no numbers."""
    if not rows or (scorer.stage_revision is None and scorer.churn_revision is None):
        return [Score()] * len(rows)
    matrix = np.frombuffer(b"".join([array("f", row).tobytes() for row in rows]), np.float32).reshape(len(rows), -1)
    probabilities, churn = scorer.score(matrix)
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
        )
        for row, risk, bad, named in zip(probabilities.tolist(), churn.tolist(), flags, drivers, strict=True)
    ]
