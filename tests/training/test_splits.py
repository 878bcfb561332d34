from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import UsageError
from training.splits import by_time, folds


@given(st.lists(st.integers(0, 300), min_size=2, max_size=80), st.integers(0, 40))
def test_no_row_is_learned_from_whose_label_was_not_known_when_the_next_part_began(times, horizon):
    times = np.array(times)
    try:
        part = by_time(times, horizon)
    except UsageError:
        return
    if part is None:
        assert len(set(times.tolist())) == 1
        return
    begin = times[part.test].min()
    earlier = part.learn if part.choose is None else np.concatenate((part.learn, part.choose))
    assert len(part.learn)
    assert (times[earlier] < begin).all()
    assert (times[earlier] + horizon <= begin).all()
    assert set(part.test.tolist()) == set(np.flatnonzero(times >= begin).tolist())
    if part.choose is not None:
        assert (times[part.learn] + horizon <= times[part.choose].min()).all()
        assert not set(part.learn.tolist()) & set(part.choose.tolist())


def test_the_latest_fifth_judges_and_the_quarter_before_it_chooses():
    part = by_time(np.arange(1000), 0)
    assert (len(part.learn), len(part.choose), len(part.test)) == (600, 200, 200)


def test_of_two_cutoffs_the_later_one_judges_and_folds_choose():
    part = by_time(np.repeat([0, 100], 50), 30)
    assert part.choose is None
    assert (part.learn.tolist(), part.test.tolist()) == (list(range(50)), list(range(50, 100)))


def test_horizons_that_reach_into_the_test_part_are_told():
    with pytest.raises(UsageError, match=r"whose horizon ends by 1970-01-01T00:00:00.100Z"):
        by_time(np.repeat([0, 100], 50), 101)


def test_the_rows_of_a_customer_are_never_on_both_sides():
    random = np.random.default_rng(1)
    labels, groups = random.integers(0, 2, 500), random.integers(0, 60, 500).astype(str)
    for learn, judge in folds(labels, groups, 5, 7):
        assert not set(groups[learn]) & set(groups[judge])
        assert len(learn) + len(judge) == 500
