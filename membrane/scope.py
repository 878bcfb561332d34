"""What a principle, a guarantee, a cap or quiet hours are about: domains, kinds, channels, directions, classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

from membrane.vocabulary import CHANNEL_INDEX, CHANNELS, KINDS, InteractionClass, class_of

DIRECTIONS: Final = ("outbound", "inbound")
KINDS_OF: Final = {domain: sum(classes.values(), ()) for domain, classes in KINDS.items()}
ALL_KINDS: Final = tuple(dict.fromkeys(kind for kinds in KINDS_OF.values() for kind in kinds))
UNKNOWN_KIND: Final = "unknown"
"""Stands for every kind that a known domain does not list; such a kind takes its domain's strictest class."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What of a candidate decides which principles apply to it; there are only so many, so results can be kept."""

    domain: str
    kind: str
    channel: str
    direction: str
    cls: InteractionClass


def slot_of(domain: str, kind: str, channel: str, direction: str) -> Slot | None:
    """The slot of a candidate, its channel and kind brought to known ones; None for an unknown domain."""
    cls = class_of(domain, kind)
    if cls is None:
        return None
    known_kind = kind if kind in KINDS_OF[domain] else UNKNOWN_KIND
    return _slot(domain, known_kind, channel if channel in CHANNEL_INDEX else "other", direction, cls)


_slot = cache(Slot)  # bounded by the vocabulary


@dataclass(frozen=True, slots=True)
class Scope:
    """Sets of values; an empty one says "any". `not_kinds` takes kinds out."""

    domains: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    not_kinds: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    directions: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()

    def covers(self, slot: Slot) -> bool:
        """Whether a candidate of this slot is meant."""
        return (
            _among(slot.domain, self.domains)
            and _among(slot.kind, self.kinds)
            and slot.kind not in self.not_kinds
            and _among(slot.channel, self.channels)
            and _among(slot.direction, self.directions)
            and _among(slot.cls, self.classes)
        )


def _among(value: str, values: frozenset[str]) -> bool:
    return not values or value in values


def all_slots() -> Iterator[Slot]:
    """Every slot there is; a domain's unknown kinds are one."""
    for domain, kinds in KINDS_OF.items():
        for kind, channel, direction in product((*kinds, UNKNOWN_KIND), CHANNELS, DIRECTIONS):
            slot = slot_of(domain, kind, channel, direction)
            if slot is not None:
                yield slot
