"""Traces of real processes, sent to a collector that decodes what it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from cli.supervisor import STOP_SECONDS
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.traces import open_traces
from tests.processes import SINGLE, Service, event, up, wait_until

pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter", reason="the extra `otel` is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PERSON = "marked-person"
SIGNAL_TRACE, DECISION_TRACE, UNSAMPLED_TRACE = "a" * 32, "b" * 32, "c" * 32
ABOVE = "d" * 16


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP receiver on loopback that keeps what it is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.bodies: list[bytes] = []

    def spans(self) -> list[tuple[str, Any]]:
        """Each span with the role of the process that sent it."""
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                role = attributes(resource.resource)["membrane.role"]
                found += [(role, span) for scope in resource.scope_spans for span in scope.spans]
        return found


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


def attributes(of: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in of.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Named by the standard variable; what begins a trace of its own is not sampled, so that the tests say what is."""
    with Collector() as found:
        serving = threading.Thread(target=found.serve_forever)
        serving.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{found.server_address[1]}")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield found
        found.shutdown()
        serving.join()


def behind(trace: str, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{ABOVE}-0{sampled:d}"}


def tell(service: Service, number: str, headers: dict[str, str]) -> None:
    told = event(number, "message.received", PERSON, datetime.now(UTC).isoformat(), channel="email", text=PERSON)
    with service.client() as client:
        assert client.post("/v1/signals", json=told, headers={**SINGLE, **headers}).json()["accepted"] == 1
    service.wait_applied()


def decide(service: Service, headers: dict[str, str]) -> str:
    candidate = {"id": "x", "domain": "sales", "kind": "upsell", "channel": "email", "topic": PERSON}
    with service.client() as client:
        asked = {"customer": PERSON, "candidates": [candidate]}
        return client.post("/v1/decisions", json=asked, headers=headers).json()["decision"]


def bodies(data: Path) -> list[bytes]:
    log = LogReader(DataDir.existing(data))
    try:
        return [record.body for record in log.read(0, 0, 1_000)]
    finally:
        log.close()


@pytest.mark.slow
def test_a_trace_goes_from_the_signal_over_the_log_and_the_stream_to_the_decision(tmp_path, collector):
    with up(tmp_path / "data", "--partitions", 1) as service:
        tell(service, "1", behind(UNSAMPLED_TRACE, sampled=False))
        tell(service, "2", {})
        tell(service, "3", behind(SIGNAL_TRACE))
        decision = decide(service, behind(DECISION_TRACE))
        decide(service, {})
        with service.client() as client:
            client.get(f"/v1/customers/{PERSON}", headers=behind(SIGNAL_TRACE))
        assert service.stop() == 0
    by_trace: dict[str, dict[str, tuple[str, Any]]] = {}
    for role, span in collector.spans():
        by_trace.setdefault(span.trace_id.hex(), {})[span.name] = role, span
    assert by_trace.keys() == {SIGNAL_TRACE, DECISION_TRACE}

    signal = by_trace[SIGNAL_TRACE]
    assert {name: role for name, (role, _) in signal.items()} == {
        "POST /v1/signals": "serve", "append": "serve", "apply": "stream",
    }  # fmt: skip
    posted, appended, applied = (signal[name][1] for name in ("POST /v1/signals", "append", "apply"))
    assert posted.parent_span_id.hex() == ABOVE
    assert appended.parent_span_id == applied.parent_span_id == posted.span_id
    assert posted.start_time_unix_nano <= appended.start_time_unix_nano <= applied.end_time_unix_nano
    assert attributes(posted)["http.response.status_code"] == 202

    decided = by_trace[DECISION_TRACE]
    assert decided.keys() == {"POST /v1/decisions", "read", "judge", "log"}
    whole = decided["POST /v1/decisions"][1]
    assert attributes(whole)["membrane.decision"] == decision
    assert [(link.trace_id.hex(), link.span_id) for link in whole.links] == [(SIGNAL_TRACE, posted.span_id)]

    assert not any(PERSON.encode() in body for body in collector.bodies)
    stored = [body for body in bodies(tmp_path / "data") if b"message.received" in body]
    assert [b"traceparent" in body for body in stored] == [False, False, True]
    place = attributes(applied)["membrane.offset"]
    assert b"traceparent" in bodies(tmp_path / "data")[place]


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with up(tmp_path / "data", "--partitions", 1, "--log-format", "json") as service:
        tell(service, "1", behind(SIGNAL_TRACE))
        decide(service, behind(DECISION_TRACE))
        wait_until(lambda: '"logger": "opentelemetry' in service.errors(), "a word about it")
        asked = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - asked < STOP_SECONDS
        assert PERSON not in service.errors()


def test_where_the_extra_is_not_installed_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("cli.services.are_installed", lambda: False)
    monkeypatch.setattr("storage.traces.are_installed", lambda: False)
    data = tmp_path / "missing" / "file"
    data.parent.write_text("in the way")
    assert main(["stream", "--data", str(data)]) == 1
    [line, _] = capsys.readouterr().err.splitlines()
    assert line.endswith("none are sent: pip install 'cx-membrane[otel]'")
    assert open_traces("serve") is None


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}],
)
def test_without_a_collector_or_switched_off_there_are_none(variables, monkeypatch):
    if variables:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_traces("serve") is None


def test_a_variable_that_is_not_as_it_must_be_stops_no_process(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    assert open_traces("serve") is None
    assert "max_queue_size" in caplog.text
