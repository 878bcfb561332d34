"""Words about slow decisions: the decision's id and where its time went, and nothing about the customer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Final

SLOW_SECONDS: Final = 0.025
EVERY_SECONDS: Final = 1.0
_logger: Final = logging.getLogger("membrane.decisions")


class Steps:
    """When each step of a decision ended, in their order; the first, `read`, ends where this begins."""

    __slots__ = ("_clock", "ends", "started")

    def __init__(self, started: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.started = started
        self.ends = [("read", clock())]

    def end(self, step: str) -> None:
        """A step has ended."""
        self.ends.append((step, self._clock()))


class SlowDecisions:
    """Tells of a decision that took longer than 25 ms, at most once a second, and of how many it said nothing."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._told_at = float("-inf")
        self._untold = 0

    def steps(self, started: float) -> Steps:
        """The steps of a decision that `started` then."""
        return Steps(started, self._clock)

    def tell(self, decision: str, steps: Steps) -> None:
        """The last step, `log`, has ended."""
        steps.end("log")
        now = steps.ends[-1][1]
        _logger.debug("decision %s", decision, extra={"told": {"decision": decision}})
        if now - steps.started <= SLOW_SECONDS:
            return
        if now - self._told_at < EVERY_SECONDS:
            self._untold += 1
            return
        began = [steps.started, *(end for _, end in steps.ends)]
        took = {step: round((end - since) * 1000, 1) for (step, end), since in zip(steps.ends, began, strict=False)}
        words = ", ".join(f"{step} {ms} ms" for step, ms in took.items())
        more = f" (and {self._untold} more since the last word)" if self._untold else ""
        told = {"decision": decision, "steps_ms": took, "untold": self._untold}
        _logger.warning("slow decision %s: %s%s", decision, words, more, extra={"told": told})
        self._told_at, self._untold = now, 0
