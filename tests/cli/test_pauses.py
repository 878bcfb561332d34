from __future__ import annotations

import json

import pytest

from cli.main import main
from cli.prepare import Wishes, prepare
from storage.clock import wall_ms

WHO = ["--by", "ana", "--why", "outage"]
UNTIL = ["--until", "2030-01-01T00:00:00Z"]


@pytest.fixture
def data(tmp_path):
    prepare(tmp_path / "data", Wishes(partitions=2), wall_ms())
    return ["--data", str(tmp_path / "data")]


@pytest.fixture(autouse=True)
def _early(monkeypatch):
    monkeypatch.setattr("serving.pauses.LONGEST_MS", 2**60)


def told(capsys, *command):
    assert main(["pause", *command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_pause_is_begun_listed_ended_and_still_on_record(data, capsys):
    begun = told(capsys, "add", *data, "--domain", "marketing", *UNTIL, *WHO)
    assert (begun["what"], begun["name"], begun["by"], begun["ended"]) == ("domain", "marketing", "ana", None)
    assert told(capsys, "list", *data)["pauses"] == [begun]
    ended = told(capsys, "end", begun["pause"], *data, "--by", "bob", "--why", "over")
    assert (ended["ended"]["by"], ended["ended"]["why"]) == ("bob", "over")
    assert told(capsys, "list", *data)["pauses"] == []
    assert told(capsys, "list", *data, "--all")["pauses"] == [ended]


def test_pauses_are_told_line_by_line(data, capsys):
    assert main(["pause", "list", *data]) == 0
    assert capsys.readouterr().out == "nothing is paused\n"
    assert main(["pause", "add", *data, "--customer", "c-1", *UNTIL, *WHO]) == 0
    line = capsys.readouterr().out
    assert "  customer c-1  " in line
    assert line.endswith(" to 2030-01-01T00:00:00Z  by ana: outage\n")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "one of --domain, --principle, --customer is required"),
        (["--domain", "sales", "--customer", "c"], "one of --domain, --principle, --customer is required"),
        (["--domain", "legal"], "/domain: must be one of marketing, sales, survey, billing"),
        (["--principle", "never-silence-help"], "guarantees are never paused"),
    ],
)
def test_what_cannot_be_paused_is_told(data, options, problem, capsys):
    assert main(["pause", "add", *data, *options, *UNTIL, *WHO]) == 1
    assert problem in capsys.readouterr().err


def test_a_pause_that_is_not_there_cannot_be_ended(data, capsys):
    assert main(["pause", "end", "0000", *data, *WHO]) == 1
    assert "pause" in capsys.readouterr().err


def test_a_decision_tells_what_is_paused(data, capsys):
    main(["pause", "add", *data, "--domain", "sales", *UNTIL, *WHO])
    capsys.readouterr()
    question = ["--customer", "c-1", "--domain", "sales", "--kind", "upsell", "--channel", "email"]
    assert main(["decide", *data, *question]) == 0
    assert "paused until 2030-01-01T00:00:00Z: domain sales, by ana: outage" in capsys.readouterr().out
