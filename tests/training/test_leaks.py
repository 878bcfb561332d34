from __future__ import annotations

import numpy as np
import pytest

from membrane.errors import UsageError
from membrane.features import FEATURE_NAMES, features
from membrane.fold import fold
from membrane.record import State
from membrane.times import DAY
from tests.training.signals import event, signals_file
from training.cutoffs import Question, churn_snapshots, stage_snapshots
from training.leaks import require_point_in_time
from training.signal_file import SignalFile

T = 10_000 * DAY
CUTOFF = T + 40 * DAY


@pytest.fixture
def file(tmp_path):
    orders = [event(f"c-{n}", "order.placed", T + n * DAY) for n in range(20)]
    later = [event(f"c-{n}", "order.placed", CUTOFF + n * DAY) for n in range(0, 35, 5)]
    label = event("c-0", "label.given", CUTOFF, {"target": "stage", "value": "steady", "by": "ana"})
    return SignalFile(signals_file(tmp_path / "signals", [*orders, *later, label]))


def test_honest_rows_are_found_to_be_so(file):
    snapshots = churn_snapshots(file, Question((CUTOFF - 31 * DAY, CUTOFF), 30 * DAY))
    assert require_point_in_time(file, snapshots) == len(snapshots.labels) > 20
    assert require_point_in_time(file, snapshots, sample=3) in range(3, 7)
    assert require_point_in_time(file, stage_snapshots(file)) == 1


def test_a_signal_from_after_the_cutoff_in_a_row_is_found(file):
    snapshots = churn_snapshots(file, Question((CUTOFF,), 30 * DAY))
    leaking = State()
    for signal in file.signals(customers={"c-5"}):
        fold(leaking, signal.stored, signal.typed, signal.stored.time)
    rows = snapshots.rows.copy()
    rows[snapshots.customers == "c-5"] = np.array(features(leaking, CUTOFF), np.float32)
    with pytest.raises(UsageError, match=r"leak: the row of c-5 at .* \(.*order"):
        require_point_in_time(file, snapshots._replace(rows=rows))


@pytest.mark.parametrize("name", ["order_recency", "tenure", "nps_last"])
def test_a_value_of_another_moment_in_a_row_is_found(file, name):
    snapshots = churn_snapshots(file, Question((CUTOFF,), 30 * DAY))
    rows = snapshots.rows.copy()
    rows[3, FEATURE_NAMES.index(name)] += 1
    with pytest.raises(UsageError, match=rf"leak: .* \({name}\)"):
        require_point_in_time(file, snapshots._replace(rows=rows))
