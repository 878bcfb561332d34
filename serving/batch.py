"""POST /v1/decisions/batch: any number of decisions, a request a line in, an answer or a problem a line out, in order.

What is held of a batch, whatever its size: a chunk of the body, a line, and the answers that are about to be sent.
Other requests have their turn between any two lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

from serving.answers import start_ndjson
from serving.auth import Identity
from serving.decisions import Decisions
from serving.limits import (
    BATCH_SECONDS,
    MAX_DECISION_BYTES,
    RESERVE_SECONDS,
    ClientGone,
    Receive,
    Scope,
    Send,
    check_plain,
    header,
    too_large,
)
from serving.lines import Line, Lines
from serving.problems import Problem, from_error
from serving.reserving import idempotency_key

SEND_BYTES: Final = 32 * 1024
Asker = tuple[str, str | None]
"""A tenant, and the idempotency key of its batch."""


class DecisionBatch:
    """The endpoint. Each line is judged, counted and logged as a request of its own."""

    def __init__(self, decisions: Decisions, *, seconds: float = BATCH_SECONDS) -> None:
        self._decisions = decisions
        self._seconds = seconds
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, identity: Identity) -> None:
        """What is wrong with a line is said in its place; a body that stops coming ends with a problem of its own."""
        identity.must("decide")
        key = idempotency_key(header(scope["headers"], b"idempotency-key"))
        check_plain(scope["headers"])
        lines, chunks = Lines(MAX_DECISION_BYTES), self._chunks(receive)
        first = await anext(chunks)
        await start_ndjson(send)
        try:
            await self._answer(lines.feed(first), (identity.tenant, key), send)
            async for chunk in chunks:
                await self._answer(lines.feed(chunk), (identity.tenant, key), send)
            await self._answer(lines.end(), (identity.tenant, key), send)
        except Problem as problem:
            await _send(send, _problem_line(problem, lines.number + 1))
        await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, receive: Receive) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    message = await receive()
            except TimeoutError:
                detail = f"the next part of the body must arrive within {self._seconds:g} seconds"
                raise Problem(408, "too-slow", detail) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return

    async def _answer(self, lines: Iterator[Line], asker: Asker, send: Send) -> None:
        waiting = bytearray()
        for number, line in lines:
            waiting += await self._answer_line(number, line, *asker)
            if len(waiting) >= SEND_BYTES:
                await _send(send, bytes(waiting))
                waiting.clear()
        if waiting:
            await _send(send, bytes(waiting))

    async def _answer_line(self, number: int, line: bytes | None, tenant: str, key: str | None) -> bytes:
        """One line, once it is this batch's turn: between two lines of whatever batch the event loop goes round. Its
        idempotency key is the batch's with its number. While it waits to reserve, other batches go on."""
        async with self._turn:
            await self._decisions.room()
            await asyncio.sleep(0)
        try:
            if line is None:
                raise too_large(MAX_DECISION_BYTES)
            own_key = None if key is None else f"{key}#{number}"
            return await self._decisions.asked(line, tenant, own_key, reserve_seconds=RESERVE_SECONDS) + b"\n"
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lines go on
            return _problem_line(from_error(error), number)


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _problem_line(problem: Problem, number: int) -> bytes:
    return problem.body({"line": number}) + b"\n"
