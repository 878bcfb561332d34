"""`membrane ledger`: the attention that departments asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from cli.main import main
from membrane.times import DAY, parse_time
from storage.decisions import DecisionLog
from storage.directory import DataDir

MONDAY = parse_time("2026-11-23T00:00:00Z")


def line(*verdicts: tuple[str, str, list[str], str | None], at: str | None = None) -> bytes:
    """A line of the decision log, of (department, verdict, sources of reasons, the department lost to)."""
    candidates = [{"id": domain, "domain": domain, "kind": "k", "channel": "email"} for domain, *_ in verdicts]
    told = [
        {"candidate": domain, "verdict": verdict, "reasons": [{"source": one} for one in sources], "lost_to": lost_to}
        for domain, verdict, sources, lost_to in verdicts
    ]
    request: dict[str, Any] = {"customer": "c", "candidates": candidates, **({"at": at} if at else {})}
    return json.dumps({"request": request, "answer": {"verdicts": told}, "evidence": {}}).encode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = DataDir.open(tmp_path / "data", 1)
    log = DecisionLog(directory.decisions_path)
    lines = [
        (MONDAY, line(("sales", "defer", ["arbitration"], "marketing"), ("marketing", "allow", [], None))),
        (MONDAY + DAY, line(("sales", "forbid", ["principle", "cap"], None))),
        (MONDAY + DAY, line(("sales", "allow", ["principle"], None), at="2026-12-01T00:00:00Z")),
        (MONDAY + 7 * DAY, line(("sales", "defer", ["degraded"], None), ("service", "allow", [], None))),
    ]
    for number, (t, body) in enumerate(lines):
        log.put(f"d-{number}", "default", "c", t, body)
    log.put("d-9", "another", "c", MONDAY, line(("legal", "allow", [], None)))
    log.close()
    return directory.path


def test_accounts_say_what_was_asked_and_in_favour_of_whom_it_was_refused(data, capsys):
    assert main(["ledger", "--data", str(data), "--json"]) == 0
    weeks = json.loads(capsys.readouterr().out)["weeks"]
    assert list(weeks) == ["2026-11-23", "2026-11-30"]
    assert weeks["2026-11-23"]["sales"] == {
        "asked": 2, "allowed": 0, "deferred": 1, "forbidden": 1, "in_favour_of": {"customer": 1, "marketing": 1},
    }  # fmt: skip
    assert weeks["2026-11-23"]["marketing"]["allowed"] == 1
    assert weeks["2026-11-30"]["sales"]["in_favour_of"] == {"caution": 1}
    assert main(["ledger", "--data", str(data), "--json", "--tenant", "another"]) == 0
    assert list(json.loads(capsys.readouterr().out)["weeks"]["2026-11-23"]) == ["legal"]


def test_people_get_a_table_and_a_plot_of_the_last_weeks(data, tmp_path, capsys):
    plot = tmp_path / "ledger.svg"
    assert main(["ledger", "--data", str(data), "--weeks", "1", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["2026-11-30", "sales", "1", "0", "1", "0", "caution", "1"]
    assert len(printed) == 3
    assert "service" in plot.read_text()


def test_a_log_without_decisions_says_so(tmp_path, capsys):
    DataDir.open(tmp_path / "data", 1)
    assert main(["ledger", "--data", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out == "no decisions are logged\n"


def test_a_line_that_cannot_be_read_is_told_and_not_passed_over(data, capsys):
    with apsw.Connection(str(DataDir.existing(data).decisions_path)) as connection:
        connection.execute("UPDATE decisions SET body = x'7b' WHERE id = 'd-1'")
    assert main(["ledger", "--data", str(data)]) == 4
    assert "d-1: cannot be read" in capsys.readouterr().err
