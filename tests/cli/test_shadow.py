from __future__ import annotations

import json

import pytest

from cli.main import main
from storage.decisions import DecisionLog
from storage.directory import DataDir

TRIED = {"principle": "p", "department": "sales", "candidate": "a", "verdict": "allow", "would_be": "defer"}
SAME = TRIED | {"verdict": "forbid", "would_be": "forbid"}


@pytest.fixture
def data(tmp_path):
    directory = DataDir.open(tmp_path / "data", 1)
    log = DecisionLog(directory.decisions_path)
    lines = [
        ("default", 1_000, "crisis", [TRIED, TRIED | {"candidate": "b"}, SAME]),
        ("default", 2_000, "steady", []),
        ("default", 3_000, None, [TRIED | {"principle": "q", "department": "marketing"}]),
        ("other", 4_000, "crisis", [TRIED]),
    ]
    for number, (tenant, at, stage, shadow) in enumerate(lines):
        body = {"request": {}, "answer": {"stage": stage and {"name": stage}}, "evidence": {}}
        body |= {"shadow": shadow} if shadow else {}
        assert log.put(f"d-{number}", tenant, "c-1", at, json.dumps(body).encode())
    log.close()
    return str(directory.path)


def rows(data, capsys, *options):
    assert main(["principles", "shadow-report", "--data", data, "--json", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    return told["decisions"], [tuple(row.values()) for row in told["rows"]]


def test_what_would_have_changed_is_counted_by_principle_department_and_stage(data, capsys):
    assert rows(data, capsys, "--tenant", "default") == (
        3,
        [
            ("p", "sales", "crisis", 3, 2, {"allow -> defer": 2}),
            ("q", "marketing", "none", 1, 1, {"allow -> defer": 1}),
        ],
    )


def test_a_part_of_the_log_can_be_asked_for(data, capsys):
    assert rows(data, capsys, "--since", "1970-01-01T00:00:03Z")[0] == 2
    assert rows(data, capsys)[1][0][3] == 4


def test_the_report_is_told_line_by_line(data, capsys):
    assert main(["principles", "shadow-report", "--data", data, "--tenant", "default"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 decisions, in 4 cases something in shadow held",
        "p  sales  crisis: would have changed 2 of 3 (67%): allow -> defer 2",
        "q  marketing  none: would have changed 1 of 1 (100%): allow -> defer 1",
    ]


def test_a_directory_without_decisions_has_an_empty_report(tmp_path, capsys):
    DataDir.open(tmp_path / "new", 1)
    assert rows(str(tmp_path / "new"), capsys) == (0, [])


def test_a_line_that_is_no_decision_is_told(data, capsys):
    log = DecisionLog(DataDir.existing(data).decisions_path)
    log.put("d-9", "default", "c-1", 5_000, b"{")
    log.close()
    assert main(["principles", "shadow-report", "--data", data]) == 4
    assert "decision d-9: a logged decision was required" in capsys.readouterr().err
