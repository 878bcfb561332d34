from __future__ import annotations

import json
import time

import pytest

from cli.main import main
from cli.prepare import Wishes, prepare
from membrane.times import DAY, format_time
from storage.clock import wall_ms
from storage.digest import digest
from tests.processes import BATCH, event, serve, up

WHO = ["--by", "ana", "--why", "outage"]
END = format_time((wall_ms() // DAY + 30) * DAY)
UNTIL = ["--until", END]


@pytest.fixture
def data(tmp_path):
    prepare(tmp_path / "data", Wishes(partitions=2), wall_ms())
    return ["--data", str(tmp_path / "data")]


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
    assert line.endswith(f" to {END}  by ana: outage\n")


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
    assert f"paused until {END}: domain sales, by ana: outage" in capsys.readouterr().out


def known(service):
    """Tells the service of a customer and waits until decisions see them."""
    at = format_time(wall_ms() - DAY)
    opened = event("2", "case.opened", "c-1", at, case="A", category="net", severity=3)
    body = json.dumps([event("1", "account.opened", "c-1", at), opened])
    with service.client() as client:
        assert client.post("/v1/signals", headers=BATCH, content=body).json()["accepted"] == 2
    service.wait_applied()


def upsell(service):
    """The verdict on an upsell, and whether the answer shows a pause."""
    candidate = {"id": "a", "domain": "marketing", "kind": "upsell", "channel": "email"}
    with service.client() as client:
        body = client.post("/v1/decisions", json={"customer": "c-1", "candidates": [candidate]}).json()
    return body["verdicts"][0]["verdict"], [one["name"] for one in body.get("pauses", [])]


@pytest.mark.slow
def test_a_pause_acts_in_every_process_outlives_a_kill_and_a_rebuild_gives_the_same(tmp_path, capsys):
    path = tmp_path / "data"
    here = ["--data", str(path)]
    rule = "no-selling-while-a-complaint-is-open"
    with up(path, "--partitions", 2, "--runner", "plain") as first, serve(path) as second:
        known(first)
        assert upsell(first) == upsell(second) == ("defer", [])
        lifted = told(capsys, "add", "--url", first.url, "--principle", rule, *UNTIL, *WHO)
        time.sleep(0.15)  # what another process has changed counts within 100 ms
        assert upsell(first) == upsell(second) == ("allow", [rule])
        told(capsys, "add", *here, "--domain", "marketing", *UNTIL, *WHO)
        time.sleep(0.15)
        assert upsell(first) == upsell(second) == ("defer", [rule, "marketing"])
        first.kill()
    with up(path, "--runner", "plain") as again:
        assert upsell(again) == ("defer", [rule, "marketing"])
        told(capsys, "end", lifted["pause"], "--url", again.url, *WHO)
        assert upsell(again) == ("defer", ["marketing"])
        again.wait_applied()
        assert again.stop() == 0
    before = digest(path)
    assert main(["rebuild", *here]) == 0
    assert digest(path) == before
