from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cli.main import main

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
TICKETS = ["ingest", "--map", str(EXAMPLES / "tickets.yaml"), "--in", str(EXAMPLES / "tickets.csv")]
HELPDESK = Path(__file__).resolve().parents[3] / "shared" / "data" / "helpdesk_it" / "helpdesk_events.csv.gz"
HEADER = "case:concept:name,concept:name,lifecycle:transition,org:resource,time:timestamp"


def test_the_example_of_a_ticket_system_is_written_and_can_be_replayed(tmp_path, capsys):
    out = tmp_path / "tickets.ndjson"
    assert main([*TICKETS, "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "5 rows, 1 of them refused, 0 without a signal: 11 signals" in told.out
    assert "line 6: Priority: one of Urgent, High, Normal, Low was required, came 'Hihg'; did you mean" in told.err
    assert main(["replay", str(out), "--data", str(tmp_path / "data"), "--clock", "signals", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["accepted"], counts["rejected"], counts["dead_lettered"]) == (11, 0, 0)
    assert main([*TICKETS, "--out", str(out)]) == 0
    assert main(["replay", str(out), "--data", str(tmp_path / "data"), "--clock", "signals", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["duplicates"] == 11


def test_a_dry_run_writes_nothing_and_fails_where_a_row_is_refused(tmp_path, capsys):
    out = tmp_path / "tickets.ndjson"
    assert main([*TICKETS, "--out", str(out), "--dry-run", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not out.exists()
    assert (told["rows"], told["rows_refused"], told["signals"], told["out"]) == (5, 1, 11, None)
    assert told["types"]["cx.case.opened.v1"] == 4
    assert told["reasons"] == {"Priority": 1}
    assert told["columns_unused"] == ["Agent"]


def test_without_a_place_to_write_it_says_so_and_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    assert main(TICKETS) == 1
    assert "--out FILE or --dry-run is required" in capsys.readouterr().err
    assert main([*TICKETS, "--out", str(tmp_path / "nowhere" / "out")]) == 1
    assert "nowhere/out: cannot be written" in capsys.readouterr().err


def helpdesk(tmp_path, source, capsys):
    arguments = ["ingest", "--map", str(EXAMPLES / "helpdesk.yaml"), "--in", str(source)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_event_log_is_mapped_event_by_event(tmp_path, capsys):
    rows = [
        "Case1,Assign seriousness,complete,Value 2,2010-01-13T08:40:25.000+02:00",
        "Case1,Wait,complete,Value 2,2010-01-14T08:40:25.000+02:00",
        "Case1,Closed,complete,Value 5,2010-02-13T08:52:48.000+02:00",
        "Case1,Closed,complete,Value 5,2010-02-13T08:52:48.000+02:00",
    ]
    source = tmp_path / "events.csv.gz"
    source.write_bytes(gzip.compress("\n".join([HEADER, *rows, ""]).encode()))
    told = helpdesk(tmp_path, source, capsys)
    assert (told["rows"], told["rows_refused"], told["duplicates"]) == (4, 0, 1)
    assert told["types"] == {"cx.case.opened.v1": 1, "cx.case.resolved.v1": 1, "cx.case.updated.v1": 1}
    first = json.loads((tmp_path / "out").read_text().splitlines()[0])
    assert (first["subject"], first["time"]) == ("Case1", "2010-01-13T06:40:25Z")


@pytest.mark.skipif(not HELPDESK.is_file(), reason="../shared/data/helpdesk_it is not here")
def test_no_row_of_the_real_event_log_is_refused(tmp_path, capsys):
    told = helpdesk(tmp_path, HELPDESK, capsys)
    assert (told["rows"], told["rows_refused"]) == (21_348, 0)
    assert told["signals"] + told["duplicates"] == sum(told["types"].values()) + told["duplicates"]
    assert told["types"]["cx.case.opened.v1"] >= 4_500
