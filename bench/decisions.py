"""The decision API: latency by an open loop, CPU per decision, and what the bare route of the same server gives in
windows that alternate with it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from bench import workloads
from bench.generator import Latencies, request, run, write_requests
from bench.machine import cpu_seconds
from bench.rows import Bound, Row, at_least, at_most, below
from bench.service import Running, start, start_bare

CONNECTIONS: Final = 32


@dataclass(frozen=True)
class Size:
    """How large a run is: customers, days of signals, seconds of each window of load, how often each is repeated."""

    customers: int
    days: int
    seconds: float
    rounds: int


FULL: Final = Size(100_000, 3, 8.0, 3)
QUICK: Final = Size(2_000, 5, 1.0, 1)


@dataclass(frozen=True)
class Cost:
    """CPU of the serving process for one request, in microseconds, over so many requests."""

    micros: float
    requests: int


@dataclass(frozen=True)
class Pair:
    """The route and its control, measured in turn."""

    ours: list[Latencies]
    bare: list[Latencies]
    cost: Cost
    bare_cost: Cost

    def p99(self) -> float:
        return median(one.ms(99) for one in self.ours)

    def bare_p99(self) -> float:
        return median(one.ms(99) for one in self.bare)

    def per_second(self) -> float:
        return median(one.answered / one.seconds for one in self.ours)

    def bare_per_second(self) -> float:
        return median(one.answered / one.seconds for one in self.bare)

    def n(self) -> str:
        return f"{sum(len(one.samples) for one in self.ours):,} requests in {len(self.ours)} rounds"

    def details(self) -> dict[str, object]:
        return {"ours": [one.summary() for one in self.ours], "bare": [one.summary() for one in self.bare]}


@contextmanager
def bare_of(api: Running, body: bytes) -> Iterator[Running]:
    """The bare route, answering with the bytes that the API gives to that request."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        answer.write_bytes(api.ask("POST", "/v1/decisions", body))
        with start_bare(answer) as bare:
            yield bare


def compare(api: Running, bare: Running, requests: Path, size: Size, *, rate: float) -> Pair:
    """Both under the same load, in turn, after a second of warming up each."""
    for one in (api, bare):
        run(one.port, requests, rate=rate or 500, seconds=1.0, connections=CONNECTIONS)
    ours: list[Latencies] = []
    control: list[Latencies] = []
    spent = {api.pid: 0.0, bare.pid: 0.0}
    for _ in range(size.rounds):
        for one, found in ((api, ours), (bare, control)):
            before = cpu_seconds(one.pid)
            found.append(run(one.port, requests, rate=rate, seconds=size.seconds, connections=CONNECTIONS))
            spent[one.pid] += cpu_seconds(one.pid) - before
    costs = [
        Cost(spent[one.pid] / count * 1e6, count)
        for one, found in ((api, ours), (bare, control))
        for count in [sum(latencies.answered for latencies in found)]
    ]
    return Pair(ours, control, costs[0], costs[1])


@contextmanager
def copied(store: Path) -> Iterator[Path]:
    """A copy of a workload's data directory, to work on."""
    with tempfile.TemporaryDirectory(prefix="membrane-bench-") as folder:
        data = Path(folder) / "data"
        shutil.copytree(store, data)
        yield data


def alone(size: Size) -> Iterator[Row]:
    """One API process beside a stream that has nothing to do (else what it says would be stale): CPU, latency at
    3,000/s, and saturated against the bare route."""
    with copied(workloads.store(size.customers, size.days)) as data, start("up", data, "--clock", "signals") as up:
        api = replace(up, pid=up.child("api"))
        one, three = (workloads.asks(size.customers, count) for count in (1, 3))
        with bare_of(api, workloads.ask("c-1", 1)) as bare:
            yield from _cost(api, bare, one, size, "one candidate", (at_most(250), at_most(120)))
            for rate, must, aim in ((3_000, below(10), below(1.5)), (5_000, None, None)):
                pair = compare(api, bare, one, size, rate=rate)
                yield Row(
                    f"decisions at {rate:,}/s, one candidate, one process: p99", "ms", pair.p99(), pair.n(), must, aim,
                    pair.bare_p99(), note=f"{pair.per_second():,.0f}/s answered", details=pair.details(),
                )  # fmt: skip
            full = compare(api, bare, one, size, rate=0)
            yield Row(
                "decisions saturated, as a share of the bare route", "×", full.per_second() / full.bare_per_second(),
                full.n(), at_least(0.25), at_least(0.45), 1.0,
                note=f"{full.per_second():,.0f}/s against {full.bare_per_second():,.0f}/s", details=full.details(),
            )  # fmt: skip
        with bare_of(api, workloads.ask("c-1", 3)) as bare:
            yield from _cost(api, bare, three, size, "three candidates", (at_most(500), at_most(220)))


def _cost(
    api: Running, bare: Running, requests: Path, size: Size, what: str, bounds: tuple[Bound, Bound]
) -> Iterator[Row]:
    """CPU per decision where the process never sleeps, and at 1,000/s, where waking up for each is part of it."""
    busy = compare(api, bare, requests, size, rate=0)
    calm = compare(api, bare, requests, size, rate=1_000)
    yield Row(
        f"CPU per decision, {what}, saturated", "µs", busy.cost.micros, busy.n(), bounds[0], bounds[1],
        busy.bare_cost.micros,
        note=f"at 1,000/s {calm.cost.micros:,.0f} µs, bare route {calm.bare_cost.micros:,.0f} µs",
        details={"saturated": busy.details(), "at 1,000/s": calm.details()},
    )  # fmt: skip


def beside_signals(size: Size) -> Iterator[Row]:
    """`membrane up` with signals coming in: the main row of the design."""
    asks = workloads.asks(size.customers, 3)
    with copied(workloads.store(size.customers, size.days)) as data, start("up", data, "--clock", "signals") as service:
        with bare_of(service, workloads.ask("c-1", 3)) as bare, _signals(service, size, 2_000) as fed:
            run(service.port, asks, rate=500, seconds=1.0, connections=CONNECTIONS)
            ours, control = [], []
            for _ in range(size.rounds):
                ours.append(run(service.port, asks, rate=1_000, seconds=size.seconds, connections=CONNECTIONS))
                control.append(run(bare.port, asks, rate=1_000, seconds=size.seconds, connections=CONNECTIONS))
        p99, bare_p99 = (median(one.ms(99) for one in found) for found in (ours, control))
        failed, asked = sum(one.failed for one in ours), sum(len(one.samples) for one in ours)
        yield Row(
            "decisions 1,000/s beside 2,000 signals/s, three candidates: p99", "ms", p99,
            f"{asked:,} requests, {size.rounds} rounds", below(10), below(3), bare_p99,
            note=f"{failed} failed; {fed.answered:,} batches of 20 signals acknowledged beside it",
            details={"ours": [one.summary() for one in ours], "bare": [one.summary() for one in control]},
        )  # fmt: skip


class Feed(threading.Thread):
    """Signals that come in meanwhile, in batches of 20."""

    def __init__(self, service: Running, requests: Path, per_second: float, seconds: float) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self._arguments = (service.port, requests, per_second / 20, seconds)

    def run(self) -> None:
        port, requests, rate, seconds = self._arguments
        self.answered = run(port, requests, rate=rate, seconds=seconds, connections=8).answered


@contextmanager
def _signals(service: Running, size: Size, per_second: float) -> Iterator[Feed]:
    seconds = (size.seconds * 2 + 1.0) * size.rounds + 2.0
    with tempfile.TemporaryDirectory() as folder:
        batches = workloads.live_batches(
            size.customers, size.days, int(per_second * seconds / 20) + 1, 20, per_second=per_second
        )
        requests = write_requests(
            Path(folder) / "signals",
            (request("POST", "/v1/signals", body, "application/cloudevents-batch+json") for body in batches),
        )
        feed = Feed(service, requests, per_second, seconds)
        feed.start()
        yield feed
        feed.join()
