"""Labelled examples of all partitions in one order, whenever and in what portions they come.

The order is by (time, partition, number), where an example's time is the greatest `labelled_at` of its partition so
far. An example is given out once no partition can still come up with an earlier one: when its time lies before
`settled`, the moment up to which every partition's stream has applied its ticks. So the order is a function of the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from membrane.labelled import Labelled

PORTION: Final = 256


class LabelledRows(Protocol):
    """Where labelled examples are read: `storage.examples.LabelledReader`."""

    def after(self, partition: int, number: int, limit: int) -> list[Labelled]:
        """A partition's examples behind a number, in their order, at most `limit`."""


class Place(Struct):
    """How far a partition has been read: the number of the last example, and the greatest `labelled_at` so far."""

    number: int = -1
    time: int = 0


Settled = Callable[[], int]
"""The moment (epoch ms) before which no example can come any more."""


class Merged:
    """The merged order from `places` on. `places` moves with what `next` gives out."""

    def __init__(self, rows: LabelledRows, places: Sequence[Place], settled: Settled) -> None:
        self.places = places
        self._rows = rows
        self._settled = settled
        self._until = 0
        self._held: list[deque[Labelled]] = [deque() for _ in places]
        self._may_have_more = [False] * len(places)

    def look(self) -> None:
        """Sees what has come since it looked last."""
        self._until = self._settled()
        self._may_have_more = [True] * len(self.places)

    def next(self) -> Labelled | None:
        """The next example, None when there is none to be given out as far as was looked."""
        heads = [(time, partition) for partition in range(len(self.places)) if (time := self._time(partition)) >= 0]
        time, partition = min(heads, default=(self._until, 0))
        if time >= self._until:
            return None
        example = self._held[partition].popleft()
        place = self.places[partition]
        place.number, place.time = example.number, time
        return example

    def _time(self, partition: int) -> int:
        """The time of a partition's next example, -1 if there is none."""
        held = self._held[partition]
        if not held and self._may_have_more[partition]:
            found = self._rows.after(partition, self.places[partition].number, PORTION)
            held.extend(found)
            self._may_have_more[partition] = len(found) == PORTION
        return max(held[0].labelled_at, self.places[partition].time) if held else -1
