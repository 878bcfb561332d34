"""Windows from tiles: half-open, exact at tile resolution, and forgetful of what no window can see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.record import State
from membrane.tiles import LEVELS, MEASURE, MEASURES, WINDOWS, add, next_tile_end
from membrane.times import DAY, HOUR, MINUTE
from tests.membrane.windows import total
from tests.strategies import START

IN, TONES, CREDITS = MEASURE["in"], MEASURE["tone_count"], MEASURE["credits"]
moments = st.lists(st.integers(START, START + 40 * DAY), min_size=1, max_size=30)


def counted(times: list[int], *measures: int) -> State:
    """One of each measure at each time, in that order of arrival."""
    state, clock = State(), 0
    for t in times:
        clock = max(clock, t)
        add(state, t, clock, tuple((measure, 1) for measure in measures))
    return state


@given(moments, st.integers(0, 40 * DAY), st.sampled_from(sorted(WINDOWS)))
def test_a_window_is_the_tiles_that_begin_after_its_start_rounded_down(
    times: list[int], wait: int, window: str
) -> None:
    t = max(times) + wait
    level, count = WINDOWS[window]
    size = LEVELS[level][0]
    first = (t - count * size) // size * size
    assert total(counted(times, IN), t, window, "in") == sum(first < time // size * size <= t for time in times)


@given(moments, st.sampled_from(sorted(WINDOWS)))
def test_a_sum_changes_first_when_its_oldest_tile_leaves(times: list[int], window: str) -> None:
    state, t = counted(times, IN), max(times)
    before = total(state, t, window, "in")
    leaves = next_tile_end(state, t, window, ("in",))
    if leaves is None:
        assert before == 0
    else:
        assert total(state, leaves - 1, window, "in") == before > total(state, leaves, window, "in")


def test_no_tile_leaves_where_none_holds_the_measure() -> None:
    assert next_tile_end(counted([START], IN), START, "7d", ("credits", "orders")) is None


@given(moments)
def test_tiles_that_no_window_sees_any_more_are_dropped(times: list[int]) -> None:
    state, clock = counted(times, IN), max(times)
    add(state, clock + DAY, clock + DAY, ((IN, 1),))
    for tiles, (size, kept) in zip((state.tiles_5m, state.tiles_1h, state.tiles_1d), LEVELS, strict=True):
        assert all(tile > (clock + DAY) // size - kept for tile in tiles)
        assert len(tiles) <= kept


@pytest.mark.parametrize(
    ("age", "levels"),
    [(0, 3), (55 * MINUTE, 3), (65 * MINUTE, 2), (23 * HOUR, 2), (25 * HOUR, 1), (29 * DAY, 1), (31 * DAY, 0)],
)
def test_a_late_amount_goes_only_where_a_window_still_sees_it(age: int, levels: int) -> None:
    state, clock = State(), START // DAY * DAY + DAY - 1
    add(state, clock - age, clock, ((IN, 1),))
    assert [bool(tiles) for tiles in (state.tiles_1d, state.tiles_1h, state.tiles_5m)].count(True) == levels


def test_only_what_the_short_windows_show_is_kept_in_small_tiles() -> None:
    state = counted([START], IN, TONES, CREDITS)
    assert [sorted(*tiles.values()) for tiles in (state.tiles_5m, state.tiles_1h, state.tiles_1d)] == [
        [IN],
        [IN, TONES],
        sorted([IN, TONES, CREDITS]),
    ]
    assert not counted([START], CREDITS).tiles_1h


def test_the_stored_measures_stay_in_their_order() -> None:
    """Records hold indexes: a change here needs another record format."""
    assert MEASURES[:5] == ("in", "out", "tone_sum", "tone_count", "negative")
    assert MEASURES[22] == "in_email"
    assert len(MEASURES) == 22 + 13 + 13 + 7
