"""What a figure was measured on, and what the machine did meanwhile: versions, stolen time, CPU and memory."""

from __future__ import annotations

import os
import platform
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

PACKAGES: Final = ("apsw", "bytewax", "cel-expr-python", "fastapi", "msgspec", "numpy", "onnxruntime", "uvicorn")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def facts() -> dict[str, Any]:
    """The machine and the versions, for the report."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def pace() -> float:
    """Milliseconds of CPU for a million additions in Python: how fast a core is just now, for it changes by half."""
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began) * 1000


def cpu_seconds(pid: int) -> float:
    """utime + stime of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_by_thread(pid: int) -> dict[int, float]:
    """The same, for each thread by its id."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def resident_mib(pid: int) -> float:
    """What a process holds in memory, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


class Steal(threading.Thread):
    """Samples /proc/stat ten times a second; tells which share of a window the hypervisor took away."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen: list[tuple[int, int, int]] = []  # (ns of CLOCK_MONOTONIC, stolen ticks, all ticks)
        self._done = threading.Event()
        self._sample()

    def __enter__(self) -> Steal:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
        self._sample()

    def run(self) -> None:
        while not self._done.wait(0.1):
            self._sample()

    def _sample(self) -> None:
        ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        self._seen.append((time.monotonic_ns(), ticks[7], sum(ticks)))

    def shares(self, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The stolen share of each window between consecutive `edges` (ns)."""
        at, stolen, whole = (np.array(column, dtype=np.float64) for column in zip(*self._seen, strict=True))
        took = np.diff(np.interp(edges, at, stolen))
        return np.asarray(took / np.maximum(np.diff(np.interp(edges, at, whole)), 1e-9))
