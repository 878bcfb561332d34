"""Simulated events through the very fold that serves: feature rows for training, without skew."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable

import msgspec
import numpy as np

from membrane.features import FEATURE_NAMES, features
from membrane.fold import Folded, fold
from membrane.record import State
from membrane.signals import check
from training.linear import Rows
from training.world import Event


def feature_rows(events: Iterable[Event], every: int = 3) -> tuple[Rows, list[str], list[int]]:
    """Fold events in time order; a row after every `every`-th signal of each customer that is news to the state.

    Returns rows (n, features) in the registry's order, their customers and event times (epoch ms). Raises
    InvalidSignal for an event that breaks the contract."""
    encode = msgspec.json.Encoder().encode
    states: defaultdict[str, State] = defaultdict(State)
    rows, customers, times = array("f"), [], []
    for event in events:
        signal = check(encode(event), "default")
        stored = signal.stored
        state = states[stored.customer]
        news = fold(state, stored, signal.typed, stored.time) is Folded.NEWS
        if news and state.signals % every == 0:
            rows.extend(features(state, stored.time))
            customers.append(stored.customer)
            times.append(stored.time)
    return np.frombuffer(rows, np.float32).reshape(-1, len(FEATURE_NAMES)), customers, times
