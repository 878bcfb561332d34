"""Contact caps: at most so many contacts in a rolling window."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from membrane.record import Contact
from membrane.scope import Scope, all_slots, slot_of
from membrane.times import MINUTE
from membrane.vocabulary import CHANNELS, DOMAINS

_NONE_LOST: Final[Mapping[int, int]] = MappingProxyType({})
PERMIT_MS: Final = 15 * MINUTE
"""How long a permit lives at most."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `at_most` contacts of `scope` in (t - per_ms, t]."""

    id: str
    scope: Scope
    at_most: int
    per_ms: int
    text: dict[str, str]
    locked: bool = False


class Claim(Struct, frozen=True, array_like=True):
    """A slot held for a contact that was permitted at `made_at` and may still be made until just before `until`.
    `permit` names it as the record names the permit of a contact; `domain` and `channel` are indexes."""

    permit: str
    made_at: int
    domain: int
    channel: int
    kind: str
    until: int


class CapState(Struct, frozen=True):
    """How a cap stands at a moment: contacts and claims counted, whether that is all it allows (or may be, where not
    every contact of its window is still known), and when time alone makes room again (None: there is room, or never
    will be)."""

    counted: int
    full: bool
    room_at: int | None


def cap_state(
    cap: Cap,
    contacts: Collection[Contact],
    t: int,
    lost: Mapping[int, int] = _NONE_LOST,
    claims: Iterable[Claim] = (),
) -> CapState:
    """How full a cap is at `t`; a contact counts from the moment it was made until `per_ms` later, then no more.

    The contact that confirmed a permit (it has the permit's id) and the department's own of that permit are one. Live
    `claims` count likewise, each until it ends, but for those whose contact is known; also one of a process that read
    its clock a moment later. `lost`: by domain, when the latest contact was made that is not among `contacts` any more.
    A window that reaches back to it is full: what it held cannot be told.
    """
    since = t - cap.per_ms
    leaving = _leaving(cap, contacts, claims, since, t)
    missing = max((at for domain, at in lost.items() if since < at <= t and _may_hold(cap.scope, domain)), default=0)
    rooms = [leaving[len(leaving) - cap.at_most]] if len(leaving) >= cap.at_most > 0 else []
    rooms += [missing + cap.per_ms] if missing else []
    full = bool(rooms) or not cap.at_most
    return CapState(len(leaving), full, max(rooms) if rooms and cap.at_most else None)


def _leaving(cap: Cap, contacts: Collection[Contact], claims: Iterable[Claim], since: int, t: int) -> list[int]:
    """When what counts at `t` counts no more, by time."""
    own = {one.permit for one in contacts if one.permit and one.contact != one.permit}
    leaving: list[int] = []
    permitted: dict[tuple[str, str], int] = {}
    for contact in contacts:
        if not since < contact.made_at <= t or not _in(cap, contact):
            continue
        if not contact.permit:
            leaving.append(contact.made_at + cap.per_ms)
        elif contact.contact != contact.permit or contact.permit not in own:
            known = permitted.get((contact.permit, contact.contact), 0)
            permitted[contact.permit, contact.contact] = max(contact.made_at + cap.per_ms, known)
    leaving += permitted.values()
    leaving += [
        min(claim.made_at + cap.per_ms, claim.until)
        for claim in claims
        if since < claim.made_at and _in(cap, claim) and all(one.permit != claim.permit for one in contacts)
    ]
    leaving.sort()
    return leaving


def _in(cap: Cap, contact: Contact | Claim) -> bool:
    slot = slot_of(DOMAINS[contact.domain], contact.kind, CHANNELS[contact.channel], "outbound")
    return slot is not None and cap.scope.covers(slot)


@lru_cache(maxsize=1024)
def _may_hold(scope: Scope, domain: int) -> bool:
    """Whether some contact of a domain counts."""
    slots = (slot for slot in all_slots() if slot.domain == DOMAINS[domain] and slot.direction == "outbound")
    return any(map(scope.covers, slots))
