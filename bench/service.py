"""Membrane's own processes, as an operator starts them, for a benchmark to measure."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
_DEADLINE_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Running:
    """A started process that listens on a port of 127.0.0.1, and how long it took to be ready."""

    pid: int
    port: int
    data: Path
    ready_seconds: float

    def child(self, role: str) -> int:
        """The pid of `api` or `stream` under `membrane up`."""
        return int((self.data / "run" / f"{role}.pid").read_text())

    def ask(self, method: str, path: str, body: bytes | None = None, media_type: str = "application/json") -> bytes:
        """One request; RuntimeError unless the answer is 2xx."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, {"Content-Type": media_type})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def membrane(*words: object) -> Any:
    """What `membrane WORDS --json` prints."""
    command = [sys.executable, "-m", "cli.main", *map(str, words), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


@contextmanager
def start(kind: str, data: Path, *options: object) -> Iterator[Running]:
    """`membrane KIND --data DATA OPTIONS`, ready; ended by SIGTERM."""
    port = free_port()
    words = [sys.executable, "-m", "cli.main", kind, "--data", data, "--port", port, *options]
    with _process([str(word) for word in words]) as process:
        seconds = wait_until_it_answers(process, port, "/readyz")
        yield Running(process.pid, port, data, seconds)


@contextmanager
def start_bare(answer: Path) -> Iterator[Running]:
    """`bench.bare`: the same server with the same settings, which reads the body and sends the bytes of a file."""
    port = free_port()
    with _process([sys.executable, "-m", "bench.bare", str(port), str(answer)]) as process:
        seconds = wait_until_it_answers(process, port, "/")
        yield Running(process.pid, port, answer.parent, seconds)


@contextmanager
def _process(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(words, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(_DEADLINE_SECONDS)


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int, path: str) -> float:
    """Waits for a 200 of a path; how many seconds it took. RuntimeError if the process ends, or after two minutes."""
    began = time.monotonic()
    while time.monotonic() - began < _DEADLINE_SECONDS:
        if process.poll() is not None:
            raise RuntimeError(f"a process to measure ended with {process.returncode}")
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.005)
    raise RuntimeError(f"a process to measure was not ready within {_DEADLINE_SECONDS:g} s")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MEMBRANE_")}
