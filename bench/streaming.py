"""The stream: how fast one process and two apply a log made beforehand, what a signal costs at three sizes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import apsw

from bench import workloads
from bench.decisions import Size, copied
from bench.machine import cpu_seconds, resident_mib
from bench.rows import Bound, Row, at_least, below
from bench.service import ROOT, start
from membrane.errors import MembraneError
from membrane.ports import RecordKind
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

ROUNDS: Final = 3
SIZES: Final = ((10_000, 5), (100_000, 3), (1_000_000, 1))
"""Customers and days of signals."""


@dataclass(frozen=True)
class Drained:
    """A log applied to its end: from the first commit on, so that the start of the process is not counted."""

    records: int
    signals: int
    seconds: float
    cpu_seconds: float
    resident_mib: float

    @property
    def per_second(self) -> float:
        return self.signals / self.seconds

    @property
    def cpu_micros(self) -> float:
        return self.cpu_seconds / self.signals * 1e6


def drain(data: Path, *, runner: str = "bytewax", processes: int = 1) -> Drained:
    """Run the stream over the rest of a log. `signals` is what lay between the first commit seen and the end."""
    directory = DataDir.existing(data)
    log, records = LogReader(directory), RecordReader(directory)
    partitions = range(directory.partitions)
    end = sum(log.end(p) for p in partitions)
    share_of_signals = _signals(data) / max(1, end)

    def applied() -> int:
        try:
            return sum(records.meta(p).next_offset for p in partitions)
        except (MembraneError, OSError):
            return 0

    before = applied()
    with ExitStack() as stack:
        running = [
            stack.enter_context(_stream(data, "--runner", runner, "--share", f"{number}/{processes}"))
            for number in range(processes)
        ]
        while (first := applied()) <= before:
            time.sleep(0.002)
        began, spent = time.monotonic(), sum(cpu_seconds(one.pid) for one in running)
        while applied() < end:
            if any(one.poll() is not None for one in running):
                raise RuntimeError("a stream to measure has ended")
            time.sleep(0.05)  # who looks more often takes from the core that is measured
        seconds = time.monotonic() - began
        spent = sum(cpu_seconds(one.pid) for one in running) - spent
        resident = max(resident_mib(one.pid) for one in running)
    log.close()
    records.close()
    return Drained(end - first, round((end - first) * share_of_signals), seconds, spent, resident)


def _signals(data: Path) -> int:
    """How many of the log's records are signals; the others are ticks and revisions."""
    connection = apsw.Connection(str(data / "log.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = 0
        for partition in range(DataDir.existing(data).partitions):
            sql = f"SELECT count(*) FROM log_{partition} WHERE kind = {RecordKind.SIGNAL:d}"
            found += int(str(connection.execute(sql).fetchall()[0][0]))
        return found
    finally:
        connection.close()


@contextmanager
def _stream(data: Path, *options: object) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "cli.main", "stream", "--data", str(data), *map(str, options)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def whole_way(size: Size, uci: Path | None) -> Iterator[Row]:
    """One process, Bytewax: simulated customers, and the real incidents where they are at hand."""
    name = f"uniform-{size.customers}x{size.days}"
    log = workloads.log(name, workloads.signals(size.customers, size.days))
    yield _rate(f"stream, one process, {name}", log, at_least(12_000), at_least(30_000))
    if uci is not None:
        log = workloads.log("uci", workloads.incidents(uci))
        yield _rate("stream, one process, uci_incidents", log, at_least(20_000), at_least(50_000))


def _rate(what: str, log: Path, must: Bound, aim: Bound) -> Row:
    found: list[Drained] = []
    for _ in range(ROUNDS):
        with copied(log) as data:
            found.append(drain(data))
    cpu = median(one.cpu_micros for one in found)
    return Row(
        what, "signals/s", median(one.per_second for one in found), f"{found[0].signals:,} signals, {ROUNDS} rounds",
        must, aim, note=f"{cpu:.0f} µs CPU a signal; {max(one.resident_mib for one in found):.0f} MiB resident",
        details={"rounds": [vars(one) for one in found]},
    )  # fmt: skip


def two_processes(size: Size) -> Iterator[Row]:
    """Two processes that share the partitions, against one."""
    log = workloads.log(f"uniform-{size.customers}x{size.days}", workloads.signals(size.customers, size.days))
    ratios: list[float] = []
    for _ in range(ROUNDS):
        rates = []
        for processes in (1, 2):
            with copied(log) as data:
                rates.append(drain(data, processes=processes).per_second)
        ratios.append(rates[1] / rates[0])
    yield Row("two stream processes against one", "×", median(ratios), f"{ROUNDS} rounds", at_least(1.6))


def restart(size: Size) -> Iterator[Row]:
    """Restart with the log applied: exec to readyz."""
    with copied(workloads.store(size.customers, size.days)) as data:
        seconds = []
        for _ in range(ROUNDS):
            with start("up", data, "--clock", "signals") as service:
                seconds.append(service.ready_seconds)
        yield Row(
            f"exec to readyz, {size.customers:,} customers, log applied", "s", median(seconds), f"{ROUNDS} starts",
            below(5), below(2),
        )  # fmt: skip


def at_size(customers: int, days: int) -> dict[str, float]:
    """What a signal costs and what a customer takes, with so many customers: for the plot and the table."""
    name = f"uniform-{customers}x{days}"
    with copied(workloads.log(name, workloads.signals(customers, days))) as data:
        done = drain(data)
        size = {kind: sum(path.stat().st_size for path in data.glob(kind)) for kind in ("log.db*", "records-*.db*")}
        with start("up", data, "--clock", "signals") as service:
            ready, api = service.ready_seconds, resident_mib(service.child("api"))
    return {
        "customers": customers,
        "signals": done.signals,
        "cpu_micros_per_signal": done.cpu_micros,
        "log_bytes_per_customer": size["log.db*"] / customers,
        "record_bytes_per_customer": size["records-*.db*"] / customers,
        "ready_seconds": ready,
        "stream_mib": done.resident_mib,
        "api_mib": api,
    }
