"""`make peers`: the same work done by other tools, in one run, beside ours. What each does less or more is in
docs/performance.md."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench import machine, report, workloads
from bench.decisions import CONNECTIONS, Size, bare_of, copied
from bench.generator import run
from bench.service import ROOT, free_port, start, wait_until_it_answers
from membrane.times import parse_time

PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"
HERE: Final = Path(__file__).parent
SIZE: Final = Size(5_000, 5, 5.0, 1)
ROUNDS: Final = 3
MOST_FOR_BYTEWAX: Final = 2_000
"""Its windows take about a millisecond an event, and more the more there are: so many in reasonable time."""
_WINDOWS: Final = {
    "Membrane's tiles, three sums read after every event": "ours.py",
    "Quix Streams' state store under the same tiles": "quix_state.py",
    "Pathway's sliding windows": "pathway_windows.py",
    "Bytewax's sliding windows": "bytewax_windows.py",
}
_ROUTES: Final = {
    "FastAPI + pydantic + Valkey, eight rules in Python": "rules",
    "FastAPI + pydantic + Valkey, eight rules in CEL": "cel",
}


def main() -> int:
    """Measures and prints; the tables go into docs/performance.md."""
    if not PYTHON.exists():
        print(f"bench: {PYTHON.relative_to(ROOT)} is required (`make peers` makes it)", file=sys.stderr)
        return 2
    windows = list(_windows())
    routes = list(_routes())
    done = {"machine": machine.facts(), "windows": windows, "routes": routes}
    (ROOT / "bench" / "results" / "peers.json").write_text(json.dumps(done, indent=1) + "\n")
    report.write_peers(ROOT / "docs" / "performance.md", windows, routes)
    return 0


def _windows() -> Iterator[dict[str, Any]]:
    """Microseconds of CPU for an event, the least of three runs."""
    events = _events()
    for what, script in _WINDOWS.items():
        given = _first(events, MOST_FOR_BYTEWAX) if script == "bytewax_windows.py" else events
        python = sys.executable if script == "ours.py" else str(PYTHON)
        found = []
        for _ in range(ROUNDS):
            done = subprocess.run(
                [python, str(HERE / script), str(given)], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, check=True,
            )  # fmt: skip
            found.append(json.loads(done.stdout.splitlines()[-1]))
        micros = min(one["cpu"] / one["events"] for one in found) * 1e6
        yield {"what": what, "micros": micros, "events": found[0]["events"]}
        print(f"{what}: {micros:.1f} µs of CPU an event", flush=True)


def _first(events: Path, count: int) -> Path:
    """The first so many events."""
    path = events.with_suffix(f".first-{count}")
    with events.open(encoding="utf-8") as file:
        path.write_text("".join(islice(file, count)))
    return path


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/tmp"}  # noqa: S108 - nothing is written there


def _events() -> Path:
    """Customer and time of each signal of `uniform-N`, by time."""
    source = workloads.signals(SIZE.customers, SIZE.days)
    path = source.with_suffix(".events")
    if not path.exists():
        with source.open(encoding="utf-8") as file:
            signals = [json.loads(line) for line in file]
        events = sorted((parse_time(one["time"]), one["subject"]) for one in signals)
        path.write_text("".join(json.dumps({"c": customer, "t": t}) + "\n" for t, customer in events))
    return path


def _routes() -> Iterator[dict[str, Any]]:
    """CPU of the serving process and answers a second, one candidate, saturated."""
    asks = workloads.asks(SIZE.customers, 1)
    with copied(workloads.store(SIZE.customers, SIZE.days)) as data, start("up", data, "--clock", "signals") as up:
        api = replace(up, pid=up.child("api"))
        yield _measured("Membrane", api.pid, api.port, asks)
        with bare_of(api, workloads.ask("c-1", 1)) as bare:
            yield _measured("the bare route of its server", bare.pid, bare.port, asks)
    with _valkey() as socket:
        for what, kind in _ROUTES.items():
            port = free_port()
            words = [str(PYTHON), str(HERE / "fastapi_redis.py"), str(port), socket, kind]
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until_it_answers(process, port, "/openapi.json")
                yield _measured(what, process.pid, port, asks)
            finally:
                process.terminate()
                process.wait(10)


@contextmanager
def _valkey() -> Iterator[str]:
    words = [str(PYTHON), str(HERE / "fill.py"), str(SIZE.customers)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or not (socket := process.stdout.readline().strip()):
            raise RuntimeError("bench: Valkey did not start")
        yield socket


def _measured(what: str, pid: int, port: int, asks: Path) -> dict[str, Any]:
    run(port, asks, rate=0, seconds=1.0, connections=CONNECTIONS)
    spent, began = machine.cpu_seconds(pid), time.monotonic()
    found = run(port, asks, rate=0, seconds=SIZE.seconds, connections=CONNECTIONS)
    micros = (machine.cpu_seconds(pid) - spent) / found.answered * 1e6
    per_second = found.answered / (time.monotonic() - began)
    print(f"{what}: {micros:.0f} µs of CPU a decision, {per_second:,.0f}/s; {found.failed} failed", flush=True)
    return {"what": what, "micros": micros, "per_second": per_second, "failed": found.failed}


if __name__ == "__main__":
    sys.exit(main())
