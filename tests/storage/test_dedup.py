"""Duplicates (law 3): the first one wins, within the horizon in force."""

from __future__ import annotations

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.times import DAY
from storage.dedup import Horizon, SeenIds, horizon
from storage.schema import log_tables


def database() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(log_tables(1))
    return connection


KEYS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)


@given(st.lists(st.lists(KEYS, max_size=8), max_size=8))
def test_each_key_is_admitted_once_however_the_keys_are_split_into_batches(batches):
    connection, seen = database(), SeenIds()
    admitted = [ok for batch in batches for ok in seen.admit(connection, batch, DAY)]
    keys = [key for batch in batches for key in batch]
    assert admitted == [key not in keys[:place] for place, key in enumerate(keys)]
    assert horizon(connection).ids == len(set(keys))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=30))
def test_a_key_seen_in_the_last_seven_days_is_never_admitted_again(steps):
    connection, seen = database(), SeenIds()
    last: dict[int, int] = {}
    now = 0
    for hours, key in steps:
        now += hours * 3_600_000
        (admitted,) = seen.admit(connection, [key], now)
        if key in last and now - last[key] <= 7 * DAY:
            assert not admitted
        if admitted:
            last[key] = now


def test_what_is_older_than_the_horizon_is_forgotten():
    connection, seen = database(), SeenIds()
    assert seen.admit(connection, [1], 0) == [True]
    assert seen.admit(connection, [1], 7 * DAY) == [False]
    assert seen.admit(connection, [2], 7 * DAY) == [True]
    assert seen.admit(connection, [2, 3], 8 * DAY) == [False, True]
    assert seen.admit(connection, [1], 8 * DAY) == [True]
    assert horizon(connection) == Horizon(7 * DAY, 3)


@pytest.mark.parametrize("per_batch", [1, 3, 10])
def test_the_number_of_ids_is_bounded_and_the_newest_are_kept(per_batch):
    connection, seen = database(), SeenIds(max_ids=100)
    for start in range(0, 1_000, per_batch):
        keys = range(start, min(start + per_batch, 1_000))
        assert all(seen.admit(connection, list(keys), DAY))
        assert horizon(connection).ids <= 100 + per_batch
    assert not any(seen.admit(connection, list(range(920, 1_000)), DAY))
    assert seen.admit(connection, [0], DAY) == [True]


def test_a_clock_that_goes_back_does_not_forget():
    connection, seen = database(), SeenIds()
    assert seen.admit(connection, [1], 20 * DAY) == [True]
    assert seen.admit(connection, [2], 5 * DAY) == [True]
    assert seen.admit(connection, [1, 2], 20 * DAY) == [False, False]


def test_nothing_seen_has_no_horizon():
    connection = database()
    assert SeenIds().admit(connection, [], 0) == []
    assert horizon(connection) == Horizon(None, 0)
