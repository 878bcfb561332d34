"""What becomes of each event of a request: stored, set aside as a dead letter, or rejected (the sender's fault)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec
from msgspec.structs import replace

from membrane.errors import InvalidSignal
from membrane.ports import NewSignal
from membrane.signals import (
    CheckedSignal,
    ConsentChanged,
    ContactAnswered,
    ContactMade,
    StoredSignal,
    check,
    encode_stored,
)
from membrane.times import MINUTE
from membrane.vocabulary import channel_index, domain_index
from storage.log import Taken
from storage.set_aside import NewDeadLetter

AHEAD_MS: Final = 5 * MINUTE
_TURN: Final = 32
_SERVICE: Final = ("cx.case.", "cx.message.")


class SignalProblem(msgspec.Struct):
    """Where a signal is wrong (a JSON pointer into it) and what was required."""

    pointer: str
    detail: str


class Rejected(msgspec.Struct):
    """A signal that was not stored, by its index in the request; `id` where it could be read."""

    index: int
    id: str | None
    problem: SignalProblem


@dataclass(slots=True)
class Incoming:
    """The events of one request, sorted by what becomes of them."""

    signals: list[CheckedSignal] = field(default_factory=list)
    dead_letters: list[tuple[NewDeadLetter, str]] = field(default_factory=list)  # each with its event's type
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fates:
    """How many of the events of a request were accepted, were duplicates, and were set aside. The log decides which of
    the signals are: `taken` is its answer."""

    accepted: int
    duplicates: int
    dead_lettered: int

    @classmethod
    def of(cls, incoming: Incoming, taken: Sequence[Taken]) -> Self:
        """Those of a request."""
        return cls(taken.count(True), taken.count(False), len(incoming.dead_letters) + taken.count(None))


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
        letter = NewDeadLetter(reason, tenant, stored.customer, index, stored.source, stored.id, event)
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


def new_signals(signals: Sequence[CheckedSignal], traceparent: str = "") -> list[NewSignal]:
    """The signals as the log takes them, each with what it changes of contacts and consents, and with the trace that it
    came in.

    An opt-out in answer to a contact, made in this request or before, closes that contact's channel and domain. One
    that comes before its contact is put right by the record."""
    return [_new_signal(_traced(signal.stored, traceparent), signal.typed) for signal in signals]


def _traced(signal: StoredSignal, traceparent: str) -> StoredSignal:
    return replace(signal, traceparent=traceparent) if traceparent else signal


def _new_signal(s: StoredSignal, data: object) -> NewSignal:
    consents: tuple[tuple[int, int, bool, int], ...] = ()
    contact, opts_out_of = None, None
    match data:
        case ConsentChanged():
            consents = ((channel_index(data.channel), domain_index(data.domain), data.granted, s.time),)
        case ContactMade(contact=str(name)):
            contact = name, channel_index(data.channel), domain_index(data.domain)
        case ContactAnswered(outcome="unsubscribed" | "complained"):
            opts_out_of = data.contact
    return NewSignal(
        s.tenant,
        s.customer,
        s.source,
        s.id,
        s.time,
        encode_stored(s),
        consents,
        contact,
        opts_out_of,
        is_service=s.type.startswith(_SERVICE),
    )
