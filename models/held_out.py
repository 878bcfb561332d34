"""Labelled examples that are fair to judge models by: none of them has learned from their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from membrane.labelled import Labelled
from membrane.times import parse_time
from models.bundle import Kind, Manifest
from models.figures import Floats, Sample

MOST_EXAMPLES: Final = 20_000
_NEVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The latest examples that are fair to use: their vectors (n, features), labels, and what each model gave for them
    when they were served. `left_out`: how many were not taken, by why."""

    rows: npt.NDArray[np.float32]
    sample: Sample
    served: list[dict[str, tuple[float, ...]]]
    left_out: Counter[str]

    def __len__(self) -> int:
        return len(self.rows)

    def differs_from_served(self, revision: str, probabilities: Floats) -> float:
        """The greatest difference between what a model gives now and what it gave when the rows were served; NaN where
        it never did."""
        pairs = [(was[revision], now) for was, now in zip(self.served, probabilities, strict=True) if revision in was]
        return max((float(np.abs(np.array(was) - now).max()) for was, now in pairs), default=float("nan"))


def fair_after(manifest: Manifest) -> int:
    """The moment (epoch ms) after which a label must have been found out for the model not to know it: that of the
    latest label it learned from, or without that when it was made. Invented customers taught nothing of real ones."""
    if manifest.provenance == "simulated":
        return -_NEVER
    if manifest.labels_until is not None:
        return manifest.labels_until
    try:
        return parse_time(manifest.created)
    except ValueError:
        return _NEVER


def hold_out(examples: Iterable[Labelled], kind: Kind, fingerprint: str, models: Sequence[Manifest]) -> HeldOut:
    """The latest 20,000 examples of a kind that all these models (of it, one or more) may be judged by."""
    after = max(map(fair_after, models))
    shape = len(models[0].features), len(models[0].classes)
    left_out: Counter[str] = Counter()

    def fair() -> Iterable[Labelled]:
        for one in examples:
            why = _why_not(one, fingerprint, shape, after)
            if one.target == kind and why is None:
                yield one
            elif one.target == kind:
                left_out[str(why)] += 1

    kept = nlargest(MOST_EXAMPLES, fair(), key=attrgetter("labelled_at", "partition", "number"))
    kept.reverse()
    customers: dict[tuple[str, str], int] = {}
    groups = [customers.setdefault((one.tenant, one.customer), len(customers)) for one in kept]
    return HeldOut(
        np.array([one.features for one in kept], np.float32).reshape(len(kept), len(models[0].features)),
        Sample(
            np.array([one.label for one in kept], np.int64),
            np.array([one.weight for one in kept], np.float64),
            np.array(groups, np.int64),
        ),
        [one.scores for one in kept],
        left_out,
    )


def _why_not(one: Labelled, fingerprint: str, shape: tuple[int, int], after: int) -> str | None:
    features, classes = shape
    if one.synthetic:
        return "synthetic"
    if one.fingerprint != fingerprint or len(one.features) != features:
        return "of other features"
    if not 0 <= one.label < classes or not one.weight > 0:
        return "without a label that counts"
    return "a model may have learned from it" if one.labelled_at <= after else None
