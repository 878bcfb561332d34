from __future__ import annotations

import numpy as np

from membrane.features import FEATURE_NAMES
from membrane.times import parse_time
from training.replay import feature_rows
from training.simulator import simulate


def events():
    for step in simulate(20, days=10, seed=4, start_ms=parse_time("2026-01-01T00:00:00Z")):
        yield from step.signals


def test_rows_are_finite_and_as_wide_as_the_registry():
    rows, customers, times = feature_rows(events())
    assert rows.shape == (len(customers), len(FEATURE_NAMES))
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert len(times) == len(customers) > 0


def test_a_row_is_a_function_of_the_customers_own_events_so_far():
    rows, customers, times = feature_rows(events())
    alone, _, own = feature_rows(event for event in events() if event["subject"] == customers[-1])
    assert own[-1] == times[-1]
    assert alone[-1].tobytes() == rows[-1].tobytes()


def test_fewer_rows_are_a_selection_of_all_rows():
    def keys(every):
        return {(row.tobytes(), *key) for row, *key in zip(*feature_rows(events(), every=every), strict=True)}

    assert set() < keys(every=4) < keys(every=1)
