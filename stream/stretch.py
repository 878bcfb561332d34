"""A stretch: signals and ticks of a block that no revision or act keeps apart, and how customers pass its ticks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from stream.block import Customer, DecodedSignal
from stream.meta import Meta


@dataclass(slots=True)
class Stretch:
    """Signals, each with how many ticks came before it, and ticks: (offset, time)."""

    signals: list[tuple[DecodedSignal, int]] = field(default_factory=list)
    ticks: list[tuple[int, int]] = field(default_factory=list)

    def alone(self, before: int) -> Stretch:
        """The signals behind so many ticks and before the next one, as a stretch without ticks."""
        return Stretch([(entry, 0) for entry, count in self.signals if count == before])


class Passing:
    """The ticks of a stretch as customers pass them, each at its own pace.

    `clocks[n]` is the partition's last tick once n of them have passed, `fired[n]` the time up to which what is due has
    fired then.
    """

    def __init__(self, ticks: list[tuple[int, int]], meta: Meta) -> None:
        self.ticks = ticks
        self.clocks = list(accumulate((t for _, t in ticks), max, initial=meta.last_tick))
        self.fired = [meta.fired_until, *self.clocks[1:]]
        self.latest = max((t for _, t in ticks), default=0)
        self.reached: dict[Customer, int] = {}

    def next_due(self, customer: Customer, due: int, until: int) -> int | None:
        """The number of the first tick not yet passed by a customer that comes at or after `due`; it is passed now."""
        for number in range(self.reached.get(customer, 0), until):
            if self.ticks[number][1] >= due:
                self.reached[customer] = number + 1
                return number
        return None
