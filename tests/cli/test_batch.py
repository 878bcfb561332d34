"""`membrane decide --batch`: a file of requests through, line by line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cli.batch import Counts, answered, parts
from cli.main import main
from membrane.errors import StoreUnavailable
from tests.cli.test_replay import event, write

CANDIDATE = {"id": "ad", "domain": "marketing", "kind": "upsell", "channel": "email"}


def ask(customer: str) -> dict[str, Any]:
    return {"customer": customer, "candidates": [CANDIDATE]}


@pytest.fixture
def mixed(tmp_path) -> Path:
    """Requests for three customers, among them a blank line and one of each kind of bad one."""
    lines = [ask("c-0"), b"", b"{", ask("c-1"), {"customer": "c-2"}, b'"' + b"x" * 70_000 + b'"', ask("c-2")]
    return write(tmp_path / "asks.ndjson", lines)


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    main(["replay", str(write(tmp_path / "signals", [event(number) for number in range(3)])), "--data", str(folder)])
    return folder


def told(text: str) -> list[tuple[Any, Any]]:
    return [(one.get("customer") or one["status"], one.get("line")) for one in map(json.loads, text.splitlines())]


TOLD = [("c-0", None), (400, 3), ("c-1", None), (422, 5), (413, 6), ("c-2", None)]


def test_every_line_is_answered_in_its_place_and_failed_ones_exit_1(mixed, data, capsys):
    capsys.readouterr()
    assert main(["decide", "--batch", str(mixed), "--data", str(data)]) == 1
    printed = capsys.readouterr()
    assert told(printed.out) == TOLD
    assert "6 decisions asked for, 3 of them failed" in printed.err


def test_a_file_without_faults_exits_0_and_answers_into_a_file(data, tmp_path, capsys):
    asks = write(tmp_path / "asks", [ask(f"c-{number % 3}") for number in range(700)])
    out = tmp_path / "answers"
    capsys.readouterr()
    arguments = ["decide", "--batch", str(asks), "--out", str(out), "--data", str(data), "--json", "--progress"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"lines": 700, "failed": 0}
    assert "100 %" in printed.err
    assert [customer for customer, _ in told(out.read_text())] == [f"c-{number % 3}" for number in range(700)]


def test_an_api_answers_the_same(mixed, data, tmp_path, capsys, start):
    running = start("up", "--data", data, "--port", 0)
    running.wait_for("http://")
    url = (data / "run" / "api.url").read_text()
    out = tmp_path / "answers"
    assert main(["decide", "--batch", str(mixed), "--out", str(out), "--url", url]) == 1
    assert told(out.read_text()) == TOLD
    assert all(one["logged"] for one in map(json.loads, out.read_text().splitlines()) if "logged" in one)


def test_standard_input_is_a_file_like_others(data, capsys, monkeypatch):
    class Input:
        buffer = io.BytesIO(json.dumps(ask("c-0")).encode())

    monkeypatch.setattr("sys.stdin", Input)
    capsys.readouterr()
    assert main(["decide", "--batch", "-", "--data", str(data)]) == 0
    assert told(capsys.readouterr().out) == [("c-0", None)]


def test_what_each_line_says_cannot_be_an_option(mixed, data, capsys):
    assert main(["decide", "--batch", str(mixed), "--data", str(data), "--customer", "c"]) == 1
    assert "--customer cannot be given" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--batch", "--out"])
def test_a_file_that_cannot_be_opened_is_named(option, mixed, data, tmp_path, capsys):
    files = {"--batch": str(mixed), option: str(tmp_path / "nowhere" / "file")}
    words = [word for pair in files.items() for word in pair]
    assert main(["decide", *words, "--data", str(data)]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_parts_hold_every_line_once_and_are_small():
    body = b"".join(b"%d\n" % number for number in range(30_000)) + b"last"
    found = list(parts(io.BytesIO(body)))
    assert [line for part, _ in found for line in part] == [
        *((number + 1, b"%d" % number) for number in range(30_000)),
        (30_001, b"last"),
    ]
    assert sum(read for _, read in found) == len(body)
    assert max(sum(len(line or b"") for _, line in part) for part, _ in found) < 40_000


def test_an_answer_that_breaks_off_is_told():
    with pytest.raises(StoreUnavailable, match="2 answers were required, 1 came"):
        list(answered([(1, b"{}"), (2, b"{}")], lambda _: [b"{}"], Counts()))
