"""One model call over the rows of many customers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from membrane.features import FEATURE_NAMES
from membrane.tracker import Score
from models.scorer import RulesOnly
from stream.infer import Inferred, infer
from tests.fakes import LinearScorer

ROWS = [[float(n + column) for column in range(len(FEATURE_NAMES))] for n in range(4)]


class Spoilt(LinearScorer):
    """Gives no stage for the second row and no churn for the third."""

    def score(self, rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        stages, churn = super().score(rows)
        churn = churn.copy()
        stages[1], churn[2] = np.nan, np.nan
        return stages, churn


class Unasked(RulesOnly):
    """No model: it must not be asked."""

    def score(self, rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        raise AssertionError


class Beside:
    """A challenger of churn that gives nothing for the second row."""

    kind, revision = "churn", "2026-11-23.1+beside"

    def probabilities(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        found = np.full((len(rows), 2), 0.5)
        found[1:2] = np.nan
        return found


def test_each_row_has_its_score_with_the_drivers_of_its_likeliest_stage() -> None:
    scores = infer(LinearScorer(), ROWS).scores
    stages, churn = LinearScorer().score(np.array(ROWS, np.float32))
    for score, probabilities, risk in zip(scores, stages, churn, strict=True):
        assert score.probabilities == pytest.approx(tuple(probabilities))
        assert (score.churn, score.invalid) == (risk, False)
        assert score.drivers == ((FEATURE_NAMES[int(np.argmax(probabilities))], 0.5),)


def test_the_batch_does_not_show() -> None:
    assert [infer(LinearScorer(), [row]).scores[0] for row in ROWS] == infer(LinearScorer(), ROWS).scores


def test_a_row_without_numbers_is_by_rules_only_and_flagged_and_no_other() -> None:
    scores = infer(Spoilt(), ROWS).scores
    assert (scores[1].probabilities, scores[1].drivers, scores[1].invalid) == ((), (), True)
    assert scores[1].churn >= 0
    assert (scores[2].churn, scores[2].invalid, len(scores[2].probabilities)) == (-1.0, False, 6)
    assert [scores[0], scores[3]] == [infer(LinearScorer(), ROWS).scores[n] for n in (0, 3)]


def test_a_churn_model_alone_flags_nothing() -> None:
    scorer = Spoilt()
    scorer.stage_revision = None
    assert [score.invalid for score in infer(scorer, ROWS).scores] == [False] * 4


def test_without_a_model_or_without_rows_nobody_is_asked() -> None:
    assert infer(Unasked(), ROWS) == Inferred([Score()] * 4, {})
    assert infer(LinearScorer(), [], [Beside()]) == Inferred([], {})


@pytest.mark.parametrize("scorer", [LinearScorer(), Spoilt(), RulesOnly()], ids=["sound", "spoilt", "rules only"])
def test_a_challenger_changes_no_score(scorer) -> None:
    assert infer(scorer, ROWS, [Beside()]).scores == infer(scorer, ROWS).scores


def test_what_each_model_gave_is_known_by_its_revision() -> None:
    scorer = Spoilt()
    scorer.stage_revision, scorer.churn_revision = "stage", "churn"
    inferred = infer(scorer, ROWS, [Beside()])
    assert set(inferred.of_row(0)) == {"stage", "churn", Beside.revision}
    assert inferred.of_row(0)["stage"] == inferred.scores[0].probabilities
    assert inferred.of_row(0)["churn"] == pytest.approx((1 - inferred.scores[0].churn, inferred.scores[0].churn))
    assert set(inferred.of_row(1)) == {"churn"}
    assert set(inferred.of_row(2)) == {"stage", Beside.revision}
    assert infer(RulesOnly(), ROWS, [Beside()]).of_row(3) == {Beside.revision: (0.5, 0.5)}
