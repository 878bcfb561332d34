"""Contact caps: at most so many contacts in a rolling window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from membrane.record import Contact
from membrane.scope import Scope, slot_of
from membrane.vocabulary import CHANNELS, DOMAINS


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `at_most` contacts of `scope` in (t - per_ms, t]."""

    id: str
    scope: Scope
    at_most: int
    per_ms: int
    text: dict[str, str]


@dataclass(frozen=True, slots=True)
class CapState:
    """How a cap stands at a moment: contacts counted, whether that is all it allows, and when time alone makes room
    again (None: there is room, or never will be)."""

    counted: int
    full: bool
    room_at: int | None


def cap_state(cap: Cap, contacts: Iterable[Contact], t: int) -> CapState:
    """How full a cap is at `t`; a contact counts from the moment it was made until `per_ms` later, then no more."""
    since = t - cap.per_ms
    made = sorted(contact.made_at for contact in contacts if since < contact.made_at <= t and _in(cap, contact))
    full = len(made) >= cap.at_most
    return CapState(len(made), full, made[len(made) - cap.at_most] + cap.per_ms if full and cap.at_most else None)


def _in(cap: Cap, contact: Contact) -> bool:
    slot = slot_of(DOMAINS[contact.domain], contact.kind, CHANNELS[contact.channel], "outbound")
    return slot is not None and cap.scope.covers(slot)
