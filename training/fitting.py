"""The batch trainer: labelled rows in, a bundle with its figures out.

`train` splits the examples, lets a few candidates compete on rows that they have not seen, calibrates the best, exports
it to ONNX, compares the export with its source and measures it on the test part. `training.card.write` writes what
comes out as a bundle with its model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from models.bundle import Golden, Kind, Manifest, Provenance
from training.labels import Labels
from training.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.str_]

UNKNOWN: Final = -1


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows with what became of them; every array has one entry a row.

    `rows` (n, features) are finite; `labels` are indices in `models.scorer.CLASSES[kind]`; `weights` 0..1, how far each
    label is to be believed. With `times` (epoch ms, the moment that a row speaks of) the split is by time, else by
    folds; rows of one group (a customer) are never on both sides of a fold. `slices` are columns by which the card
    looks for groups that the model serves badly. `delays_ms` is how long each label took to be known. `fingerprint` is
    that of the features: `membrane.features.fingerprint()`, or a table's own.
    """

    rows: Floats
    names: tuple[str, ...]
    labels: Labels
    fingerprint: str
    weights: Floats | None = None
    times: Integers | None = None
    groups: Words | None = None
    slices: Mapping[str, Words] = field(default_factory=dict)
    delays_ms: Integers | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train, and what the bundle says of itself. The same examples and plan give the same bundle.

    `created` is RFC 3339. `horizon_ms`: how long after a row's time its label is known for certain; rows whose label
    was not known when the next part begins are left out of the one before. `source_sha256` and `source` name the data
    that the examples were made of; `notes` are told in the card."""

    name: str
    revision: str
    created: str
    provenance: Provenance = "tenant"
    source: str = ""
    source_sha256: str = ""
    command: str = ""
    parent: str | None = None
    folds: int = 5
    seed: int = 7
    horizon_ms: int = 0
    balanced: bool = False
    candidates: tuple[Literal["linear", "additive", "pairs", "trees"], ...] = ("linear", "additive", "pairs", "trees")
    resamples: int = 200
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A bundle that is not written yet. `report` (plain data: figures with intervals on the test part, baselines,
    slices, plots' points, drivers) is what the card and `--json` show; `training.card.write(trained, out)` writes both."""

    manifest: Manifest
    golden: Golden
    model: bytes
    report: Mapping[str, object]


def train(kind: Kind, examples: Examples, plan: Plan, progress: Progress = silent) -> Trained:
    """Learn `kind` from the examples. Progress in steps of fitting.

    Raises UsageError where the examples do not suffice (too few rows, one class only), InvalidBundle where the export
    differs from its source by more than 1e-5."""
    raise NotImplementedError
