"""Logs: one object a line where that is asked for, and never a word about a customer."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.logs import MOST_CHARACTERS, JsonLines, TextLines
from membrane.errors import StoreRefused
from tests.processes import BATCH, SINGLE, event, up, wait_until

MARK = "marked-person"
NOW = datetime.now(UTC).isoformat()


def record(message: object, *args: object, **more) -> logging.LogRecord:
    made = logging.LogRecord("membrane.tests", logging.WARNING, "x.py", 1, message, args, more.pop("exc_info", None))
    made.__dict__.update(more)
    return made


def raised(error: Exception) -> tuple:
    try:
        raise error
    except type(error):
        return sys.exc_info()


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_a_message_says_it_is_one_object_on_one_line(text):
    line = JsonLines("stream").format(record("%s", text)).encode(errors="backslashreplace").decode()
    assert len(line.split("\n")) == 1
    told = json.loads(line)
    assert list(told) == ["time", "level", "logger", "role", "message"]
    assert (told["level"], told["logger"], told["role"]) == ("warning", "membrane.tests", "stream")
    assert datetime.fromisoformat(told["time"]).tzinfo == UTC
    assert len(told["message"]) <= MOST_CHARACTERS


def test_of_what_is_told_besides_only_the_known_fields_are_shown():
    line = JsonLines("serve").format(record("slow", told={"decision": "d-1", "customer": MARK}))
    assert {key: value for key, value in json.loads(line).items() if key in ("decision", "customer")} == {
        "decision": "d-1"
    }


@pytest.mark.parametrize("form", [JsonLines("serve"), TextLines()])
def test_an_exception_is_told_without_its_values_unless_it_is_ours(form):
    assert MARK not in form.format(record("failed", exc_info=raised(ValueError(MARK))))
    ours = form.format(record("failed", exc_info=raised(StoreRefused("run rebuild"))))
    assert "StoreRefused: run rebuild at test_logs.py:" in ours
    assert "\n" not in ours


def send_good_and_bad(client) -> None:
    """Signals and decisions with the mark wherever a sender can put it."""
    person = [
        event(f"{MARK}-{number}", kind, MARK, NOW, **data)
        for number, (kind, data) in enumerate([
            ("case.opened", {"case": MARK, "category": MARK, "severity": 1}),
            ("message.received", {"channel": "email", "text": MARK, "sentiment": -1, "agent": MARK}),
            ("label.given", {"target": "stage", "value": "strained", "by": MARK}),
            ("unheard.of", {MARK: MARK}),
            ("case.opened", {"case": [MARK], "category": 3}),
            ("survey.answered", {"instrument": MARK, "score": MARK}),
            ("message.received", {"channel": "email", "voiceprint": MARK, MARK: {MARK: MARK}}),
        ])
    ]  # fmt: skip
    assert client.post("/v1/signals", json=person, headers=BATCH).status_code == 202
    for body in (f'{{"{MARK}', json.dumps({**person[0], "subject": f"{MARK}/x"}), json.dumps({MARK: MARK})):
        assert client.post("/v1/signals", content=body, headers=SINGLE).status_code in (400, 422)
    candidate = {"id": MARK, "domain": "sales", "kind": "upsell", "channel": "email", "topic": MARK}
    for asked in (
        {"customer": MARK, "candidates": [candidate]},
        {"customer": MARK, "candidates": [candidate], "reserve": True},
        {"customer": f"{MARK}-never-seen", "candidates": [{**candidate, "domain": MARK}]},
        {"customer": [MARK], "candidates": [{**candidate, "channel": {MARK: MARK}}]},
        {MARK: MARK},
    ):
        client.post("/v1/decisions", json=asked, headers={"Idempotency-Key": MARK, "traceparent": MARK})
    for path in (f"/v1/customers/{MARK}", f"/v1/customers/{MARK}/timeline?limit={MARK}", f"/{MARK}?{MARK}"):
        client.get(path, headers={"Authorization": f"Bearer {MARK}"})
    client.put("/v1/principles", content=f"{MARK}: [{MARK}")
    client.post(f"/v1/obligations/{MARK}/meet", json={"by": MARK, "reason": MARK})
    client.delete(f"/v1/customers/{MARK}", headers={"X-Reason": MARK})


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_process_tells_of_a_customer_even_when_it_tells_all(tmp_path, form):
    options = ("--partitions", 2, "--learn", "on", "--log-format", form, "--log-level", "debug")
    with up(tmp_path / "data", *options) as service:
        with service.client() as client:
            send_good_and_bad(client)
        service.wait_applied()
        learner = service.pid("learn")
        wait_until(lambda: "the API started" in service.errors() and learner > 0, "all processes")
        wait_until(lambda: "is applied up to" in service.errors(), "words of the stream")
        assert service.stop() == 0
        told = service.errors()
    assert MARK not in told
    assert "decision" in told
    if form == "json":
        lines = [json.loads(line) for line in told.splitlines()]
        assert {line["role"] for line in lines} >= {"up", "serve", "stream"}
        assert any(line.get("decision") for line in lines)
        assert any(line.get("offset") is not None and line["partition"] in (0, 1) for line in lines)
    else:
        assert all(line.startswith("membrane: ") for line in told.splitlines())
