"""A service with traffic of every kind, and a real Prometheus that scrapes it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.ops.monitoring import Monitoring, monitoring
from tests.processes import BATCH, SINGLE, Service, run_json, service, wait_until

CUSTOMERS, DAYS, SEED = 400, 40, 11
KINDS = (("marketing", "upsell"), ("service", "agent_call"), ("survey", "nps"), ("billing", "invoice"))
CASE = {"case": "A", "category": "outage", "severity": 1}
STAGES = ("steady", "strained")
TENANTS = "tenants:\n  default: {sources: {desk: 24h}}\n"


@contextmanager
def watched(folder: Path) -> Iterator[tuple[Service, Monitoring]]:
    """A service that knows the history of some simulated customers up to now, and Prometheus beside it."""
    history, tenants = folder / "history.ndjson", folder / "tenants.yaml"
    start = (datetime.now(UTC) - timedelta(days=DAYS)).replace(minute=0, second=0, microsecond=0)
    run_json(
        "simulate-customers", "--customers", CUSTOMERS, "--days", DAYS, "--seed", SEED,
        "--start", start.strftime("%Y-%m-%dT%H:%M:%SZ"), "--out", history, "--truth", folder / "truth.ndjson",
    )  # fmt: skip
    tenants.write_text(TENANTS)
    with (
        service("up", folder / "data", "--learn", "on", "--tenants", tenants) as up,
        monitoring(folder, [up.url.removeprefix("http://")]) as found,
    ):
        wait_until(lambda: bool(found.ask("membrane_disk_free_bytes")), "a scrape")
        run_json("replay", history, "--url", up.url, seconds=120)
        yield up, found


def traffic(client: httpx.Client, number: int) -> None:
    """Decisions about customers of the simulation, cases of new ones, and a signal that is set aside."""
    known = [f"c-{one % CUSTOMERS}" for one in range(number * 20, number * 20 + 20)]
    for customer in known:
        candidates = [
            {"id": kind, "domain": domain, "kind": kind, "channel": "email"} for domain, kind in KINDS
        ]  # fmt: skip
        answer = client.post("/v1/decisions", json={"customer": customer, "candidates": candidates})
        assert answer.status_code == httpx.codes.OK
    signals = [_signal(f"case-{number}-{one}", f"new-{number}-{one}", "case.opened", CASE) for one in range(number % 5)]
    signals += [
        _signal(f"label-{number}-{place}", customer, "label.given", _label(place))
        for place, customer in enumerate(known)
    ]
    client.post("/v1/signals", content=json.dumps(signals), headers=BATCH)
    client.post("/v1/signals", content=json.dumps(_signal(f"odd-{number}", "c-1", "no.such", {})), headers=SINGLE)


def _label(place: int) -> dict[str, Any]:
    return {"target": "stage", "value": STAGES[place % len(STAGES)], "by": "desk"}


def _signal(name: str, customer: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": name, "source": "desk", "subject": customer, "type": f"cx.{kind}.v1",
        "time": datetime.now(UTC).isoformat(), "data": data,
    }  # fmt: skip


def keep_busy(up: Service, seconds: float) -> None:
    """Traffic, a bit of it every second."""
    end, number = time.monotonic() + seconds, 0
    with up.client() as client:
        while time.monotonic() < end:
            traffic(client, number)
            number += 1
            time.sleep(1)
