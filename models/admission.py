"""The door: what a bundle must pass before a record of the log may name it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bundle import read_bundle
from models.gate import Latency
from models.onnx_model import OnnxModel
from models.scorer import load_bundle
from models.signing import ModelKeys

BATCH: Final = 256
_ROUNDS: Final = 30


def admit(
    directory: Path, keys: ModelKeys, fingerprint: str, *, digest: str | None = None, kind: str | None = None
) -> OnnxModel:
    """The bundle in `directory` as a model that may answer: digests, signature where keys are in force, runtime, golden
    rows, features and classes, in this order. InvalidBundle at the first that fails."""
    bundle = read_bundle(directory, digest)
    keys.check(bundle, directory)
    return load_bundle(bundle, kind or bundle.manifest.kind, fingerprint)


def measure_latency(
    model: OnnxModel, rows: npt.NDArray[np.float32], seconds: Callable[[], float] = time.perf_counter
) -> Latency:
    """What a row costs, repeated to a batch of 256 and alone: medians of thirty calls."""
    batch = np.resize(rows, (BATCH, rows.shape[1]))

    def micros(given: npt.NDArray[np.float32]) -> float:
        taken = []
        for _ in range(_ROUNDS):
            began = seconds()
            model.probabilities(given)
            taken.append((seconds() - began) * 1e6)
        return round(median(taken) / len(given), 3)

    return Latency(micros(batch), micros(batch[:1]))
