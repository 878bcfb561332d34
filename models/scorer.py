"""The scorers behind `membrane.ports.Scorer`. NaN in an answer means: no estimate for this row, rules only."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from membrane.errors import InvalidBundle
from membrane.vocabulary import STAGES
from models.bundle import Bundle
from models.onnx_model import RUNTIME_ERRORS, Drivers, OnnxModel, load_model

CHURN_CLASSES: Final = ("stays", "closes")
CLASSES: Final = {"stage": tuple(str(stage) for stage in STAGES), "churn": CHURN_CLASSES}

Scores = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class RulesOnly:
    """The scorer that knows nothing: every answer is NaN, no driver, no revision."""

    stage_revision: str | None = None
    churn_revision: str | None = None
    churn_is_advisory = True
    stage_is_advisory = True

    def score(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Rows (n, features) -> NaN (n, 6) and NaN (n,)."""
        return np.full((len(rows), len(STAGES)), np.nan), np.full(len(rows), np.nan)

    def stage_drivers(self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]) -> list[Drivers]:
        """None for any row."""
        return [[] for _ in chosen[: len(rows)]]


class OnnxScorer:
    """Stage and churn by their bundles; a missing one answers NaN."""

    def __init__(self, *, fingerprint: str, stage: Bundle | None = None, churn: Bundle | None = None) -> None:
        """Load what there is; InvalidBundle if one of them may not answer."""
        self._stage = None if stage is None else load_bundle(stage, "stage", fingerprint)
        self._churn = None if churn is None else load_bundle(churn, "churn", fingerprint)
        self.stage_revision = None if stage is None else stage.revision
        self.churn_revision = None if churn is None else churn.revision
        self.churn_is_advisory = churn is None or churn.advisory
        self.stage_is_advisory = stage is None or stage.advisory

    def score(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Rows (n, features) -> stage probabilities (n, 6) in the order of STAGES and churn probabilities (n,).

        The same rows give the same bytes whatever batch they come in. A row without an estimate is all NaN."""
        stage, churn = RulesOnly().score(rows)
        if self._stage is not None:
            stage = self._stage.probabilities(rows)
        if self._churn is not None:
            churn = self._churn.probabilities(rows)[:, 1]
        return stage, churn

    def stage_drivers(self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]) -> list[Drivers]:
        """For each row (n, features) what speaks most for its stage (n,; index in STAGES)."""
        return RulesOnly().stage_drivers(rows, chosen) if self._stage is None else self._stage.drivers(rows, chosen)


class ChallengerModel:
    """One model that scores beside the champion. It answers nobody, and whatever it does comes out as NaN."""

    def __init__(self, bundle: Bundle, fingerprint: str) -> None:
        """Load it; InvalidBundle if it may not answer."""
        self.kind: str = bundle.manifest.kind
        self.revision = bundle.revision
        self._model = load_bundle(bundle, self.kind, fingerprint)

    def probabilities(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Rows (n, features) -> (n, classes); all NaN in a row for which the model gives no distribution."""
        try:
            return self._model.probabilities(rows)
        except RUNTIME_ERRORS:
            return np.full((len(rows), len(CLASSES[self.kind])), np.nan)


def load_bundle(bundle: Bundle, kind: str, fingerprint: str) -> OnnxModel:
    """A bundle of this kind as a model that may answer. Raises InvalidBundle."""
    if bundle.manifest.kind != kind:
        raise InvalidBundle(f"bundle {bundle.manifest.name}: kind {kind} required, got {bundle.manifest.kind}")
    return load_model(bundle, classes=CLASSES[kind], fingerprint=fingerprint)


def unusable(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(n,) True for the rows of an answer that hold no estimate."""
    missing = np.isnan(values)
    return missing if values.ndim == 1 else np.any(missing, axis=1)
