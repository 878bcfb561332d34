"""What the simulated company and its customers share: an agenda of what comes later, and the signals they emit."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

from membrane.times import format_time
from training import rates
from training.latent import Latent

Event = dict[str, Any]


class World:
    """One seeded run: the present stage of each customer, what is due later, and the signals of this step."""

    def __init__(self, latent: Latent, seed: int) -> None:
        self.random = random.Random(seed)
        self.stage = latent.stage.tolist()
        self._fragile = bytearray(latent.fragile.tobytes())
        self._product = bytearray(len(self.stage))
        self._agenda: list[tuple[int, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = itertools.count(1)
        self._emitted: list[Event] = []

    def later(self, t: int, customer: int, action: Callable[..., None], *args: object) -> None:
        """Have `action(t, customer, *args)` run at `t`, unless the customer has left by then."""
        heapq.heappush(self._agenda, (t, next(self._number), customer, action, args))

    def run_until(self, t: int) -> None:
        """Run what is due before or at `t`, in order."""
        while self._agenda and self._agenda[0][0] <= t:
            due, _, customer, action, args = heapq.heappop(self._agenda)
            if self.is_here(customer):
                action(due, customer, *args)

    def is_here(self, customer: int) -> bool:
        """Whether this is a customer at present."""
        return bool(self.stage[customer] != rates.ABSENT)

    def emit(self, t: int, source: str, name: str, customer: int, data: dict[str, Any]) -> None:
        """One CloudEvent `cx.<name>.v1` of a customer, about time `t`."""
        self._emitted.append(
            {
                "specversion": "1.0",
                "id": str(next(self._number)),
                "source": f"sim/{source}",
                "type": f"cx.{name}.v1",
                "subject": f"c-{customer}",
                "time": format_time(t),
                "datacontenttype": "application/json",
                "data": data,
            }
        )

    def take(self) -> tuple[Event, ...]:
        """The signals emitted since the last call."""
        taken, self._emitted = tuple(self._emitted), []
        return taken

    def name(self, prefix: str) -> str:
        """A new identifier."""
        return f"{prefix}-{next(self._number)}"

    def pick(self, names: Sequence[str], odds: Sequence[float] | None = None) -> str:
        """One of the names, by odds."""
        if odds is None:
            return names[int(self.random.random() * len(names))]
        return self.random.choices(names, odds)[0]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def delay(self, mean_ms: float) -> int:
        """An exponential delay of at least a minute, in ms."""
        return 60_000 + int(self.random.expovariate(1 / mean_ms))

    def product(self, customer: int) -> str:
        """The product that the customer uses now."""
        return f"terminal-{customer}-{self._product[customer]}"

    def is_fragile(self, customer: int) -> bool:
        """Whether that product keeps failing in the same way."""
        return bool(self._fragile[customer])

    def replace_product(self, customer: int) -> None:
        """Give the customer a new product, one that does not fail."""
        self._product[customer] = min(255, self._product[customer] + 1)
        self._fragile[customer] = 0
