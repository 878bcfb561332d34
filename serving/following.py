"""GET /v1/stages/stream: stage changes, obligations and revoked permits as server-sent events, as they happen.

An event's id says how far every partition has been told, so that who comes back with it misses nothing. The events of
one partition come in their order; an event may come twice (after a reconnect), and its data say which it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from membrane.errors import MembraneError
from membrane.ports import ERASED, Effect
from membrane.times import format_time
from serving.problems import invalid_field, unavailable
from serving.services import Services

POLL_SECONDS: Final = 0.2
KEEP_ALIVE_SECONDS: Final = 15.0
MAX_FOLLOWERS: Final = 64
_AT_ONCE: Final = 200
_CURSOR: Final = re.compile(r"\d{1,18}(?:-\d{1,18})*", re.ASCII)
_START: Final = b"retry: 1000\nid: %s\n\n"
_KEEP_ALIVE: Final = b": still here\nid: %s\n\n"


class _Effect(msgspec.Struct):
    backfill: bool = False


_effect: Final = msgspec.json.Decoder(_Effect)


@dataclass(slots=True)
class Cursor:
    """The number of the last effect told of each partition, and of the last revocation."""

    effects: list[int]
    revocation: int

    def __str__(self) -> str:
        return "-".join(map(str, [*self.effects, self.revocation]))


def parse_cursor(text: str | None, partitions: int) -> Cursor | None:
    """A Last-Event-ID; None without one. Problem 422 for anything that is none of this directory's."""
    if not text:
        return None
    numbers = [int(number) for number in text.split("-")] if _CURSOR.fullmatch(text) else []
    if len(numbers) != partitions + 1:
        raise invalid_field("Last-Event-ID", "must be the id of an event of this stream")
    return Cursor(numbers[:-1], numbers[-1])


class Followers:
    """Everybody who follows; at most MAX_FOLLOWERS at once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._count = 0

    async def follow(self, tenant: str, last: str | None, is_welcome: Callable[[], bool]) -> AsyncIterator[bytes]:
        """A tenant's events behind the `last` one, else from now on, as long as who follows is welcome. Problem 422, or
        503 when too many follow."""
        cursor = parse_cursor(last, self._services.directory.partitions)
        if self._count >= MAX_FOLLOWERS:
            raise unavailable(f"{MAX_FOLLOWERS} follow already")
        if cursor is None:
            cursor = await self._services.cold(self._now)
        return self._events(tenant, cursor, is_welcome)

    async def _events(self, tenant: str, cursor: Cursor, is_welcome: Callable[[], bool]) -> AsyncIterator[bytes]:
        self._count += 1
        try:
            yield _START % str(cursor).encode()
            quiet = 0.0
            while is_welcome():
                events = await self._services.cold(self._next, tenant, cursor)
                if events:
                    quiet = 0.0
                    yield b"".join(events)
                    continue
                await asyncio.sleep(POLL_SECONDS)
                quiet += POLL_SECONDS
                if quiet >= KEEP_ALIVE_SECONDS:
                    quiet = 0.0
                    yield _KEEP_ALIVE % str(cursor).encode()
        finally:
            self._count -= 1

    def _now(self) -> Cursor:
        records = self._services.records
        effects = [records.last_effect(partition) for partition in range(self._services.directory.partitions)]
        return Cursor(effects, self._services.claims.store.last_revocation())

    def _next(self, tenant: str, cursor: Cursor) -> list[bytes]:
        """The next events; moves the cursor behind them and behind what is not for this tenant. A store that cannot be
        read (it may be being rebuilt) has none for now."""
        events = []
        for partition, told in enumerate(cursor.effects):
            with suppress(MembraneError):
                for seq, effect in self._services.records.effects_after(partition, told, _AT_ONCE):
                    cursor.effects[partition] = seq
                    if effect.tenant == tenant and effect.kind != ERASED and not _effect.decode(effect.body).backfill:
                        events.append(_event(effect.kind, _told(effect), cursor))
        with suppress(MembraneError):
            if cursor.revocation > self._services.claims.store.last_revocation():
                cursor.revocation = 0  # the claims were lost, and their numbers begin anew
            for seq, body in self._services.claims.store.revocations(tenant, cursor.revocation, _AT_ONCE):
                cursor.revocation = seq
                events.append(_event("permit", body, cursor))
        return events


def _told(effect: Effect) -> bytes:
    """What an effect says of itself; an obligation also what every event does."""
    if effect.kind != "obligation":
        return effect.body
    body = msgspec.json.decode(effect.body)
    cause = {"source": "principle", "id": body["principle"], "type": body["kind"]}
    before = {"open": None, "breached": "open"}.get(body["state"], "owed")
    return msgspec.json.encode(
        {**body, "from": before, "to": body["state"], "at": format_time(effect.time_ms), "cause": cause}
    )


def _event(kind: str, body: bytes, cursor: Cursor) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(cursor).encode(), kind.encode(), body)
