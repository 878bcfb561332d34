"""The API as a process of its own, over loopback sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from membrane.errors import UsageError
from serving.http import listening_socket
from serving.limits import BODY_SECONDS, HEADER_SECONDS

DEADLINE = 120.0
PROGRAM = """
import sys
from pathlib import Path
from serving.config import ServeConfig
from serving.run import serve
data, port, more = sys.argv[1:]
sys.exit(serve(ServeConfig(data=Path(data), port=int(port), partitions=2, **eval(more))))
"""
UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
DECISION = json.dumps({"customer": "c-1", "candidates": [UPSELL]}).encode()


@dataclass
class Process:
    """A running API."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(data: Path, port: int, **config: object) -> Process:
    """Starts an API."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(data), str(port), repr(config)]
    return Process(subprocess.Popen(command, cwd=Path(__file__).parents[2]), port)


def start(data: Path, port: int | None = None, **config: object) -> Process:
    """Starts an API and waits until it answers."""
    api = launch(data, port or free_port(), **config)
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until and api.process.poll() is None:
        try:
            httpx.get(api.url + "/readyz").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.02)
        else:
            return api
    api.process.kill()
    raise AssertionError("the API did not become ready")


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def process(tmp_path) -> Iterator[Process]:
    api = start(tmp_path / "data")
    yield api
    api.process.kill()
    api.process.wait()


def request(path: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: here", *headers]
    if not any(one.startswith("Transfer-Encoding") for one in headers):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while chunk := connection.recv(65_536):
        found += chunk
    return found


def test_an_empty_directory_is_made_and_served(process):
    answer = httpx.post(process.url + "/v1/decisions", content=DECISION)
    assert answer.json()["verdicts"][0]["verdict"] == "forbid"
    assert httpx.get(process.url + "/v1/principles").status_code == 200


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly_in_time(process, number, status):
    began = time.monotonic()
    assert process.stop(number) == status
    assert time.monotonic() - began < 5


def test_a_batch_is_answered_line_by_line_while_it_is_being_sent(process):
    def part(data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data)

    with process.connect() as connection, connection.makefile("rb") as answers:
        connection.sendall(request("/v1/decisions/batch", b"", "Transfer-Encoding: chunked"))
        for number in range(20):
            connection.sendall(part(b"{\n" if number % 5 == 4 else DECISION + b"\n"))
            if number == 0:
                head = b"".join(iter(answers.readline, b"\r\n"))
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"transfer-encoding: chunked" in head
            size = int(answers.readline(), 16)
            answer = json.loads(answers.read(size + 2))
            assert answer.get("line", number + 1) == number + 1
            assert answer.get("status") == (400 if number % 5 == 4 else None)
        connection.sendall(part(b""))
        assert answers.readline() == b"0\r\n"


def test_requests_in_flight_are_answered_before_it_ends(process):
    """Each client asks on one kept connection until that closes; an answer that was begun is whole and good."""
    answers: list[bytes] = []

    def ask() -> None:
        with process.connect() as connection, suppress(OSError):
            while True:
                connection.sendall(request("/v1/decisions", DECISION))
                answer = connection.recv(65_536)
                if not answer:
                    return
                answers.append(answer if answer.endswith(b"}") else answer + connection.recv(65_536))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answers) >= 50)
    assert process.stop() == 0
    for thread in threads:
        thread.join(DEADLINE)
    assert [answer for answer in answers if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"}"))] == []


def test_a_body_that_never_ends_does_not_keep_it_from_ending(process):
    with process.connect() as slow:
        slow.sendall(request("/v1/decisions", b"{", length=100))
        time.sleep(0.05)
        began = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began < 5


def test_slow_headers_slow_bodies_and_idle_connections_are_let_go(process):
    began = time.monotonic()
    with process.connect() as headers, process.connect() as body, process.connect() as idle:
        headers.sendall(b"POST /v1/decisions HTTP/1.1\r\nHo")
        body.sendall(request("/v1/decisions", b"{", length=100))
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
        assert body.recv(65_536).startswith(b"HTTP/1.1 408")
        assert (read_all(headers), read_all(idle)) == (b"", b"")
    assert time.monotonic() - began < max(BODY_SECONDS, HEADER_SECONDS) + 4


def test_headers_without_an_end_are_cut_off_at_the_cap_and_not_by_their_deadline(process):
    began = time.monotonic()
    with process.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\nX: ")
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connection.sendall(b"x" * 10_000)
        with suppress(ConnectionResetError):
            assert read_all(connection)[:12] in {b"", b"HTTP/1.1 431"}
    assert time.monotonic() - began < HEADER_SECONDS - 1
    assert httpx.get(process.url + "/livez").status_code == 200


def test_what_is_no_http_is_refused_and_asking_to_upgrade_changes_nothing(process):
    with process.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x02 hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert httpx.get(process.url + "/livez", headers=upgrade).status_code == 200


def test_a_chunked_body_is_cut_off_at_the_cap(process):
    with process.connect() as connection:
        connection.sendall(request("/v1/decisions", b"", "Transfer-Encoding: chunked"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall((b"2800\r\n" + b" " * 0x2800 + b"\r\n") * 10_000)
    with process.connect() as connection:
        chunk = b"%x\r\n" % 65_537 + b" " * 65_537 + b"\r\n"
        connection.sendall(request("/v1/decisions", b"", "Transfer-Encoding: chunked") + chunk)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413")


def test_a_declared_length_beyond_the_cap_is_refused_without_reading(process):
    with process.connect() as connection:
        connection.sendall(request("/v1/decisions", b"", length=2**40))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413")


def test_connections_beyond_the_cap_are_told_so_and_the_others_are_served(tmp_path):
    api = start(tmp_path / "data", max_connections=4)
    held = [api.connect() for _ in range(40)]
    assert held[-1].recv(100).startswith(b"HTTP/1.1 503")
    for connection in held[:4]:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    descriptors = len(os.listdir(f"/proc/{api.process.pid}/fd"))  # noqa: PTH208 - counted, not walked
    for connection in held:
        connection.close()
    assert api.stop() == 0
    assert descriptors < 80


def test_two_processes_share_a_port_and_their_metrics(tmp_path):
    first = start(tmp_path / "data", share_port=True)
    second = start(tmp_path / "data", port=first.port, share_port=True)
    wait_for((tmp_path / f"data/run/metrics/counter_{second.process.pid}.db").exists)
    for _ in range(20):
        httpx.post(first.url + "/v1/decisions", content=DECISION)
    all_of_them = 'membrane_decisions_total{class="persuasion",verdict="forbid"} 20.0'
    wait_for(lambda: all_of_them in httpx.get(first.url + "/metrics").text)  # each tells them once a second
    assert (first.stop(), second.stop()) == (0, 0)


def test_it_ends_with_its_parent(tmp_path):
    assert launch(tmp_path / "data", free_port(), parent_pid=1).process.wait(DEADLINE) == 0


def test_a_port_that_is_taken_is_refused(process):
    with pytest.raises(UsageError, match=f"--port {process.port}"):
        listening_socket("127.0.0.1", process.port, share=False)


def test_after_decisions_it_maps_no_learner_and_no_dataflow_engine(process):
    for _ in range(20):
        httpx.post(process.url + "/v1/decisions", content=DECISION)
    maps = Path(f"/proc/{process.process.pid}/maps").read_text()
    assert [name for name in ("river", "sklearn", "pandas", "bytewax") if f"/{name}/" in maps] == []
