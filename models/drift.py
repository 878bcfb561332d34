"""Drift: ADWIN (Bifet and Gavaldà 2007) of River over the errors and over a few features, with state as plain data."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from msgspec import Struct
from river.drift import ADWIN

DELTA_ERROR: Final = 0.002
DELTA_FEATURE: Final = 1e-6
_RIVER: Final = version("river")


class Watch(Struct):
    """What a detector knows: `window`, the buckets of all numbers since the last change as River's own `version` packs
    them (their number grows with the logarithm of that of the numbers), and how many changes it told. `rises`: only a
    mean that went up is told (an error that falls is no drift)."""

    delta: float
    rises: bool = False
    detections: int = 0
    version: str = ""
    window: bytes = b""


class Detector:
    """Finds changes of the mean of numbers in [-1, 1]. One made again from its watch finds the same; from one that
    another version of River packed it begins anew."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._adwin = self._new()
        if watch.window and watch.version == _RIVER:
            self._adwin._helper.__setstate__(watch.window)  # noqa: SLF001 - River has no other way to give it back

    def update(self, value: float) -> bool:
        """Whether the mean has changed, as far as this number shows."""
        before = self._adwin.estimation
        self._adwin.update(value)
        if not self._adwin.drift_detected:
            return False
        told = not self._watch.rises or self._adwin.estimation > before
        self._watch.detections += told
        self._adwin = self._new()
        return bool(told)

    def watch(self) -> Watch:
        """What it knows now."""
        self._watch.version = _RIVER
        self._watch.window = self._adwin._helper.__getstate__()  # noqa: SLF001 - as above
        return self._watch

    def _new(self) -> Any:
        return ADWIN(delta=self._watch.delta)  # type: ignore[no-untyped-call]


def squashed(value: float) -> float:
    """A feature as a number in [-1, 1], of four digits: ADWIN's bounds are those of numbers between fixed ends.

    >>> squashed(3.0), squashed(-1.0), squashed(0.0)
    (0.75, -0.5, 0.0)
    """
    return round(value / (1.0 + abs(value)), 4)
