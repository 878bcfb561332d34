"""What a training is given: the examples and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.bundle import Provenance
from models.encoder import Encoder
from training.candidates import CANDIDATES, Candidate
from training.labels import Labels

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows with what became of them; every array has one entry a row.

    `rows` (n, features) are finite; `labels` are indices in `models.scorer.CLASSES[kind]`; `weights` 0..1, how far each
    label is to be believed. With `times` (epoch ms, the moment that a row speaks of) the split is by time, else by
    folds; rows of one group (a customer) are never on both sides of a fold. `slices` are columns by which the card
    looks for groups that the model serves badly. `delays_ms` is how long each label took to be known. `fingerprint` is
    that of the features: `membrane.features.fingerprint()`, or that of the `encoder` of a table."""

    rows: Floats
    names: tuple[str, ...]
    labels: Labels
    fingerprint: str
    weights: Floats | None = None
    times: Integers | None = None
    groups: Words | None = None
    slices: Mapping[str, Words] = field(default_factory=dict)
    delays_ms: Integers | None = None
    encoder: Encoder | None = None

    def at(self, index: Integers | npt.NDArray[np.bool_]) -> Examples:
        """Some of them."""
        return Examples(
            rows=self.rows[index],
            names=self.names,
            labels=self.labels[index],
            fingerprint=self.fingerprint,
            weights=None if self.weights is None else self.weights[index],
            times=None if self.times is None else self.times[index],
            groups=None if self.groups is None else self.groups[index],
            slices={name: values[index] for name, values in self.slices.items()},
            delays_ms=None if self.delays_ms is None else self.delays_ms[index],
            encoder=self.encoder,
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train, and what the bundle says of itself. The same examples and plan give the same bundle.

    `created` is RFC 3339. `horizon_ms`: how long after a row's time its label is known for certain; rows whose label
    was not known when the next part begins are left out of the one before. `test_from` (epoch ms): where the test part
    begins, if it is not to be about the latest fifth of the rows. `source_sha256` and `source` name the data
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
    test_from: int | None = None
    balanced: bool = False
    candidates: tuple[Candidate, ...] = CANDIDATES
    resamples: int = 200
    notes: tuple[str, ...] = ()
