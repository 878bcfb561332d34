"""`membrane decide --batch`: how fast a file of requests goes through one API, and what both ends hold of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from bench import workloads
from bench.decisions import Size, copied
from bench.machine import cpu_seconds, resident_mib
from bench.rows import Row
from bench.service import ROOT, Running, start

CANDIDATES: Final = 3
_LOOK_SECONDS: Final = 0.2


def whole_file(size: Size, lines: int) -> Iterator[Row]:
    """So many requests of three candidates each, about customers drawn evenly (seed 11), the log on."""
    with (
        copied(workloads.store(size.customers, size.days)) as data,
        start("up", data, "--clock", "signals") as up,
        tempfile.TemporaryDirectory(prefix="membrane-bench-") as folder,
    ):
        asks, answers = Path(folder) / "asks.ndjson", Path(folder) / "answers.ndjson"
        _write(asks, size.customers, lines)
        yield _sent(up, up.child("api"), asks, answers, lines)


def _write(path: Path, customers: int, lines: int) -> None:
    random = Random(11)
    with path.open("wb") as file:
        file.writelines(workloads.ask(f"c-{random.randrange(customers)}", CANDIDATES) + b"\n" for _ in range(lines))


def _sent(up: Running, api: int, asks: Path, answers: Path, lines: int) -> Row:
    before, spent, began = resident_mib(api), cpu_seconds(api), time.monotonic()
    words = ["decide", "--batch", asks, "--out", answers, "--url", f"http://127.0.0.1:{up.port}", "--json"]
    client = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    most_api, most_client = before, 0.0
    while client.poll() is None:
        most_api = max(most_api, resident_mib(api))
        most_client = max(most_client, _resident(client.pid))
        time.sleep(_LOOK_SECONDS)
    seconds, spent = time.monotonic() - began, cpu_seconds(api) - spent
    told = json.loads(client.stdout.read()) if client.stdout else {}
    answered = _answered(answers)
    if client.returncode or answered != lines:
        raise RuntimeError(f"bench: of {lines:,} lines {answered:,} were answered: {told}")
    return Row(
        f"a batch of {lines:,} lines, three candidates each", "customers/s", lines / seconds, f"{lines:,} lines",
        note=f"{spent / lines * 1e6:.0f} µs CPU of the API a line; the API {before:.0f} -> at most {most_api:.0f} MiB, "
        f"the client at most {most_client:.0f} MiB; every line answered with verdicts",
    )  # fmt: skip


def _resident(pid: int) -> float:
    try:
        return resident_mib(pid)
    except (OSError, LookupError):  # it has just ended
        return 0.0


def _answered(path: Path) -> int:
    """How many lines hold verdicts."""
    count = 0
    with path.open("rb") as file:
        while part := list(islice(file, 10_000)):
            count += sum(b'"verdicts":[{' in line for line in part)
    return count
