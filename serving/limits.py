"""Limits: how large a body may be and how long it may take, kept while it is read and before it is parsed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from serving.problems import Problem

KIB: Final = 1024
MAX_BATCH_BYTES: Final = 1024 * KIB
MAX_BATCH_SIGNALS: Final = 1000
MAX_DECISION_BYTES: Final = 64 * KIB
MAX_PRINCIPLES_BYTES: Final = 256 * KIB
MAX_ACT_BYTES: Final = 4 * KIB
BODY_SECONDS: Final = 5.0
BATCH_SECONDS: Final = 30.0
"""How long the next part of a batch of decisions may take."""
HEADER_SECONDS: Final = 5.0
MAX_HEADER_BYTES: Final = 64 * KIB
MAX_CONNECTIONS: Final = 512
DECISION_SECONDS: Final = 0.050
RESERVE_SECONDS: Final = 5.0
"""How long a line of a batch waits for its turn to reserve."""
SIMULATION_SECONDS: Final = 120.0
MAX_SIMULATION_DAYS: Final = 366

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WHOLE: Final = "membrane.whole"
"""In the scope of a request whose body came with its headers."""
_CLOSE: Final = {"Connection": "close"}


class ClientGone(Exception):
    """The client went away before its body was complete: there is nobody to answer."""


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first header of that lower-case name, None without one."""
    return next((value for key, value in headers if key == name), None)


async def read_body(scope: Scope, receive: Receive, *, cap: int, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body, of at most `cap` bytes, read within `seconds`.

    Raises Problem 413 as soon as it is known to be larger (by Content-Length, or counted while it arrives), 408 when it
    is too slow, 415 for a compressed one; ClientGone when the client left.
    """
    length = header(scope["headers"], b"content-length")
    if length is not None and length.isdigit() and int(length) > cap:
        raise too_large(cap)
    check_plain(scope["headers"])
    if WHOLE in scope:  # there is nothing to wait for
        return await _collect(receive, cap)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(receive, cap)
    except TimeoutError:
        detail = f"the body must arrive within {seconds:g} seconds"
        raise Problem(408, "too-slow", detail, headers=_CLOSE) from None


def check_plain(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Problem 415 for a compressed body."""
    if (header(headers, b"content-encoding") or b"identity").lower() != b"identity":
        raise Problem(415, "unsupported-media-type", "the body must not be compressed", headers=_CLOSE)


async def _collect(receive: Receive, cap: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > cap:
            raise too_large(cap)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(cap: int) -> Problem:
    """413: more than so many bytes."""
    return Problem(413, "too-large", f"the body has more than {cap} bytes", headers=_CLOSE)
