"""What a scrape of /metrics costs, and how many series it has, with so many customers: `python -m bench.scrape N ...`.

The customers' records are copies of one: a scrape reads counts, and this shows that it reads nothing that grows.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from bench.service import start as started
from membrane.entries import MAX_TENANTS
from membrane.ports import Commit, partition_of
from membrane.record import Record, State, encode
from membrane.times import HOUR
from membrane.tracker import start
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.records import RecordStore
from stream.meta import carry_entries, read_meta, write_meta

SCRAPES: Final = 200
STARTED_SECONDS: Final = 8.0
"""Until what `up` starts beside the API (the learner) has loaded its libraries."""
OBLIGATIONS: Final = 0.1
BLOCK: Final = 20_000


def fill(path: Path, customers: int) -> None:
    """Records of so many customers, a tenth as many obligations, and entries into crisis of the most tenants."""
    directory, now = DataDir.existing(path), wall_ms()
    body = encode(Record("default", "c", 1, now, 0, State(first_at=now - HOUR, last_at=now), start(now)))
    owed = msgspec.json.encode({"kind": "agent_call", "principle": "p", "opened_at": "2026-11-14T09:00:00Z"})
    names: list[list[str]] = [[] for _ in range(directory.partitions)]
    for number in range(customers):
        names[partition_of("default", f"c-{number}", directory.partitions)].append(f"c-{number}")
    for partition, those in enumerate(names):
        with closing(RecordStore.open_for_writing(directory, partition)) as store:
            found = store.meta()
            meta = read_meta(found.meta)
            meta.stages, meta.lifecycles = {"default": {"steady": len(those)}}, {"default": {"new": len(those)}}
            hours = [(f"tenant-{tenant}", now - hour * HOUR) for tenant in range(MAX_TENANTS) for hour in range(168)]
            meta.last_tick = now
            carry_entries(meta, [(0, *one) for one in hours], now)
            for first in range(0, len(those), BLOCK):
                block = those[first : first + BLOCK]
                commit = Commit(next_offset=found.next_offset, meta=write_meta(meta))
                commit.records = [("default", name, body) for name in block]
                commit.due = [("default", name, None) for name in block]
                commit.obligations = [
                    (f"o-{name}", "default", name, "open", "service", now, owed)
                    for name in block[: int(len(block) * OBLIGATIONS)]
                ]
                store.commit(commit)
                store.checkpoint(0)


def measure(customers: int) -> None:
    """Says it in one line: the median and the 99th percentile of the wall time, bytes and series."""
    folder = Path(tempfile.mkdtemp(prefix="membrane-scrape-"))
    try:
        with started("up", folder / "data"):
            pass
        fill(folder / "data", customers)
        with started("up", folder / "data") as up:
            time.sleep(STARTED_SECONDS)
            up.ask("GET", "/metrics")
            taken = []
            for _ in range(SCRAPES):
                began = time.perf_counter()
                text = up.ask("GET", "/metrics").decode()
                taken.append((time.perf_counter() - began) * 1000)
        series = sum(not line.startswith("#") for line in text.splitlines())
        said = next(line for line in text.splitlines() if line.startswith('membrane_customers{stage="steady"}'))
        p99 = sorted(taken)[int(0.99 * SCRAPES)]
        print(
            f"{customers:,} customers ({said}): p50 {statistics.median(taken):.1f} ms, p99 {p99:.1f} ms of {SCRAPES}, "
            f"{len(text) / 1024:.0f} KiB, {series} series"
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    for size in sys.argv[1:]:
        measure(int(size))
