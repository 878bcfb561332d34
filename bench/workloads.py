"""The workloads, by permanent names. Each is seeded, made once and reused while the code that makes it stays the same.

- `uniform-N`: N simulated customers, all alike in expectation (`membrane simulate-customers`, seed 7)
- `uci`: uci_incidents, 71,859 real signals of about 5,000 customers, in the order of their time
- `asks-K`: decision requests about customers drawn evenly, with K candidates each (seed 11)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.generator import request, write_requests
from bench.service import ROOT, membrane
from membrane.times import DAY, format_time, parse_time

KEPT: Final = ROOT / ".bench"
SEED: Final = 7
START: Final = "2026-01-01T00:00:00Z"
START_MS: Final = parse_time(START)
CANDIDATES: Final[list[dict[str, Any]]] = [
    {"domain": "marketing", "kind": "upsell", "channel": "email", "propensity": 0.3, "value": 40.0},
    {"domain": "service", "kind": "status_call", "channel": "phone"},
    {"domain": "survey", "kind": "nps", "channel": "sms"},
    {"domain": "sales", "kind": "upgrade", "channel": "phone", "propensity": 0.1, "value": 300.0},
    {"domain": "marketing", "kind": "newsletter", "channel": "sms", "propensity": 0.5, "value": 2.0},
    {"domain": "sales", "kind": "rescue_offer", "channel": "phone", "propensity": 0.2, "value": 90.0},
    {"domain": "billing", "kind": "payment_reminder", "channel": "email"},
    {"domain": "service", "kind": "ticket_reply", "channel": "email"},
    {"domain": "marketing", "kind": "invitation", "channel": "email", "propensity": 0.2, "value": 5.0},
    {"domain": "billing", "kind": "service_credit", "channel": "email"},
]


@cache
def _code() -> str:
    """A digest of all that the making of workloads depends on."""
    found = hashlib.sha256()
    for folder in ("membrane", "storage", "stream", "models", "training"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".yaml", ".onnx", ".json"}:
                found.update(path.read_bytes())
    return found.hexdigest()[:12]


def place_of(name: str) -> Path:
    """Where a workload is kept while the code that makes it stays the same."""
    return KEPT / _code() / name


def signals(customers: int, days: int) -> Path:
    """`uniform-N`: the signals of so many days, as NDJSON."""
    path = place_of(f"uniform-{customers}x{days}.ndjson")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        membrane(
            "simulate-customers", "--customers", customers, "--days", days, "--seed", SEED, "--start", START,
            "--out", part, "--truth", path.with_suffix(".truth"),
        )  # fmt: skip
        part.rename(path)
    return path


def log(name: str, file: Path, beside: Sequence[Path] = ()) -> Path:
    """A data directory with these signals in its log and nothing applied, behind the records that name the bundles
    `beside` the champion. None of it may be changed: copy it."""
    folder = place_of(f"log-{name}" + f"-beside-{len(beside)}" * bool(beside))
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        if beside:
            membrane("replay", os.devnull, "--data", part, "--clock", "signals")
        for bundle in beside:
            membrane("models", "challenge", bundle, "--data", part)
        membrane("replay", file, "--data", part, "--clock", "signals")
        part.rename(folder)
    return folder


def store(customers: int, days: int) -> Path:
    """A data directory with `uniform-N` applied. It may be used, but not changed: copy it to write."""
    name = f"uniform-{customers}x{days}"
    folder = place_of(f"store-{name}")
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(log(name, signals(customers, days)), part)
        membrane("rebuild", "--data", part)
        part.rename(folder)
    return folder


def asks(customers: int, candidates: int, count: int = 20_000, language: str = "en") -> Path:
    """`asks-K`: requests for the generator."""
    path = place_of(f"asks-{customers}-{candidates}-{language}")
    path.parent.mkdir(parents=True, exist_ok=True)
    random = Random(11)
    bodies = (ask(f"c-{random.randrange(customers)}", candidates, language) for _ in range(count))
    return write_requests(path, (request("POST", "/v1/decisions", body) for body in bodies))


def ask(customer: str, candidates: int, language: str = "en") -> bytes:
    """The body of one decision request."""
    chosen = [{"id": f"k{number}", **CANDIDATES[number]} for number in range(candidates)]
    return json.dumps({"customer": customer, "language": language, "candidates": chosen}).encode()


def live_batches(customers: int, days: int, count: int, size: int, *, per_second: float) -> Iterator[bytes]:
    """Batches of signals about customers drawn evenly, from the end of `uniform-N` on (seed 13): for `--clock
    signals`. Ids are new in every run."""
    random, run = Random(13), f"{time.time_ns():x}"
    for number in range(count):
        first = START_MS + days * DAY + number * size * 1000 / per_second
        events = [
            live_event(
                f"{run}-{number}-{place}",
                f"c-{random.randrange(customers)}",
                format_time(round(first + place * 1000 / per_second)),
                random,
            )
            for place in range(size)
        ]
        yield json.dumps(events).encode()


def live_event(number: str, customer: str, now: str, random: Random) -> dict[str, Any]:
    """One signal of a usual mix: messages, contacts, usage, orders, cases."""
    kind, data = random.choices(
        [
            ("message.received", {"channel": "email", "sentiment": round(random.uniform(-1, 1), 2)}),
            ("contact.made", {"contact": number, "domain": "marketing", "kind": "newsletter", "channel": "email"}),
            ("usage.measured", {"metric": "transactions", "value": random.randrange(100)}),
            ("order.placed", {"amount": random.randrange(10_000) / 100, "currency": "EUR"}),
            (
                "case.opened",
                {"case": number, "category": "network", "product": "T1", "severity": random.choice((3, 4))},
            ),
        ],
        weights=(30, 25, 25, 12, 8),
    )[0]
    return {
        "specversion": "1.0", "id": number, "source": "bench", "type": f"cx.{kind}.v1", "subject": customer,
        "time": now, "data": data,
    }  # fmt: skip


def incidents(source: Path) -> Path:
    """`uci`: the signals of uci_incidents, from a folder that holds the data set."""
    path = place_of("uci.ndjson")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        membrane("dataset", "uci_incidents", "--from", source, "--out", path)
    return path


def at_end(days: int, number: int) -> str:
    """A moment just after the last of `uniform-N`."""
    return format_time(START_MS + days * DAY + number)
