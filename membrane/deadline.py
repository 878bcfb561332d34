"""The deadline of one decision: asked between its steps, and once it has passed it stays so."""

from __future__ import annotations

from collections.abc import Callable


class OutOfTime(Exception):
    """The deadline has passed in the middle of a step. No error: what was found by then is the answer."""


class Deadline:
    """`expired` says whether the time is over; it is not asked again once it has said so."""

    def __init__(self, expired: Callable[[], bool] = lambda: False) -> None:
        self._expired = expired
        self.passed = False

    def check(self) -> None:
        """OutOfTime once the deadline has passed. To be called before whatever may take long."""
        if self.passed or self._expired():
            self.passed = True
            raise OutOfTime
