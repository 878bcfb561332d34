"""Fault 18: huge, endless and slow bodies, slow readers and half-open sockets, while others are answered."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from serving.limits import BODY_SECONDS
from tests.faults.conftest import Tell
from tests.faults.sizes import percentile, short_and_full
from tests.processes import Service, serve

ASK = {"customer": "c", "candidates": [{"id": "a", "domain": "sales", "kind": "upsell", "channel": "email"}]}
MOST_RSS_GROWTH = 32 * 2**20  # allocators keep what they once had; without a cap one body alone would take 200 MiB
HUGE = 200 * 2**20


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/cloudevents-batch+json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def send_until_refused(service: Service, first: bytes, piece: bytes, total: int) -> bytes:
    """Sends up to `total` bytes of body; the answer's first bytes, empty if the connection was cut before it."""
    with closing(service_socket(service)) as connection:
        with suppress(OSError):
            connection.sendall(first)
            for _ in range(total // len(piece)):
                connection.sendall(piece)
        with suppress(OSError):
            return connection.recv(65_536)
    return b""


def service_socket(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


class Others(threading.Thread):
    """Somebody else, who asks for decisions all the while."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.statuses: set[int] = set()
        self._service = service
        self._done = threading.Event()

    def run(self) -> None:
        with self._service.client() as client:
            while not self._done.is_set():
                began = time.monotonic()
                self.statuses.add(client.post("/v1/decisions", json=ASK).status_code)
                self.seconds.append(time.monotonic() - began)
                time.sleep(0.005)

    def finish(self) -> None:
        self._done.set()
        self.join(30)


@contextmanager
def answered(service: Service) -> Iterator[Others]:
    others = Others(service)
    others.start()
    try:
        yield others
    finally:
        others.finish()
    assert others.statuses == {200}


@pytest.mark.parametrize("times", short_and_full(2, 30))
def test_huge_and_endless_bodies_are_cut_off_and_others_answered(tmp_path: Path, tell: Tell, times: int) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    attempts: list[Callable[[Service], bytes]] = [
        lambda s: send_until_refused(s, head("/v1/signals", f"Content-Length: {HUGE}"), b" " * 65_536, HUGE),
        lambda s: send_until_refused(s, head("/v1/decisions", f"Content-Length: {HUGE}"), b" " * 65_536, HUGE),
        lambda s: send_until_refused(s, head("/v1/signals", "Transfer-Encoding: chunked"), chunk, HUGE),
        lambda s: send_until_refused(s, head("/v1/decisions", "Transfer-Encoding: chunked"), chunk, HUGE),
    ]
    with serve(tmp_path / "data") as service:
        for attempt in attempts:  # whatever is allocated once
            attempt(service)
        pid = service.pid("api")
        before, refused, cut = resident(pid), 0, 0
        with answered(service) as others:
            for attempt in attempts * times:
                answer = attempt(service)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
                refused += answer.startswith(b"HTTP/1.1 413")
                cut += answer == b""
        growth = resident(pid) - before
        assert service.pid("api") == pid
    assert refused + cut == len(attempts) * times
    assert growth < MOST_RSS_GROWTH
    tell(
        f"fault 18: {refused + cut} bodies of 200 MiB: {refused} answered 413, {cut} cut off while sending; RSS delta "
        f"{growth / 2**20:.1f} MiB; others {len(others.seconds)} answers, p99 {_p99(others)}"
    )


@pytest.mark.parametrize("sockets", short_and_full(60, 300))
def test_slow_bodies_slow_readers_and_half_open_sockets_are_let_go(tmp_path: Path, tell: Tell, sockets: int) -> None:
    """A third each of bodies that come a byte at a time, readers that never read, and connections that say nothing."""
    big = json.dumps({**ASK, "explain": "full"}).encode()
    request = head("/v1/decisions", f"Content-Length: {len(big)}") + big
    with serve(tmp_path / "data") as service, ExitStack() as stack:
        pid = service.pid("api")
        before = resident(pid)
        held = [stack.enter_context(closing(service_socket(service))) for _ in range(sockets)]
        slow, readers, silent = held[0::3], held[1::3], held[2::3]
        with answered(service) as others:
            for connection in slow:
                connection.sendall(head("/v1/decisions", "Content-Length: 1000") + b"{")
            for connection in readers:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
                with suppress(OSError):
                    connection.sendall(request * 50)
            until = time.monotonic() + BODY_SECONDS + 0.5
            while time.monotonic() < until:
                for connection in slow:
                    with suppress(OSError):
                        connection.sendall(b" ")
                time.sleep(0.3)
            too_slow = [connection.recv(65_536) for connection in slow]
        assert [answer[:12] for answer in too_slow] == [b"HTTP/1.1 408"] * len(slow)
        assert [connection.recv(10) for connection in silent[:3]] == [b""] * len(silent[:3])
        growth = resident(pid) - before
        assert service.is_ready()
        assert service.pid("api") == pid
    assert growth < MOST_RSS_GROWTH
    tell(
        f"fault 18: {sockets} sockets: {len(slow)} slow bodies answered 408, {len(readers)} readers that do not read, "
        f"{len(silent)} silent ones let go; RSS delta {growth / 2**20:.1f} MiB; others {len(others.seconds)} answers, "
        f"p99 {_p99(others)}"
    )


def _p99(others: Others) -> str:
    return f"{percentile(others.seconds, 0.99) * 1000:.0f} ms"
