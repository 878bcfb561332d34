"""What challengers cost the stream: the same log with none, one and two beside the champion, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from bench import workloads
from bench.decisions import Size, copied
from bench.rows import Row, at_least
from bench.service import ROOT
from bench.streaming import Drained, drain
from membrane.vocabulary import STAGES
from models.bundle import Bundle, Golden, read_bundle, write_bundle
from models.onnx_model import OnnxModel
from training.calibration import Head
from training.export import export

SEED: Final = ROOT / "models" / "seed" / "stage"
ROUNDS_OF_TREES: Final = 100
LEAVES: Final = 8


def beside(size: Size) -> Iterator[Row]:
    """The must of the whole way holds with a challenger, too."""
    made = workloads.place_of("challengers")
    bundles = [_line(made / "line"), _trees(made / "trees")]
    name, signals = f"uniform-{size.customers}x{size.days}", workloads.signals(size.customers, size.days)
    logs = [workloads.log(name, signals, bundles[:count]) for count in range(3)]
    found: list[list[Drained]] = [[], [], []]
    for _ in range(size.rounds):
        for count, log in enumerate(logs):
            with copied(log) as data:
                found[count].append(drain(data))
    n = f"{found[0][0].signals:,} signals, {size.rounds} rounds in turns"
    alone = median(one.cpu_micros for one in found[0])
    for count, what in enumerate(("no challenger", "one challenger (a line)", "two (a line and 600 trees)")):
        cpu = median(one.cpu_micros for one in found[count])
        yield Row(
            f"stream, one process, {name}, {what}", "signals/s", median(one.per_second for one in found[count]), n,
            at_least(12_000) if count < 2 else None, at_least(30_000),
            note=f"{cpu:.0f} µs CPU a signal, {cpu - alone:+.1f} µs against none",
            details={"rounds": [vars(one) for one in found[count]]},
        )  # fmt: skip


def _line(folder: Path) -> Path:
    """The seed's stage model under another name."""
    seed = read_bundle(SEED)
    manifest = msgspec.structs.replace(seed.manifest, name="bench-line")
    write_bundle(folder, manifest, seed.golden, seed.model)
    return folder


def _trees(folder: Path) -> Path:
    """A hundred rounds of small trees for six stages, learned from noise: what it says is worthless, not what it
    costs."""
    if folder.exists():
        return folder
    seed = read_bundle(SEED).manifest
    random = np.random.default_rng(workloads.SEED)
    rows, labels = random.normal(0, 1, (4_000, len(seed.features))), random.integers(0, len(STAGES), 4_000)
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS_OF_TREES, max_leaf_nodes=LEAVES, early_stopping=False, random_state=0
    ).fit(rows, labels)
    exported = export(trees, Head(np.eye(len(STAGES)), np.zeros(len(STAGES))), len(seed.features))
    manifest = msgspec.structs.replace(seed, name="bench-trees", linear=None)
    draft = Bundle("", manifest, Golden((), ()), exported.model, exported.trees)
    inputs = rows[:8].astype(np.float32)
    outputs = OnnxModel(draft).probabilities(inputs)
    golden = Golden(tuple(map(tuple, inputs.tolist())), tuple(map(tuple, outputs.tolist())))
    write_bundle(folder, manifest, golden, exported.model, trees=exported.trees)
    return folder
