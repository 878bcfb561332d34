"""Logs: one object a line where that is asked for, and never a word about a customer."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.logs import MOST_BYTES, JsonLines, TextLines
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
    line = written(record("%s", text)).decode()
    assert len(line.split("\n")) == 2
    told = json.loads(line)
    assert list(told) == ["time", "level", "logger", "role", "message"]
    assert (told["level"], told["logger"], told["role"]) == ("warning", "membrane.tests", "stream")
    assert datetime.fromisoformat(told["time"]).tzinfo == UTC


def written(made: logging.LogRecord) -> bytes:
    """What a handler writes of a record to standard error."""
    return f"{JsonLines('stream').format(made)}\n".encode(errors="backslashreplace")


CHARACTERS = st.sampled_from(["a", "ñ", "€", "😀", '"', "\\", "\x00", "\n", "\ud800"])
LONG = st.builds(lambda character, count, end: character * count + end, CHARACTERS, st.integers(0, 9_000), st.text())


@given(LONG, LONG)
def test_a_line_is_written_at_once_however_much_there_is_to_tell(message, exception):
    """What is too long is cut, and no shorter than it must be: neither text takes the other's half."""
    line = written(record("%s", message, told={"exception": exception, "partition": 3}))
    assert len(line) <= MOST_BYTES
    told = json.loads(line)
    assert message.strip().startswith(told["message"].strip())
    assert exception.startswith(told["exception"])
    cut = (told["message"], told["exception"]) != (message.strip(), exception)
    assert not cut or len(line) > MOST_BYTES - 2 * 6


def deep(depth: int) -> None:
    if depth == 0:
        raise StoreRefused("año " * 6_000)
    deep(depth - 1)


def test_an_error_of_many_words_from_deep_down_is_one_short_line_with_both_texts():
    try:
        deep(500)
    except StoreRefused:
        line = written(record("%s", "señal " * 6_000, exc_info=sys.exc_info()))
    assert MOST_BYTES - 12 < len(line) <= MOST_BYTES
    told = json.loads(line)
    assert told["message"].startswith("señal señal")
    assert told["exception"].startswith("StoreRefused: año año")
    assert len(told["message"].encode()) - len(told["exception"].encode()) in range(-12, 12)


def test_the_lines_of_processes_that_share_a_pipe_do_not_mix():
    source = (
        "from cli.logs import begin; import logging; begin('serve', 'json', 'info')\n"
        "for _ in range(40): logging.getLogger('membrane.tests').error('ñ' * 9_000)"
    )
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        children = [subprocess.Popen([sys.executable, "-c", source], stderr=writing) for _ in range(3)]
        os.close(writing)
        lines = pipe.read().splitlines()
    assert [child.wait() for child in children] == [0, 0, 0]
    assert len([json.loads(line) for line in lines]) == 120


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
