"""What a trained bundle says of the labels that it knows: by it the gate tells which ones are fair."""

from __future__ import annotations

import numpy as np
import pytest

from training.fitting import Examples, labels_until
from training.splits import by_time

TIMES = np.arange(100, dtype=np.int64) * 10


def made(**changes):
    rows, labels = np.zeros((100, 1)), np.arange(100) % 2
    return Examples(rows=rows, names=("x",), labels=labels, fingerprint="f", **{"times": TIMES, **changes})


def test_labels_of_the_test_part_are_not_known():
    part = by_time(TIMES, 30)
    assert labels_until(made(), 30, part) <= TIMES[part.test].min()


@pytest.mark.parametrize("horizon", [0, 1, 30])
def test_no_row_is_in_two_parts(horizon):
    part = by_time(TIMES, horizon)
    parts = [set(rows.tolist()) for rows in (part.learn, part.choose, part.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_a_delay_counts_as_long_as_it_was():
    delays = np.full(100, 7)
    assert labels_until(made(delays_ms=delays), 0, by_time(TIMES, 0)) == TIMES[79] + 7


def test_of_one_moment_all_labels_are_known_and_without_times_nothing_is_said():
    moment = np.zeros(100, np.int64)
    assert labels_until(made(times=moment), 30, by_time(moment, 30)) == 30
    assert labels_until(made(times=None), 30, None) is None
