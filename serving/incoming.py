"""What becomes of each event of a request: stored, set aside as a dead letter, or rejected (the sender's fault)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from membrane.errors import InvalidSignal
from membrane.ports import NewSignal
from membrane.signals import CheckedSignal, ConsentChanged, ContactAnswered, ContactMade, check, encode_stored
from membrane.times import MINUTE
from membrane.vocabulary import channel_index, domain_index
from storage.log import NewDeadLetter

AHEAD_MS: Final = 5 * MINUTE
_OPT_OUTS: Final = frozenset({"unsubscribed", "complained"})
_TURN: Final = 32

Consent = tuple[int, int, bool, int]
Place = tuple[str, str]
"""The channel and domain of a contact."""


class SignalProblem(msgspec.Struct):
    """Where a signal is wrong (a JSON pointer into it) and what was required."""

    pointer: str
    detail: str


class Rejected(msgspec.Struct):
    """A signal that was not stored, by its index in the request; `id` where it could be read."""

    index: int
    id: str | None
    problem: SignalProblem


class FoundContact(Protocol):
    """A contact.made of the log."""

    @property
    def channel(self) -> str: ...
    @property
    def domain(self) -> str: ...


class Contacts(Protocol):
    """Where contacts made earlier can be looked up."""

    def find_contact(self, tenant: str, customer: str, contact: str) -> FoundContact | None: ...


@dataclass(slots=True)
class Incoming:
    """The events of one request, sorted by what becomes of them."""

    signals: list[CheckedSignal] = field(default_factory=list)
    dead_letters: list[tuple[NewDeadLetter, str]] = field(default_factory=list)  # each with its event's type
    rejected: list[Rejected] = field(default_factory=list)


class _Named(msgspec.Struct):
    id: str


_named: Final = msgspec.json.Decoder(_Named)


async def sort_events(events: Sequence[bytes], tenant: str, now_ms: int) -> Incoming:
    """Checks every event; `now_ms` is the wall clock. Lets other requests have a turn on the way."""
    incoming = Incoming()
    for index, event in enumerate(events):
        _sort(incoming, index, event, tenant, now_ms)
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    return incoming


def _sort(incoming: Incoming, index: int, event: bytes, tenant: str, now_ms: int) -> None:
    try:
        checked = check(event, tenant)
    except InvalidSignal as error:
        problem = SignalProblem(error.pointer, error.detail)
        incoming.rejected.append(Rejected(index, _id_of(event), problem))
        return
    stored = checked.stored
    reason = _why_dead(checked, now_ms)
    if reason is None:
        incoming.signals.append(checked)
    else:
        letter = NewDeadLetter(reason, tenant, index, stored.source, stored.id, event)
        incoming.dead_letters.append((letter, stored.type))


def _why_dead(checked: CheckedSignal, now_ms: int) -> str | None:
    if checked.typed is None:
        return "unknown_type"
    return "ahead_of_clock" if checked.stored.time > now_ms + AHEAD_MS else None


def _id_of(event: bytes) -> str | None:
    try:
        return _named.decode(event).id[:256]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


async def new_signals(signals: Sequence[CheckedSignal], contacts: Contacts) -> list[NewSignal]:
    """The signals as the log takes them, each with the consents that it changes."""
    places = {
        _contact_key(signal, made.contact): (made.channel, made.domain)
        for signal in signals
        if isinstance(made := signal.typed, ContactMade) and made.contact is not None
    }
    return [_new_signal(signal, await _consents(signal, places, contacts)) for signal in signals]


def _new_signal(signal: CheckedSignal, consents: tuple[Consent, ...]) -> NewSignal:
    s = signal.stored
    return NewSignal(s.tenant, s.customer, s.source, s.id, s.time, encode_stored(s), consents)


async def _consents(
    signal: CheckedSignal, places: dict[tuple[str, str], Place], contacts: Contacts
) -> tuple[Consent, ...]:
    """A consent that was changed; an opt-out in answer to a contact, made in this request or before, closes its
    channel and domain. An answer that comes before its contact is put right by the record."""
    stored, data = signal.stored, signal.typed
    if isinstance(data, ConsentChanged):
        return ((channel_index(data.channel), domain_index(data.domain), data.granted, stored.time),)
    if not isinstance(data, ContactAnswered) or data.outcome not in _OPT_OUTS:
        return ()
    place = places.get(_contact_key(signal, data.contact))
    if place is None:
        found = await asyncio.to_thread(contacts.find_contact, stored.tenant, stored.customer, data.contact)
        if found is None:
            return ()
        place = found.channel, found.domain
    return ((channel_index(place[0]), domain_index(place[1]), False, stored.time),)


def _contact_key(signal: CheckedSignal, contact: str) -> tuple[str, str]:
    return signal.stored.customer, contact
