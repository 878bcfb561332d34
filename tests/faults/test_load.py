"""Decisions while a replay runs, and requests made up from the API's own description."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.conftest import Tell
from tests.faults.sizes import percentile, short_and_full
from tests.processes import ROOT, SINGLE, command, environment, event, up, wait_until

RATE = 500
CONNECTIONS = 10
NOT_IN_THE_API = ("river", "sklearn", "pandas", "bytewax", "scipy", "onnx")
ASK = [
    {"id": "m", "domain": "marketing", "kind": "upsell", "channel": "email"},
    {"id": "s", "domain": "survey", "kind": "nps", "channel": "sms"},
    {"id": "h", "domain": "service", "kind": "ticket_reply", "channel": "email"},
]


class OpenLoop(threading.Thread):
    """One connection of an open-loop generator: it asks by the clock, and waiting counts from the planned moment."""

    def __init__(self, port: int, number: int, until: threading.Event) -> None:
        super().__init__(daemon=True)
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self._port = port
        self._number = number
        self._until = until

    def run(self) -> None:
        interval = CONNECTIONS / RATE
        planned = time.monotonic() + self._number / RATE
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            while not self._until.is_set():
                time.sleep(max(0.0, planned - time.monotonic()))
                asked = json.dumps({"customer": f"c-{len(self.seconds) % 60}", "candidates": ASK})
                connection.request("POST", "/v1/decisions", asked, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.statuses[answer.status] += 1
                self.seconds.append(time.monotonic() - planned)
                planned += interval


@pytest.mark.parametrize("signals", short_and_full(1_500, 50_000))
def test_decisions_during_a_replay_are_all_answered_and_the_api_maps_no_learner(
    tmp_path: Path, simulated: Callable[[int], Path], tell: Tell, signals: int
) -> None:
    done = threading.Event()
    with up(tmp_path / "data", "--clock", "signals") as service:
        loops = [OpenLoop(service.port, number, done) for number in range(CONNECTIONS)]
        began = time.monotonic()
        for loop in loops:
            loop.start()
        replay = command("replay", simulated(signals), "--url", service.url, "--json")
        sent = subprocess.run(replay, cwd=ROOT, env=environment(), capture_output=True, check=True)
        service.wait_applied()
        wait_until(lambda: sum(len(loop.seconds) for loop in loops) >= 2 * RATE, "decisions")
        elapsed = time.monotonic() - began
        done.set()
        for loop in loops:
            loop.join(60)
        maps = Path(f"/proc/{service.pid('api')}/maps").read_text()
        loaded = [name for name in NOT_IN_THE_API if f"/{name}/" in maps]
        streams = Path(f"/proc/{service.pid('stream')}/maps").read_text()
    assert json.loads(sent.stdout)["accepted"] == signals
    statuses = sum((loop.statuses for loop in loops), Counter())
    assert set(statuses) == {200}
    assert loaded == []
    assert "/bytewax/" in streams  # the evidence is of use: the process beside it does map its engine
    seconds = [one for loop in loops for one in loop.seconds]
    tell(
        f"shown by 6: {statuses[200]:,} decisions at {len(seconds) / elapsed:.0f} req/s during a replay of {signals:,} "
        f"signals: 5xx 0, p50 {percentile(seconds, 0.5) * 1000:.1f} ms, p99 {percentile(seconds, 0.99) * 1000:.0f} ms; "
        f"the API maps none of {', '.join(NOT_IN_THE_API)}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("examples", short_and_full(5, 60))
def test_requests_made_up_from_the_description_meet_no_server_error(tmp_path: Path, tell: Tell, examples: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import openapi, serializer
    from schemathesis.checks import not_a_server_error

    serializer("application/x-ndjson")(lambda _, value: json.dumps(value).encode() + b"\n")
    with up(tmp_path / "data", "--runner", "plain") as service, service.client() as client:
        first = event(1, "case.opened", "c", "2026-11-20T00:00:00Z", case="k", category="net", severity=1)
        client.post("/v1/signals", json=first, headers=SINGLE).raise_for_status()
        schema = openapi.from_dict(client.get("/openapi.json").json())
        schema.config.base_url = service.url
        calls, statuses = 0, Counter()
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation.path == "/v1/stages/stream":  # its answers have no end
                continue

            @given(case=operation.as_strategy())
            @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None,
                      derandomize=True, phases=[Phase.explicit, Phase.generate])  # fmt: skip
            def ask(case) -> None:
                nonlocal calls
                response = case.call(base_url=service.url)
                case.validate_response(response, checks=[not_a_server_error])
                statuses[response.status_code] += 1
                calls += 1

            ask()
        routes = len(list(schema.get_all_operations()))
        assert routes >= 15
        assert service.is_ready()
    tell(f"shown by 7: schemathesis: {calls:,} requests to {routes} routes, {examples} each: {dict(statuses)}, 5xx 0")
