"""Drift: ADWIN (Bifet and Gavaldà 2007) of River over the errors and over a few features, with state as plain data."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from river.drift import ADWIN

MOST_VALUES: Final = 1_024
DELTA_ERROR: Final = 0.002
DELTA_FEATURE: Final = 0.0005


class Watch(Struct):
    """What a detector was given since the last change, at most `MOST_VALUES`, and how many changes it told. `rises`:
    only a mean that went up is told (an error that falls is no drift)."""

    delta: float
    rises: bool = False
    values: list[float] = []
    detections: int = 0


class Detector:
    """Finds changes of the mean of numbers in [-1, 1].

    River keeps ADWIN's window where it cannot be saved, so the numbers are kept and given to a new ADWIN again. When
    there are too many, the older half is forgotten and ADWIN begins with the rest: a clean run does the same at the
    same number, so a restart changes nothing."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._adwin = self._fed()

    def update(self, value: float) -> bool:
        """Whether the mean has changed, as far as this number shows."""
        values, before = self.watch.values, self._adwin.estimation
        values.append(value)
        if len(values) > MOST_VALUES:
            del values[: MOST_VALUES // 2]
            self._adwin = self._fed()
        else:
            self._adwin.update(value)
        if not self._adwin.drift_detected:
            return False
        told = not self.watch.rises or self._adwin.estimation > before
        self.watch.detections += told
        values.clear()
        self._adwin = self._fed()
        return told

    def _fed(self) -> Any:
        """A new ADWIN that was given the values that are kept. It looked at each of them before and found nothing."""
        adwin: Any = ADWIN(delta=self.watch.delta)  # type: ignore[no-untyped-call]
        for value in self.watch.values:
            adwin.update(value)
        return adwin


def squashed(value: float) -> float:
    """A feature as a number in [-1, 1], of four digits: ADWIN's bounds are those of numbers between fixed ends.

    >>> squashed(3.0), squashed(-1.0), squashed(0.0)
    (0.75, -0.5, 0.0)
    """
    return round(value / (1.0 + abs(value)), 4)
