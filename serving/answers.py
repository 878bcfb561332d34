"""Answers: how a plain ASGI endpoint sends one, whole and with its Content-Length, but for a batch of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from serving.limits import Send
from serving.problems import MEDIA_TYPE, Problem

NDJSON: Final = "application/x-ndjson"
_JSON: Final = (b"content-type", b"application/json")


async def send_json(send: Send, status: int, body: bytes) -> None:
    """Sends a JSON document."""
    await _send(send, status, body, [_JSON, (b"content-length", b"%d" % len(body))])


async def start_ndjson(send: Send) -> None:
    """Begins an answer of JSON lines, whose length nobody knows yet; its body is for the caller to send."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", NDJSON.encode())]})


async def send_problem(send: Send, problem: Problem) -> None:
    """Sends a problem+json document with its headers."""
    body = problem.body()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    await _send(send, problem.status, body, [*headers, *_raw(problem.headers)])


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
