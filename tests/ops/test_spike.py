"""A real Prometheus and Alertmanager over a real service: a crisis spike is told, normal days are not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ops.monitoring import monitoring, needs_prometheus
from tests.processes import BATCH, Service, run_json, service, wait_until

pytestmark = [needs_prometheus, pytest.mark.slow]
MOST_SECONDS = 60
CUSTOMERS = 25


def outage(now: datetime) -> list[dict[str, Any]]:
    """A severe case of each of some customers, all about one product."""
    return [
        {
            "specversion": "1.0", "id": f"o-{number}", "source": "desk", "subject": f"c-{number}",
            "type": "cx.case.opened.v1", "time": (now - timedelta(seconds=1)).isoformat(),
            "data": {"case": "A", "category": "outage", "product": "T1", "severity": 1},
        }
        for number in range(CUSTOMERS)
    ]  # fmt: skip


def test_a_crisis_spike_reaches_the_webhook_within_a_minute(tmp_path: Path) -> None:
    with service("up", tmp_path / "data") as up, monitoring(tmp_path, [up.url.removeprefix("http://")]) as watched:
        wait_until(lambda: bool(watched.ask("membrane_clock_lag_seconds")), "a scrape")
        assert watched.told == []
        sent = time.monotonic()
        with up.client() as client:
            answer = client.post("/v1/signals", content=json.dumps(outage(datetime.now(UTC))), headers=BATCH)
            assert answer.json()["accepted"] == CUSTOMERS
            wait_until(lambda: watched.firing("CrisisSpike") is not None, "CrisisSpike", MOST_SECONDS, 0.1)
            found = watched.firing("CrisisSpike")
            assert found is not None
            heard, alert = found
            print(f"CrisisSpike at the webhook {heard - sent:.1f} s after {CUSTOMERS} signals were sent")
            assert heard - sent < MOST_SECONDS
            assert (alert["labels"]["tenant"], alert["labels"]["audience"]) == ("default", "cx")
            insights = client.get(alert["annotations"]["insights"]).json()
        assert (insights["entries"], insights["spike"]) == (CUSTOMERS, True)
        assert [one["name"] for one in insights["common"]["product"]] == ["T1"]


@contextmanager
def a_service_department(up: Service) -> Iterator[None]:
    """Does what is owed while the block runs, as companies do on normal days."""
    enough = threading.Event()

    def work() -> None:
        with up.client() as client:
            while not enough.wait(0.1):
                for state in ("open", "breached"):
                    for owed in client.get("/v1/obligations", params={"state": state}).json()["obligations"]:
                        client.post(f"/v1/obligations/{owed['obligation']}/meet", json={"by": "desk"})

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@pytest.mark.faults
def test_ten_normal_days_fire_nothing(tmp_path: Path) -> None:
    file = tmp_path / "normal.ndjson"
    run_json(
        "simulate-customers", "--customers", 300, "--days", 10, "--seed", 5, "--out", file,
        "--truth", tmp_path / "truth.ndjson",
    )  # fmt: skip
    signals = len(file.read_bytes().splitlines())
    with (
        service("up", tmp_path / "data", "--clock", "signals") as up,
        monitoring(tmp_path, [up.url.removeprefix("http://")]) as watched,
    ):
        with a_service_department(up):
            run_json("replay", file, "--url", up.url, "--rate", max(signals // 60, 1), seconds=300)
            up.wait_applied()
            time.sleep(5)
        entered = watched.ask("sum(membrane_crisis_entries_total)")
        assert float(entered[0]["value"][1]) > 0
        hours = watched.ask("count_over_time(membrane_crisis_entries_last_hour[10m])")
        assert float(hours[0]["value"][1]) > 30
        most = watched.ask("max_over_time(membrane_crisis_entries_last_hour[10m])")
        print(f"{signals:,} signals, {entered[0]['value'][1]} entries, at most {most[0]['value'][1]} in an hour")
        fired = watched.ask("max_over_time(ALERTS[10m])")
        assert [one["metric"]["alertname"] for one in fired] == []
        assert watched.told == []
