"""Bodies: capped while they are read, in time or not at all."""

from __future__ import annotations

import asyncio

import pytest

from serving.limits import ClientGone, read_body
from serving.problems import Problem


def read(*chunks: bytes, headers: dict[bytes, bytes] | None = None, cap: int = 10, end: str = "complete") -> bytes:
    """What `read_body` makes of a body that comes in these chunks and then is complete, endless or disconnected."""
    left = list(chunks)

    async def receive():
        if not left:
            if end == "disconnect":
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or end != "complete"}

    scope = {"headers": list((headers or {}).items())}
    return asyncio.run(read_body(scope, receive, cap=cap, seconds=0.05))


def test_a_body_within_the_cap_is_read_whole():
    assert read(b"01234", b"56789") == b"0123456789"


def test_a_body_of_no_bytes_is_a_body():
    assert read(b"") == b""


def test_a_declared_length_above_the_cap_is_refused_before_anything_is_read():
    with pytest.raises(Problem) as caught:
        read(headers={b"content-length": b"11"}, end="endless")
    assert caught.value.status == 413


def test_an_undeclared_body_is_refused_once_it_passes_the_cap():
    with pytest.raises(Problem) as caught:
        read(b"01234", b"567890", end="endless")
    assert (caught.value.status, caught.value.headers) == (413, {"Connection": "close"})


def test_a_body_that_takes_too_long_is_refused():
    with pytest.raises(Problem) as caught:
        read(b"0", end="endless")
    assert caught.value.status == 408


def test_a_client_that_leaves_gets_no_answer():
    with pytest.raises(ClientGone):
        read(b"0", end="disconnect")


def test_a_compressed_body_is_refused():
    with pytest.raises(Problem) as caught:
        read(b"0", headers={b"content-encoding": b"gzip"})
    assert caught.value.status == 415
