"""A plain reading of the tiles, one window and measure at a time."""

from __future__ import annotations

from membrane.record import State
from membrane.tiles import LEVELS, MEASURE, WINDOWS


def total(state: State, t: int, window: str, measure: str) -> int:
    """The sum of one measure over one window at t."""
    level, count = WINDOWS[window]
    tiles = (state.tiles_5m, state.tiles_1h, state.tiles_1d)[level]
    last = t // LEVELS[level][0]
    index = MEASURE[measure]
    return sum(sums.get(index, 0) for tile, sums in tiles.items() if last - count < tile <= last)
