"""Membrane's processes for tests: started on free ports, asked over loopback, killed by the pid that they told."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from membrane.errors import MembraneError
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_SECONDS = 150.0
SINGLE = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS, every: float = 0.01
) -> None:
    """Polls until the condition holds; AssertionError names `what` did not come in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(every)


def command(*words: object) -> list[str]:
    """`membrane WORDS`, by the interpreter that runs the tests."""
    return [sys.executable, "-m", "cli.main", *map(str, words)]


def environment() -> dict[str, str]:
    """Ours without options of Membrane's; `up` runs no learner unless it is told to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEMBRANE_")}
    return {**kept, "MEMBRANE_LEARN": "off"}


def run(*words: object, seconds: float = DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
    """`membrane WORDS` to its end, whatever its exit code."""
    return subprocess.run(
        command(*words), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=seconds, check=False
    )


def run_json(*words: object, seconds: float = DEADLINE_SECONDS) -> Any:
    """What `membrane WORDS --json` prints; it must succeed."""
    done = run(*words, "--json", seconds=seconds)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def digest(data: Path) -> dict[str, Any]:
    """What `membrane digest` says."""
    found: dict[str, Any] = run_json("digest", "--data", data)
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A running `membrane up|serve|stream`; its standard error is kept in a file."""

    process: subprocess.Popen[bytes]
    data: Path
    port: int
    errors_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        """Asks the API; one connection is kept."""
        # No TLS here, and its context is dear to make.
        given = {"timeout": DEADLINE_SECONDS, "verify": False, "trust_env": False, **options}
        return httpx.Client(base_url=self.url, **given)

    def pid(self, role: str) -> int:
        """The living pid that DIR/run/<role>.pid holds (`up`, `api`, `stream`, `learn`)."""
        path, found = self.data / "run" / f"{role}.pid", 0

        def is_there() -> bool:
            nonlocal found
            with suppress(OSError, ValueError):
                found = int(path.read_text())
                os.kill(found, 0)
                return True
            return False

        wait_until(is_there, f"a live pid in {path}")
        return found

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def errors(self) -> str:
        """What it said on standard error so far."""
        return self.errors_path.read_text(errors="replace")

    def wait_ready(self) -> None:
        """Returns once it is ready; AssertionError, with its own words, if it ends before."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.errors()}"
            return self.is_ready()

        wait_until(is_ready, "readiness")

    def wait_applied(self) -> None:
        """Returns once the stream has applied the whole log."""
        wait_applied(self.data)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; the exit code, once it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """SIGKILL, and whatever it had started has ended, too."""
        children = _children(self.process.pid)
        self.stop(signal.SIGKILL)
        wait_until(lambda: not any(map(_lives, children)), "the end of its children")


@contextmanager
def service(
    kind: str, data: Path, *options: object, prefix: Sequence[str] = (), port: int = 0, ready: bool = True
) -> Iterator[Service]:
    """`membrane KIND --data DATA OPTIONS` while the block runs, ready at its start unless told; killed at its end.

    `prefix` goes before the command line (strace, say).
    """
    port = port or (free_port() if kind != "stream" else 0)
    listen = () if kind == "stream" else ("--port", port)
    data.parent.mkdir(parents=True, exist_ok=True)
    errors_path = data.parent / f"{data.name}.{kind}.{time.monotonic_ns()}.err"
    words = [*prefix, *command(kind, "--data", data, *listen, *options)]
    with errors_path.open("wb") as errors:
        process = subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=errors)
    running = Service(process, data, port, errors_path)
    try:
        if ready and kind != "stream":
            running.wait_ready()
        yield running
    finally:
        for child in _children(process.pid) if prefix else ():
            os.kill(child, signal.SIGKILL)  # a tracer that is killed lets go of what it traces
        running.kill()


def up(data: Path, *options: object, **more: Any) -> Any:
    """`membrane up`."""
    return service("up", data, *options, **more)


def serve(data: Path, *options: object, **more: Any) -> Any:
    """`membrane serve`: the API alone."""
    return service("serve", data, *options, **more)


def stream(data: Path, *options: object, **more: Any) -> Any:
    """`membrane stream`: the stream alone."""
    return service("stream", data, *options, **more)


def offsets(data: Path) -> tuple[list[int], list[int]]:
    """By partition: the next offset that the stream will apply, and the end of the log."""
    directory = DataDir.existing(data)
    records, log = RecordReader(directory), LogReader(directory)
    try:
        partitions = range(directory.partitions)
        return [records.meta(p).next_offset for p in partitions], [log.end(p) for p in partitions]
    finally:
        records.close()
        log.close()


def applied(data: Path) -> int:
    """How many records of the log the stream has applied; -1 while that cannot be told."""
    try:
        return sum(offsets(data)[0])
    except (MembraneError, OSError):
        return -1


def wait_applied(data: Path, seconds: float = DEADLINE_SECONDS * 5) -> None:
    """Returns once the stream has applied the whole log."""

    def is_applied() -> bool:
        try:
            done, ends = offsets(data)
        except MembraneError:
            return False
        return done == ends

    wait_until(is_applied, "the log applied", seconds, every=0.02)


def event(number: object, kind: str, customer: str, time_text: str, /, **data: Any) -> dict[str, Any]:
    """A CloudEvent."""
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "tests",
        "type": f"cx.{kind}.v1",
        "subject": customer,
        "time": time_text,
        "data": data,
    }


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
