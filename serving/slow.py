"""Words about slow decisions: the decision's id and where its time went, and nothing about the customer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from storage.otel import Span

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

    def spans(self) -> Iterator[tuple[str, float, float]]:
        """Each step with when it began and ended."""
        began = self.started
        for step, end in self.ends:
            yield step, began, end
            began = end


class SlowDecisions:
    """Tells of a decision that took longer than 25 ms, at most once a second, and of how many it said nothing."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._told_at = float("-inf")
        self._untold = 0

    def steps(self, started: float) -> Steps:
        """The steps of a decision that `started` then."""
        return Steps(started, self._clock)

    def tell(self, decision: str, steps: Steps, span: Span | None = None) -> None:
        """The last step, `log`, has ended; `span` is that of a traced decision."""
        steps.end("log")
        now = steps.ends[-1][1]
        if span is not None:
            _trace(span, decision, steps)
        _logger.debug("decision %s", decision, extra={"told": {"decision": decision}})
        if now - steps.started <= SLOW_SECONDS:
            return
        if now - self._told_at < EVERY_SECONDS:
            self._untold += 1
            return
        took = {step: round((end - began) * 1000, 1) for step, began, end in steps.spans()}
        words = ", ".join(f"{step} {ms} ms" for step, ms in took.items())
        more = f" (and {self._untold} more since the last word)" if self._untold else ""
        told: dict[str, Any] = {"decision": decision, "steps_ms": took, "untold": self._untold}
        if span is not None:
            told["trace"], more = span.trace_id, f"{more}, trace {span.trace_id}"
        _logger.warning("slow decision %s: %s%s", decision, words, more, extra={"told": told})
        self._told_at, self._untold = now, 0


def _trace(span: Span, decision: str, steps: Steps) -> None:
    span.note("membrane.decision", decision)
    ended_ns, ended = time_ns(), steps.ends[-1][1]
    for step, began, end in steps.spans():
        span.step(step, ended_ns - int((ended - began) * 1e9), ended_ns - int((ended - end) * 1e9))
