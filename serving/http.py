"""The HTTP server: uvicorn over httptools, with what they lack: an end to slow and to endless headers, and a cap on
connections that keeps the process below its limit of open files."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from membrane.errors import UsageError
from serving.config import ServeConfig
from serving.limits import HEADER_SECONDS, MAX_HEADER_BYTES, WHOLE

DRAIN_SECONDS: Final = 3
_BACKLOG: Final = 1024
_REFUSAL: Final = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n%s\r\n"
_FULL: Final = _REFUSAL % (b"503 Service Unavailable", b"retry-after: 1\r\n")
_TOO_LARGE: Final = _REFUSAL % (b"431 Request Header Fields Too Large", b"")


class _Transport:
    """A transport that holds the head of an answer back until its body comes, in the same step as a rule: so both go
    out in one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            self._head, data = b"", self._head + data
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self.write(b"")


class Protocol(HttpToolsProtocol):
    """One connection. Beyond `max_connections` it is told so and closed; headers that take longer than 5 s, or that
    are larger than 64 KiB, end it."""

    def __init__(self, *args: Any, max_connections: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_connections = max_connections
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(_Transport(transport, self.loop))  # type: ignore[arg-type]  # behaves like one
        if len(self.connections) > self._max_connections:
            self._refuse(_FULL)
        else:
            self._deadline = self.loop.call_later(HEADER_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_headers and not self.transport.is_closing():
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(_TOO_LARGE)
            elif self._deadline is None:
                self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._cancel()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope[WHOLE] = True  # type: ignore[typeddict-unknown-key]  # ours
        super().on_message_complete()

    def _refuse(self, answer: bytes) -> None:
        self._cancel()
        self.transport.write(answer)
        self.transport.close()

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn, which leaves signals to whoever runs it."""

    def __init__(self, app: Any, config: ServeConfig) -> None:
        settings = uvicorn.Config(
            app,
            http=partial(Protocol, max_connections=config.max_connections),  # type: ignore[arg-type]  # makes one
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            backlog=_BACKLOG,
            timeout_keep_alive=int(HEADER_SECONDS),
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        super().__init__(settings)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_socket(host: str, port: int, *, share: bool) -> socket.socket:
    """A socket for the server; with `share` others may have the same port. UsageError if it cannot be had."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise UsageError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from error
    return found
