"""The stream: how fast one process and two apply a log made beforehand, what a signal costs at three sizes."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import apsw

from bench import workloads
from bench.decisions import Size, copied
from bench.machine import cpu_seconds, resident_mib
from bench.rows import Bound, Row, at_least, at_most, below
from bench.service import ROOT, start
from membrane.errors import MembraneError
from membrane.ports import RecordKind
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

SIZES: Final = ((10_000, 5), (100_000, 3), (1_000_000, 1))
"""Customers and days of signals."""
_LOOK_SECONDS: Final = 0.05
Sizes = list[dict[str, float]]


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


def drain(
    data: Path,
    *,
    runner: str = "bytewax",
    processes: int = 1,
    watched: Callable[[int], AbstractContextManager[None]] = lambda _pid: nullcontext(),
) -> Drained:
    """Run the stream over the rest of a log. `signals` is what lay between the first commit seen and the end; the first
    process is `watched` meanwhile."""
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
        with watched(running[0].pid):
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
    yield _rate(size, f"stream, one process, {name}", log, at_least(12_000), at_least(30_000))
    if uci is not None:
        log = workloads.log("uci", workloads.incidents(uci))
        yield _rate(size, "stream, one process, uci_incidents", log, at_least(20_000), at_least(50_000))


def _rate(size: Size, what: str, log: Path, must: Bound, aim: Bound) -> Row:
    found: list[Drained] = []
    for _ in range(size.rounds):
        with copied(log) as data:
            found.append(drain(data))
    cpu, n = median(one.cpu_micros for one in found), f"{found[0].signals:,} signals, {size.rounds} rounds"
    return Row(
        what, "signals/s", median(one.per_second for one in found), n, must, aim,
        note=f"{cpu:.0f} µs CPU a signal; {max(one.resident_mib for one in found):.0f} MiB resident",
        details={"rounds": [vars(one) for one in found]},
    )  # fmt: skip


def two_processes(size: Size) -> Iterator[Row]:
    """Two processes that share the partitions, against one."""
    log = workloads.log(f"uniform-{size.customers}x{size.days}", workloads.signals(size.customers, size.days))
    ratios: list[float] = []
    for _ in range(size.rounds):
        rates = []
        for processes in (1, 2):
            with copied(log) as data:
                rates.append(drain(data, processes=processes).per_second)
        ratios.append(rates[1] / rates[0])
    yield Row("two stream processes against one", "×", median(ratios), f"{size.rounds} rounds", at_least(1.6))


def restart(size: Size) -> Iterator[Row]:
    """Restart with the log applied: exec to readyz."""
    with copied(workloads.store(size.customers, size.days)) as data:
        seconds = []
        for _ in range(size.rounds):
            with start("up", data, "--clock", "signals") as service:
                seconds.append(service.ready_seconds)
        yield Row(
            f"exec to readyz, {size.customers:,} customers, log applied", "s", median(seconds), f"{size.rounds} starts",
            below(5), below(2),
        )  # fmt: skip


def at_size(customers: int, days: int) -> dict[str, float]:
    """What a signal costs and what a customer takes, with so many customers: for the plot and the table."""
    name = f"uniform-{customers}x{days}"
    simulated = _simulated(customers, days)
    with copied(workloads.log(name, workloads.signals(customers, days))) as data:
        log_bytes = _size(data, "log.db*")
        done = drain(data)
        records, greatest = _record_bytes(data)
        with start("up", data, "--clock", "signals") as service:
            ready, api = service.ready_seconds, resident_mib(service.child("api"))
        return {
            "customers": customers,
            "signals": done.signals,
            "simulated per second": simulated["per_second"],
            "simulator MiB": simulated["mib"],
            "stream: signals/s": done.per_second,
            "stream: CPU µs a signal": done.cpu_micros,
            "stream MiB": done.resident_mib,
            "log bytes a customer": log_bytes / customers,
            "store bytes a customer": _size(data, "records-*.db*") / customers,
            "record bytes, mean": records,
            "record bytes, greatest": greatest,
            "exec to readyz, s": ready,
            "API MiB": api,
        }


def growth(sizes: Sizes) -> Iterator[Row]:
    """The targets that need more than one size."""
    small, large = sizes[0], sizes[-1]
    cost = "stream: CPU µs a signal"
    n = f"{small['customers']:,} and {large['customers']:,} customers"
    yield Row(
        "a signal at the largest size less at the smallest: CPU", "µs", large[cost] - small[cost], n, at_most(25),
        at_most(10),
    )  # fmt: skip
    yield Row("record bytes, greatest", "B", max(one["record bytes, greatest"] for one in sizes), n, at_most(4096))
    yield Row("record bytes, mean", "B", large["record bytes, mean"], n, at_most(1536), at_most(700))
    yield Row("exec to readyz, log applied", "s", large["exec to readyz, s"], n, below(5), below(2))


def _simulated(customers: int, days: int) -> dict[str, float]:
    """The simulator alone: signals a second, and the most memory it took."""
    words = [sys.executable, "-m", "cli.main", "simulate-customers", "--customers", customers, "--days", days]
    with tempfile.TemporaryDirectory(prefix="membrane-bench-") as folder:
        out = Path(folder) / "signals"
        words += ["--seed", workloads.SEED, "--out", out, "--truth", Path(folder) / "truth"]
        began = time.monotonic()
        process = subprocess.Popen([str(word) for word in words], cwd=ROOT, stdout=subprocess.DEVNULL)
        most = 0.0  # what wait4 tells is at least what this process had when it started the other
        while process.poll() is None:
            with suppress(OSError, LookupError):
                most = max(most, resident_mib(process.pid))
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - began
        if process.returncode:
            raise RuntimeError(f"bench: the simulator ended with {process.returncode}")
        with out.open("rb") as file:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return {"per_second": lines / seconds, "mib": most}


def _size(data: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in data.glob(pattern))


def _record_bytes(data: Path) -> tuple[float, int]:
    """The mean and the greatest length of a stored record."""
    count = total = greatest = 0
    for path in data.glob("records-*.db"):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        row: Any = connection.execute("SELECT count(*), sum(length(body)), max(length(body)) FROM records").fetchall()[
            0
        ]
        connection.close()
        count, total, greatest = count + row[0], total + (row[1] or 0), max(greatest, row[2] or 0)
    return total / max(1, count), greatest
