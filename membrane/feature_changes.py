"""When time alone changes a feature: as tiles leave its window, as a promise passes, or with every millisecond."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from membrane.due import first_after, usage_moments
from membrane.features import AGES, SUMMED
from membrane.record import State
from membrane.tiles import next_tile_end
from membrane.times import DAY, HOUR

AGE_STEP_MS: Final = HOUR
"""How often an age is looked at where it is not just compared with a literal."""

_PROMISES_FOR: Final = 30 * DAY
_TONE: Final = ("tone_count",)

_WINDOWS: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    **{feature.name: ((feature.window, (feature.measure,)),) for feature in SUMMED},
    "tone_mean_24h": (("24h", _TONE),),
    "tone_mean_7d": (("7d", _TONE),),
    "tone_mean_30d": (("30d", _TONE),),
    "tone_trend": (("7d", _TONE), ("30d", _TONE)),
    "toned_messages_30d": (("30d", _TONE),),
    "response_rate_30d": (("30d", ("out", "answers_positive")),),
    "order_value_30d": (("30d", ("order_value",)),),
}
"""feature -> the (window, measures) that feed it."""


def next_feature_change(state: State, t: int, name: str) -> int | None:
    """The earliest moment > t at which time alone may change a feature of the registry, None if never. An age grows
    with every millisecond until its cap: for one the next full hour, at which it is worth another look."""
    windows = _WINDOWS.get(name)
    if windows is not None:
        ends = [next_tile_end(state, t, window, measures) for window, measures in windows]
        return min((end for end in ends if end is not None), default=None)
    age = AGES.get(name)
    if age is not None:
        at = age.anchor(state)
        grows = at and t - at < age.cap * age.unit_ms
        return (t // AGE_STEP_MS + 1) * AGE_STEP_MS if grows else None
    moments = _MOMENTS.get(name)
    return first_after(moments(state), t) if moments is not None else None


def _promises(state: State) -> Iterable[int]:
    etas = [case.eta for case in state.cases if case.eta is not None]
    return [*(eta + 1 for eta in etas), *(eta + _PROMISES_FOR for eta in etas)]


def _open_promises(state: State) -> Iterable[int]:
    return [case.eta + 1 for case in state.cases if case.open and case.eta is not None]


_MOMENTS: Final[dict[str, Callable[[State], Iterable[int]]]] = {
    "promises_missed_30d": _promises,
    "etas_missed_open": _open_promises,
    "usage_ratio_7d_30d": usage_moments,
}
