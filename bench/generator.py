"""Drives load.c, the open-loop generator, and reads what it measured."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.machine import Steal

WINDOW_NS: Final = 500_000_000
KEPT_SHARE: Final = 0.5
"""The share of windows, those with the least stolen time, that `quiet` figures are taken from."""
_SAMPLE: Final = np.dtype([("planned", "<u8"), ("micros", "<u4"), ("status", "<u4")])


def can_be_built() -> bool:
    """Whether there is a C compiler."""
    return _compiler() is not None


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


@cache
def program() -> Path:
    """The generator, compiled for this run."""
    target = Path(tempfile.mkdtemp(prefix="membrane-bench-")) / "load"
    words = [str(_compiler()), "-O2", "-o", str(target), str(Path(__file__).with_name("load.c"))]
    subprocess.run(words, check=True)
    return target


def request(method: str, path: str, body: bytes, media_type: str = "application/json") -> bytes:
    """A whole HTTP/1.1 request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """The generator's input: each request behind its length."""
    with path.open("wb") as file:
        for one in requests:
            file.write(struct.pack("<I", len(one)) + one)
    return path


@dataclass(frozen=True)
class Latencies:
    """What one run of the generator saw; milliseconds, from the planned moment of each request."""

    samples: npt.NDArray[np.void]
    quiet: npt.NDArray[np.bool_]  # of each sample: whether its window is among those with the least stolen time
    steal: float
    quiet_steal: float
    seconds: float

    @property
    def answered(self) -> int:
        return int((self.samples["status"] // 100 == 2).sum())

    @property
    def failed(self) -> int:
        return len(self.samples) - self.answered

    def ms(self, percent: float, *, quiet: bool = True) -> float:
        """A percentile of the latencies, of the quiet windows or of all."""
        chosen = self.samples["micros"][self.quiet] if quiet else self.samples["micros"]
        return float(np.percentile(chosen, percent)) / 1000 if len(chosen) else float("nan")

    def summary(self) -> dict[str, Any]:
        return {
            "requests": len(self.samples),
            "failed": self.failed,
            "per_second": round(self.answered / self.seconds, 1),
            "p50_ms": round(self.ms(50), 3),
            "p99_ms": round(self.ms(99), 3),
            "p50_ms_all": round(self.ms(50, quiet=False), 3),
            "p99_ms_all": round(self.ms(99, quiet=False), 3),
            "steal": round(self.steal, 4),
            "steal_quiet": round(self.quiet_steal, 4),
        }


def run(port: int, requests: Path, *, rate: float, seconds: float, connections: int) -> Latencies:
    """Load for some seconds at `rate` a second; 0 is a closed loop on all connections."""
    with tempfile.NamedTemporaryFile() as out, Steal() as steal:
        words = [program(), port, rate, seconds, connections, requests, out.name]
        subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
        samples = np.fromfile(out.name, dtype=_SAMPLE)
    samples = np.sort(samples, order="planned")
    return _windowed(samples, steal, seconds)


def _windowed(samples: npt.NDArray[np.void], steal: Steal, seconds: float) -> Latencies:
    begin = int(samples["planned"][0])
    count = max(1, int(seconds * 1e9) // WINDOW_NS)
    edges = begin + WINDOW_NS * np.arange(count + 1, dtype=np.int64)
    shares = steal.shares(edges)
    kept = np.argsort(shares, kind="stable")[: max(1, int(count * KEPT_SHARE))]
    window = np.minimum((samples["planned"] - begin) // WINDOW_NS, count - 1)
    return Latencies(samples, np.isin(window, kept), float(shares.mean()), float(shares[kept].mean()), seconds)
