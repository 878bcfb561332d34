"""Whether a row knows what it cannot know: a check that always runs before anything is learned from a file."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from membrane.errors import UsageError
from membrane.features import FEATURE_NAMES, features
from membrane.fold import fold
from membrane.record import State
from membrane.signals import CheckedSignal
from membrane.times import format_time
from training.cutoffs import Snapshots
from training.signal_file import SignalFile

SAMPLE: Final = 200


def require_point_in_time(file: SignalFile, snapshots: Snapshots, sample: int = SAMPLE) -> int:
    """Fold the signals of a sample of customers again, the file cut off at the moment of each of their rows: the same
    rows are required, bit for bit. How many were compared.

    UsageError names a feature that differs."""
    chosen = sorted(set(snapshots.customers.tolist()), key=_hash)[:sample]
    signals: defaultdict[str, list[CheckedSignal]] = defaultdict(list)
    for signal in file.signals(before=int(snapshots.times.max()), customers=frozenset(chosen)):
        signals[signal.stored.customer].append(signal)
    rows = np.flatnonzero(np.isin(snapshots.customers, chosen)).tolist()
    for row in rows:
        customer, t = str(snapshots.customers[row]), int(snapshots.times[row])
        known = np.array(array("f", _features_before(signals[customer], t)), np.float32)
        differing = np.flatnonzero(known != snapshots.rows[row])
        if len(differing):
            raise UsageError(
                f"{file.path}: leak: the row of {customer} at {format_time(t)} does not follow from the signals before "
                f"that moment ({', '.join(FEATURE_NAMES[column] for column in differing[:3].tolist())})"
            )
    return len(rows)


def _features_before(signals: Sequence[CheckedSignal], t: int) -> list[float]:
    state = State()
    for signal in signals:
        if signal.stored.time < t:
            fold(state, signal.stored, signal.typed, signal.stored.time)
    return features(state, t)


def _hash(customer: str) -> bytes:
    return blake2b(customer.encode(), digest_size=8).digest()
