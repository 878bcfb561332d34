"""Turns at claims.db: one reserving decision at a time over all processes of a data directory, without blocking an
event loop.

Within a process whoever came first is the next. Between processes SQLite's write lock decides, and a gate (a file lock)
makes it fair: who waits for the write lock holds the gate, and who has had it for some milliseconds goes through the
gate before it goes on. The gate is a courtesy: nothing but the order depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeVar

from membrane.errors import StoreUnavailable
from storage.lock import WriterLock

POLL_SECONDS: Final = 0.001
SLICE_SECONDS: Final = 0.005
"""So long a process goes on before it looks whether another waits."""
COURTESY_SECONDS: Final = 0.02
"""So long it waits for another to go first, which may have been stopped."""

TRY_SECONDS: Final = 0.01
"""So long each tries at the front, though those before it had no luck."""
AGAIN_SECONDS: Final = 0.01

T = TypeVar("T")


class Turns:
    """The queue of one process. For the event loop's thread alone."""

    def __init__(self, gate: WriterLock, patience_seconds: float) -> None:
        """`patience_seconds`: so long it may go on that nobody of this process gets a turn."""
        self._gate = gate
        self._patience_seconds = patience_seconds
        self._queue = asyncio.Lock()
        self._had = 0.0
        self._slice_ends = 0.0

    async def take(self, attempt: Callable[[], T | None], seconds: float = 0.0) -> T:
        """What `attempt` gives, made when its turn has come, and again while it gives None: somebody else has the lock.
        Raises what it raises; StoreUnavailable when nobody of this process had a turn for longer than it has patience
        and that many seconds are over, too."""
        entered = perf_counter()
        while True:
            async with self._queue:
                found = await self._at_the_front(attempt, entered)
            if found is not None:
                return found
            if perf_counter() >= entered + seconds:
                raise StoreUnavailable("the claims: somebody else is writing, for too long")
            await asyncio.sleep(AGAIN_SECONDS)  # those behind may have less time

    async def _at_the_front(self, attempt: Callable[[], T | None], entered: float) -> T | None:
        end = max(max(self._had, entered) + self._patience_seconds, perf_counter() + TRY_SECONDS)
        try:
            await self._let_others_go_first(end)
            while (found := attempt()) is None:
                if perf_counter() >= end:
                    return None
                self._is_next()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._gate.release()
        self._had = perf_counter()
        if self._had >= self._slice_ends:
            self._slice_ends = self._had + SLICE_SECONDS
        return found

    async def _let_others_go_first(self, end: float) -> None:
        began = perf_counter()
        if began < self._slice_ends:
            return
        polite_until = min(began + COURTESY_SECONDS, end)
        while not self._is_next() and perf_counter() < polite_until:  # noqa: ASYNC110 - it waits for another process
            await asyncio.sleep(POLL_SECONDS)

    def _is_next(self) -> bool:
        """Takes the gate if nobody has it."""
        try:
            return self._gate.acquire_if_free()
        except OSError:  # no room for its file, perhaps
            return True
