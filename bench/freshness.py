"""Freshness and ingest: how fast signals are taken in and acknowledged, and how soon a decision knows of one."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench import workloads
from bench.decisions import Feed, Size, copied
from bench.generator import Latencies, request, run, write_requests
from bench.machine import cpu_seconds
from bench.rows import Row, at_least, below
from bench.service import Running, start

BATCH: Final = "application/cloudevents-batch+json"
PROBES: Final = 60
_GIVE_UP_SECONDS: Final = 10.0


def ingest(size: Size) -> Iterator[Row]:
    """POST /v1/signals with 500 in a batch, into a log of its own, the stream beside it: saturated, then by the clock
    at 10,000 signals/s."""
    with (
        tempfile.TemporaryDirectory(prefix="membrane-bench-") as folder,
        start("up", Path(folder) / "data", "--clock", "signals") as service,
    ):
        found: dict[float, list[Latencies]] = {0.0: [], 20.0: []}
        api = service.child("api")
        for _ in range(size.rounds):
            for rate, batches in ((0.0, 400), (20.0, 100)):
                bodies = workloads.live_batches(size.customers, size.days, batches, 500, per_second=10_000)
                requests = _requests(Path(folder) / "requests", list(bodies))
                spent = cpu_seconds(api)
                seconds = batches / rate if rate else 3.0
                seen = run(service.port, requests, rate=rate, seconds=seconds, connections=4)
                spent = cpu_seconds(api) - spent
                if len(seen.samples) > batches:
                    raise RuntimeError("bench: more batches were wanted than there are; duplicates would be counted")
                found[rate].append(seen)
    saturated, steady = found[0.0], found[20.0]
    micros = spent / (500 * steady[-1].answered) * 1e6
    yield Row(
        "POST /v1/signals, batches of 500, fsynced", "signals/s",
        median(500 * one.answered / one.seconds for one in saturated),
        f"{500 * sum(one.answered for one in saturated):,} signals, {size.rounds} rounds", at_least(10_000),
        at_least(30_000), note=f"{micros:.1f} µs CPU of the API a signal",
        details={"saturated": [one.summary() for one in saturated]},
    )  # fmt: skip
    yield Row(
        "the same at 10,000 signals/s: acknowledgement p99", "ms", median(one.ms(99) for one in steady),
        f"{sum(one.answered for one in steady):,} batches", below(60),
        details={"rounds": [one.summary() for one in steady]},
    )  # fmt: skip


def _requests(path: Path, bodies: list[bytes]) -> Path:
    return write_requests(path, (request("POST", "/v1/signals", body, BATCH) for body in bodies))


def freshness(size: Size) -> Iterator[Row]:
    """From the 202 of a signal to the first decision that knows of it, while so many other signals come in."""
    for per_second in (200, 2_000, 5_000) if size.rounds > 1 else (2_000,):
        seconds = PROBES * 0.12 + 4
        with (
            copied(workloads.store(size.customers, size.days)) as data,
            start("up", data, "--clock", "signals") as service,
            tempfile.TemporaryDirectory() as folder,
        ):
            count = int(per_second * seconds / 20) + 1
            bodies = workloads.live_batches(size.customers, size.days, count, 20, per_second=per_second)
            feed = Feed(service, _requests(Path(folder) / "feed", list(bodies)), per_second, seconds)
            feed.start()
            time.sleep(1.0)
            waits = [wait for number in range(PROBES) if (wait := _probe(service, size, number)) is not None]
            feed.join()
        p50, p99 = np.percentile(waits, [50, 99])
        main = per_second == 2_000
        yield Row(
            f"accepted signal → changed decision at {per_second:,} signals/s: p99", "ms", float(p99),
            f"{len(waits)} probes of {PROBES}", below(100) if main else None, below(25) if main else None,
            note=f"p50 {p50:.1f} ms; {feed.answered * 20:,} signals acknowledged beside it",
        )  # fmt: skip


def _probe(service: Running, size: Size, number: int) -> float | None:
    """Milliseconds from the 202 until a decision says another version of the customer; None if it never did."""
    customer = f"probe-{number}-{time.time_ns():x}"
    at = workloads.at_end(size.days, number)
    event = {
        "specversion": "1.0", "id": customer, "source": "probe", "type": "cx.message.received.v1", "time": at,
        "subject": customer, "data": {"channel": "email", "sentiment": -0.9},
    }  # fmt: skip
    ask = workloads.ask(customer, 1)
    service.ask("POST", "/v1/signals", json.dumps([event]).encode(), BATCH)
    began = time.monotonic()
    while time.monotonic() - began < _GIVE_UP_SECONDS:
        if json.loads(service.ask("POST", "/v1/decisions", ask))["state"]["version"] is not None:
            return (time.monotonic() - began) * 1000
        threading.Event().wait(0.0005)
    return None
