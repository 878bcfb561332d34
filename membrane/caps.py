"""Contact caps: at most so many contacts in a rolling window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from membrane.record import Contact
from membrane.scope import Scope, all_slots, slot_of
from membrane.vocabulary import CHANNELS, DOMAINS

_NONE_LOST: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `at_most` contacts of `scope` in (t - per_ms, t]."""

    id: str
    scope: Scope
    at_most: int
    per_ms: int
    text: dict[str, str]
    locked: bool = False


class CapState(Struct, frozen=True):
    """How a cap stands at a moment: contacts counted, whether that is all it allows (or may be, where not every contact
    of its window is still known), and when time alone makes room again (None: there is room, or never will be)."""

    counted: int
    full: bool
    room_at: int | None


def cap_state(cap: Cap, contacts: Iterable[Contact], t: int, lost: Mapping[int, int] = _NONE_LOST) -> CapState:
    """How full a cap is at `t`; a contact counts from the moment it was made until `per_ms` later, then no more.

    `lost`: by domain, when the latest contact was made that is not among `contacts` any more. A window that reaches
    back to it is full: what it held cannot be told.
    """
    since = t - cap.per_ms
    made = sorted(contact.made_at for contact in contacts if since < contact.made_at <= t and _in(cap, contact))
    missing = max((at for domain, at in lost.items() if since < at <= t and _may_hold(cap.scope, domain)), default=0)
    rooms = [made[len(made) - cap.at_most]] if len(made) >= cap.at_most > 0 else []
    rooms += [missing] if missing else []
    full = bool(rooms) or not cap.at_most
    return CapState(len(made), full, max(rooms) + cap.per_ms if rooms and cap.at_most else None)


def _in(cap: Cap, contact: Contact) -> bool:
    slot = slot_of(DOMAINS[contact.domain], contact.kind, CHANNELS[contact.channel], "outbound")
    return slot is not None and cap.scope.covers(slot)


@lru_cache(maxsize=1024)
def _may_hold(scope: Scope, domain: int) -> bool:
    """Whether some contact of a domain counts."""
    slots = (slot for slot in all_slots() if slot.domain == DOMAINS[domain] and slot.direction == "outbound")
    return any(map(scope.covers, slots))
