"""Event-time tiles: integer sums per measure in tiles of 5 minutes, 1 hour and 1 day.

A rolling window of width w over tiles of size s at time t covers the tiles that begin after t - w rounded down:
exact at tile resolution, whatever the order of arrival.
"""

from __future__ import annotations

from typing import Final

from membrane.record import State, Tiles
from membrane.times import DAY, HOUR, MINUTE
from membrane.vocabulary import CHANNELS, DOMAINS

LEVELS: Final = ((5 * MINUTE, 12), (HOUR, 24), (DAY, 30))
"""(tile size in ms, tiles kept): the windows 1 h, 24 h, and 7 d and 30 d are read from them."""

WINDOWS: Final[dict[str, tuple[int, int]]] = {"1h": (0, 12), "24h": (1, 24), "7d": (2, 7), "30d": (2, 30)}
"""window -> (level, tiles)"""

MEASURES: Final = (
    "in", "out", "tone_sum", "tone_count", "negative", "cases_opened", "cases_reopened", "cases_resolved",
    "cases_severe", "answers_positive", "answers_ignored", "opt_outs", "orders", "order_value", "orders_cancelled",
    "payment_failures", "unresolved", "transfers", "machine_handled", "surveys_sent", "surveys_low", "credits",
    *(f"in_{channel}" for channel in CHANNELS),
    *(f"out_{channel}" for channel in CHANNELS),
    *(f"out_{domain}" for domain in DOMAINS),
)  # fmt: skip
"""What is summed; a measure's index is stored in records: append, never reorder."""

MEASURE: Final = {name: index for index, name in enumerate(MEASURES)}
IN_CHANNEL: Final = MEASURE[f"in_{CHANNELS[0]}"]
OUT_CHANNEL: Final = MEASURE[f"out_{CHANNELS[0]}"]
OUT_DOMAIN: Final = MEASURE[f"out_{DOMAINS[0]}"]

_HOURLY: Final = frozenset({"in", "out", "tone_sum", "tone_count", "negative"})
_FINE: Final = frozenset({"in", "out"})
_IS_HOURLY: Final = tuple(name in _HOURLY for name in MEASURES)
_IS_FINE: Final = tuple(name in _FINE for name in MEASURES)


def add(state: State, t: int, clock: int, amounts: tuple[tuple[int, int], ...]) -> None:
    """Add (measure, amount) pairs that happened at t to the tiles that windows at `clock` or later can still see."""
    if t // DAY > clock // DAY - 30:
        _add(state.tiles_1d, t // DAY, clock // DAY - 30, amounts)
    if t // HOUR > clock // HOUR - 24:
        hourly = tuple(pair for pair in amounts if _IS_HOURLY[pair[0]])
        if hourly:
            _add(state.tiles_1h, t // HOUR, clock // HOUR - 24, hourly)
            if t // LEVELS[0][0] > clock // LEVELS[0][0] - 12:
                fine = tuple(pair for pair in hourly if _IS_FINE[pair[0]])
                _add(state.tiles_5m, t // LEVELS[0][0], clock // LEVELS[0][0] - 12, fine)


def _add(tiles: Tiles, index: int, expired: int, amounts: tuple[tuple[int, int], ...]) -> None:
    sums = tiles.get(index)
    if sums is None:
        for old in [tile for tile in tiles if tile <= expired]:
            del tiles[old]
        sums = tiles[index] = {}
    for measure, amount in amounts:
        sums[measure] = sums.get(measure, 0) + amount


def next_tile_end(state: State, t: int, window: str, measures: tuple[str, ...]) -> int | None:
    """The earliest moment > t at which a tile that holds one of the measures leaves the window."""
    level, count = WINDOWS[window]
    size = LEVELS[level][0]
    tiles = (state.tiles_5m, state.tiles_1h, state.tiles_1d)[level]
    last = t // size
    indexes = [MEASURE[measure] for measure in measures]
    leaving = [
        (tile + count) * size
        for tile, sums in tiles.items()
        if last - count < tile <= last and any(sums.get(index) for index in indexes)
    ]
    return min(leaving, default=None)
