from __future__ import annotations

import argparse
import io
import json
from contextlib import closing
from pathlib import Path

import pytest

from cli.decide import lines, request, unless_texts
from cli.main import main
from membrane.errors import UsageError
from storage.directory import DataDir
from storage.log_reader import LogReader
from tests.cli.test_replay import event, write

QUESTION = ["--customer", "c-1", "--domain", "marketing", "--kind", "upsell", "--channel", "email"]


def asked(**given: object) -> argparse.Namespace:
    names = ("customer", "domain", "kind", "channel", "language")
    return argparse.Namespace(**{name: given.get(name) for name in names})


def test_options_make_a_request():
    found = request(asked(customer="c", domain="sales", kind="upgrade", channel="email", language="es"))
    candidate = {"id": "sales-upgrade", "domain": "sales", "kind": "upgrade", "channel": "email"}
    assert found == {"customer": "c", "candidates": [candidate], "language": "es"}


def test_missing_options_are_all_named():
    with pytest.raises(UsageError, match="--domain, --channel required beside --customer, --kind"):
        request(asked(customer="c", kind="upgrade"))


def test_a_request_may_come_by_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('{"customer": "c"}'))
    assert request(asked()) == {"customer": "c"}


def test_a_data_directory_answers_without_a_server(tmp_path, capsys):
    data = tmp_path / "data"
    main(["replay", str(write(tmp_path / "file", [event(1)])), "--data", str(data)])
    capsys.readouterr()

    assert main(["decide", "--data", str(data), *QUESTION, "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["customer"] == "c-1"
    assert [verdict["verdict"] for verdict in answer["verdicts"]] == ["forbid"]


@pytest.mark.parametrize(("status", "code"), [(500, 4), (429, 4), (422, 1), (401, 1)])
def test_an_api_that_fails_is_unhealthy_and_one_that_refuses_tells_of_a_mistake(server, capsys, status, code):
    server.answers = [(status, b'{"detail": "so it is"}', {})]
    assert main(["decide", "--url", server.url, *QUESTION]) == code
    assert f"answered {status}: so it is" in capsys.readouterr().err


def granted(number: int, subject: str) -> dict[str, object]:
    data = {"channel": "email", "domain": "marketing", "granted": True}
    return {**event(number), "subject": subject, "type": "cx.consent.changed.v1", "data": data}


def test_a_data_directory_is_asked_for_the_tenant_that_is_named(tmp_path, capsys):
    """Two tenants have a customer of the same id; only one of them consented."""
    data = tmp_path / "data"
    main(["replay", str(write(tmp_path / "a", [granted(1, "c-1")])), "--data", str(data), "--tenant", "shop-a"])
    main(["replay", str(write(tmp_path / "b", [event(1)])), "--data", str(data), "--tenant", "shop-b"])
    main(["rebuild", "--data", str(data)])
    capsys.readouterr()
    seen = {}
    for tenant in ("shop-a", "shop-b", "default"):
        assert main(["decide", "--data", str(data), "--tenant", tenant, *QUESTION, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        reasons = [reason["source"] for reason in answer["verdicts"][0]["reasons"]]
        seen[tenant] = answer["state"]["version"], reasons
    assert None not in (seen["shop-a"][0], seen["shop-b"][0])
    assert seen["shop-a"][0] != seen["shop-b"][0]
    assert seen["default"][0] is None
    assert "consent" not in seen["shop-a"][1]


def files(data: Path) -> list[str]:
    """What lies in a directory, without what SQLite makes for readers."""
    return sorted(path.name for path in data.rglob("*") if not path.name.endswith(("-wal", "-shm")))


def test_asking_a_data_directory_writes_nothing(tmp_path, capsys):
    """Not even principles into a log that has none, nor a decision log."""
    data = tmp_path / "data"
    directory = DataDir.open(data, 1)
    before = files(data)

    assert main(["decide", "--data", str(data), *QUESTION, "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["logged"] is False
    with closing(LogReader(directory)) as log:
        assert (log.revisions(), log.end(0)) == ({}, 0)
    assert files(data) == before


def test_a_directory_that_is_not_there_is_not_made(tmp_path, capsys):
    assert main(["decide", "--data", str(tmp_path / "nowhere"), *QUESTION]) == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_request_that_is_refused_says_which_field(tmp_path, capsys, monkeypatch):
    data = tmp_path / "data"
    main(["replay", str(write(tmp_path / "file", [event(1)])), "--data", str(data)])
    monkeypatch.setattr("sys.stdin", io.StringIO('{"customer": "c"}'))
    assert main(["decide", "--data", str(data)]) == 1
    assert "/candidates" in capsys.readouterr().err


def test_an_answer_is_told_line_by_line():
    verdict = {
        "candidate": "spring", "verdict": "defer", "until": "2026-01-02T00:00:00Z",
        "reasons": [{"source": "principle", "id": "wait", "text": "Wait.", "facts": {}}],
        "unless": {"any": [[{"fact": "stage.name", "is": "crisis", "would_be": ["steady", "thriving"]}]]},
        "modifications": [{"set": {"tone": "warm"}, "by": "tone"}],
    }  # fmt: skip
    owed = {"kind": "agent_call", "owner": "service", "due": "2026-01-01T04:00:00Z", "state": "open"}
    answer = {
        "customer": "c", "lifecycle": "active", "stage": {"name": "crisis"}, "at": "2026-01-01T00:00:00Z",
        "verdicts": [verdict], "owed": [owed], "state": {"degraded": ["stale"]},
    }  # fmt: skip
    assert lines(answer) == [
        "c: active, crisis, judged at 2026-01-01T00:00:00Z",
        "spring: defer",
        "  principle wait: Wait.",
        "  until 2026-01-02T00:00:00Z",
        "  unless stage.name were steady or thriving",
        '  with {"tone": "warm"}',
        "owed: agent_call by service, due 2026-01-01T04:00:00Z (open)",
        "degraded: stale",
    ]


def test_facts_that_must_change_together_are_told_together():
    changes = [
        {"fact": "case.open", "is": 1, "would_be": [0]},
        {"fact": "risk.relapse", "is": True, "would_be": [False]},
    ]
    assert unless_texts({"unless": {"any": [changes]}}) == ["case.open were 0 and risk.relapse were false"]
    assert unless_texts({"unless": None}) == []
