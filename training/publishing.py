"""What a learner knows as a bundle: exported, compared with its source and installed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from membrane.times import format_time
from models.bundle import Bundle, Golden, Manifest, write_bundle
from models.onnx_model import OnnxModel
from models.registry import Registry
from models.scorer import CLASSES
from models.signing import sign
from training.equal import require_equal
from training.prequential import BASELINES, LEARNER, Answered, TargetLearner, figures_of

GOLDEN_ROWS: Final = 24
DRAFTS: Final = ".learned-"
"""What a bundle's folder is called while it is made."""
_OF_BASELINES: Final = ("log_loss", "accuracy", "macro_f1")


@dataclass(frozen=True, slots=True)
class Columns:
    """The features that a learner learns from, in their order."""

    names: tuple[str, ...]
    fingerprint: str


class Published(msgspec.Struct, frozen=True):
    """A bundle of the learner's that was installed: after how many labels, and its identity."""

    learned: int
    digest: str
    revision: str


def draft(learner: TargetLearner, columns: Columns, parent: str | None) -> Bundle:
    """What the learner knows now as a bundle: the same knowledge gives the same bytes.

    Raises InvalidBundle unless the export gives what River gives on every vector of the window, within 1e-5."""
    affine = learner.affine()
    made = Bundle("", _manifest(learner, columns, parent), Golden((), ()), affine.to_onnx())
    made = msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, linear=affine.weights()))
    rows = np.array([answered.row() for answered in learner.window])
    exported = OnnxModel(made).probabilities(rows)
    require_equal(exported, learner.probabilities(rows))
    spread = np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(np.int64))
    golden = Golden(tuple(map(tuple, rows[spread].tolist())), tuple(map(tuple, exported[spread].tolist())))
    return msgspec.structs.replace(made, golden=golden)


def install(models: Path, made: Bundle, key: Path | None = None) -> Bundle:
    """Put a drafted bundle into the registry `models`, signed with the private `key` if there is one; the bundle with
    its digest. A second time is no work."""
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=DRAFTS, dir=models) as folder:
        write_bundle(Path(folder), made.manifest, made.golden, made.model)
        return install_folder(models, Path(folder), key)


def install_folder(models: Path, folder: Path, key: Path | None) -> Bundle:
    """The same for a bundle in a folder."""
    if key is not None:
        sign(folder, key)
    registry = Registry(models)
    return registry.load(registry.install(folder))


def metrics_of(window: Sequence[Answered]) -> dict[str, float]:
    """The prequential figures of a manifest, over the window: the learner's, and the baselines' beside them."""
    found: dict[str, float] = {}
    for name in (LEARNER, *BASELINES):
        figures = figures_of(window, name) or {}
        suffix = "" if name == LEARNER else f"_{name}"
        wanted = ("rows", "log_loss", "accuracy", "macro_f1", "ece") if name == LEARNER else _OF_BASELINES
        found |= {f"{metric}{suffix}": figures[metric] for metric in wanted if metric in figures}
    return found


def _manifest(learner: TargetLearner, columns: Columns, parent: str | None) -> Manifest:
    created = format_time(learner.labels_until)
    return Manifest(
        name=f"online-{learner.kind}",
        kind=learner.kind,
        revision=f"{created[:10]}.{learner.learned}",
        created=created,
        fingerprint=columns.fingerprint,
        features=columns.names,
        classes=CLASSES[learner.kind],
        metrics={**metrics_of(list(learner.window)), "learned": float(learner.learned)},
        provenance="tenant",
        parent=parent,
        labels_until=learner.labels_until,
    )
