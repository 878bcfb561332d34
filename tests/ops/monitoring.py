"""A real Prometheus and a real Alertmanager beside a service, with a webhook of ours: intervals of a second."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import ROOT, free_port, wait_until

PROGRAMS = ("prometheus", "prometheus-alertmanager")
RULES = ROOT / "k8s/alerts/membrane.rules.yaml"
needs_prometheus = pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)), reason="prometheus or prometheus-alertmanager is missing: `make system`"
)


@dataclass
class Monitoring:
    """What the webhook was told, each with the time (monotonic); `ask` is the API of Prometheus."""

    prometheus: str
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query}, trust_env=False).json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self, alert: str) -> tuple[float, dict[str, Any]] | None:
        """When the webhook first heard of an alert, and what."""
        return next((one for one in self.told if one[1]["labels"]["alertname"] == alert), None)


@contextmanager
def monitoring(folder: Path, targets: list[str]) -> Iterator[Monitoring]:
    """Prometheus scraping those addresses under the shipped rules, and Alertmanager telling our webhook."""
    ports = [free_port() for _ in range(2)]
    prometheus, alertmanager = (f"127.0.0.1:{port}" for port in ports)
    found = Monitoring(f"http://{prometheus}")
    with _webhook(found) as hook:
        config, receivers = folder / "prometheus.json", folder / "alertmanager.json"
        config.write_text(json.dumps(_prometheus(targets, alertmanager)))
        receivers.write_text(json.dumps(_alertmanager(hook)))
        with (
            _running(
                ["prometheus-alertmanager", f"--config.file={receivers}", f"--web.listen-address={alertmanager}",
                 f"--storage.path={folder / 'am'}", "--cluster.listen-address="], folder,
                lambda: _is_ready(f"http://{alertmanager}"),
            ),
            _running(
                ["prometheus", f"--config.file={config}", f"--web.listen-address={prometheus}",
                 f"--storage.tsdb.path={folder / 'tsdb'}"], folder,
                lambda: _is_ready(found.prometheus),
            ),
        ):  # fmt: skip
            yield found


def _prometheus(targets: list[str], alertmanager: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "membrane", "static_configs": [{"targets": targets}]}],
    }


def _alertmanager(hook: str) -> dict[str, Any]:
    return {
        "route": {
            "receiver": "hook", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "hook", "webhook_configs": [{"url": hook}]}],
    }  # fmt: skip


@contextmanager
def _webhook(found: Monitoring) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found.told += [(time.monotonic(), one) for one in body["alerts"]]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _running(words: list[str], folder: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    with (folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log)
        try:
            wait_until(is_ready, f"{words[0]} ready", every=0.1)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
