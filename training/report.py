"""What is told of a trained model: plain data, from which the card and `--json` are made."""

from __future__ import annotations

from msgspec import Struct

from models.bundle import Kind, Provenance
from training.measures import Figure


class Calibration(Struct, frozen=True):
    """Of the rows of one bin: what was said on the mean, how often it happened."""

    said: float
    happened: float
    rows: int


class Slice(Struct, frozen=True):
    """The rows of the test part with one value in a column; `share` of them had the chosen outcome or was right."""

    column: str
    value: str
    rows: int
    log_loss: float
    ece: float
    auc: float | None


class Tried(Struct, frozen=True):
    """A candidate: its log-loss on rows that it had not seen, calibrated by them."""

    name: str
    log_loss: float
    rounds: int


class Delay(Struct, frozen=True):
    """How long labels took to be known."""

    median_days: float
    p90_days: float


class Report(Struct, frozen=True, kw_only=True):
    """One training. `figures` are of the test part; `folds_auc` of each fold where the split is by folds; `drivers` are
    mean absolute contributions; `confusion` counts rows by label (down) and greatest probability (across)."""

    name: str
    kind: Kind
    revision: str
    created: str
    provenance: Provenance
    command: str
    source: str
    source_sha256: str
    rows: int
    features: int
    classes: tuple[str, ...]
    shares: tuple[float, ...]
    period: tuple[str, str] | None
    split: str
    learned: int
    chosen_by: int
    tested: int
    seed: int
    resamples: int
    model: str
    candidates: tuple[Tried, ...]
    figures: dict[str, Figure]
    folds_auc: tuple[float, ...]
    baselines: dict[str, float]
    single_feature: str | None
    calibration: tuple[Calibration, ...]
    confusion: tuple[tuple[int, ...], ...]
    roc: tuple[tuple[float, float], ...]
    drivers: tuple[tuple[str, float], ...]
    slices: tuple[Slice, ...]
    delay: Delay | None
    versions: dict[str, str]
    notes: tuple[str, ...]
