"""Trees, learned again now and then from the labelled examples that are kept: a challenger beside the online learner.

It takes scikit-learn, a third of a gigabyte and half a minute of a processor, so `membrane learn` has it done by a
process that ends.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from membrane.labelled import Labelled
from membrane.times import format_time
from models.bundle import Kind
from training import card
from training.fitting import train
from training.learner import why_unusable
from training.merging import Merged, Place
from training.plan import Examples, Plan
from training.publishing import Columns

MOST_ROWS: Final = 10_000
"""The latest so many examples of a target are learned from."""
RESAMPLES: Final = 50
"""For the intervals of the card."""
_COMMAND: Final = "membrane learn"


class _Row(NamedTuple):
    features: bytes
    label: int
    weight: float
    found_at: int
    customer: str


def grow(kind: Kind, examples: Iterator[Labelled], columns: Columns, out: Path, *, parent: str | None) -> str:
    """Learn trees of one target from the examples in their order and write a bundle with its card into `out`; its
    digest. The split is by when labels were found out.

    Raises UsageError where the examples do not suffice, InvalidBundle where the export differs from its source."""
    rows = deque(_rows(kind, examples, columns), MOST_ROWS)
    until = max((row.found_at for row in rows), default=0)
    plan = Plan(
        name=f"trees-{kind}",
        revision=f"{format_time(until)[:10]}.{len(rows)}-trees",
        created=format_time(until),
        command=_COMMAND,
        parent=parent,
        candidates=("trees",),
        resamples=RESAMPLES,
    )
    trained = train(kind, _table(rows, columns), plan)
    manifest = msgspec.structs.replace(trained.bundle.manifest, labels_until=until)
    return card.write(replace(trained, bundle=msgspec.structs.replace(trained.bundle, manifest=manifest)), out)


def up_to(merged: Merged, places: Sequence[Place]) -> Iterator[Labelled]:
    """What `merged` gives out up to some places."""
    merged.look()
    while (example := merged.next()) is not None:
        if example.number <= places[example.partition].number:
            yield example


def _rows(kind: Kind, examples: Iterator[Labelled], columns: Columns) -> Iterator[_Row]:
    for one in examples:
        if one.target == kind and why_unusable(one, columns) is None:
            features = array("f", one.features).tobytes()
            yield _Row(features, one.label, one.weight, one.labelled_at, f"{one.tenant}/{one.customer}")


def _table(rows: Sequence[_Row] | deque[_Row], columns: Columns) -> Examples:
    features = np.frombuffer(b"".join(row.features for row in rows), np.float32)
    return Examples(
        rows=features.reshape(len(rows), len(columns.names)).astype(np.float64),
        names=columns.names,
        labels=np.array([row.label for row in rows], np.int64),
        fingerprint=columns.fingerprint,
        weights=np.array([row.weight for row in rows]),
        times=np.array([row.found_at for row in rows], np.int64),
        groups=np.array([row.customer for row in rows]),
    )
