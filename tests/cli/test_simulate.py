"""`membrane principles simulate` and its route."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.main import main
from membrane.times import DAY, HOUR, format_time, parse_time
from serving.principle_sets import DEFAULT_PACK, propose
from storage.directory import DataDir
from storage.log import SignalLog
from storage.principles import PrincipleFiles
from tests.cli.test_replay import write

BEGAN = parse_time("2026-01-05T10:00:00Z")
DRAFT = """
pack: draft
revision: 2026-12-01.1
principles:
  - id: no-marketing-mail
    owner: marketing
    text: {es: "Nada de publicidad.", en: "No marketing."}
    applies: {domains: [marketing]}
    when: customer.tenure >= duration("0h")
    effect: forbid
"""


def event(number: int, customer: str, t: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": str(number), "source": "test", "type": f"cx.{kind}.v1", "subject": customer,
        "time": format_time(t), "data": data,
    }  # fmt: skip


def contact(domain: str, kind: str = "upsell") -> dict[str, Any]:
    return {"domain": domain, "kind": kind, "channel": "email", "campaign": "spring"}


@pytest.fixture
def data(tmp_path: Path, capsys) -> Path:
    """Two customers, one of them in crisis from the 10th hour on; contacts before and after, and one of long ago."""
    events = []
    for customer in ("calm", "crisis"):
        events.append(event(len(events), customer, BEGAN - 90 * DAY, "account.opened", {}))
        events.append(event(len(events), customer, BEGAN - 60 * DAY, "contact.made", contact("marketing")))
        events.append(event(len(events), customer, BEGAN, "contact.made", contact("marketing")))
    case = {"case": "A", "category": "net", "severity": 1}
    events.append(event(len(events), "crisis", BEGAN + 10 * HOUR, "case.opened", case))
    for customer in ("calm", "crisis"):
        events.append(event(len(events), customer, BEGAN + 26 * HOUR, "contact.made", contact("marketing")))
        events.append(event(len(events), customer, BEGAN + 27 * HOUR, "contact.made", contact("service", "agent_call")))
    folder = tmp_path / "data"
    file = write(tmp_path / "signals", events)
    assert main(["replay", str(file), "--data", str(folder), "--clock", "signals"]) == 0
    capsys.readouterr()
    return folder


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / "draft.yaml"
    path.write_text(DRAFT, encoding="utf-8")
    return path


def simulated(capsys, *words: object) -> dict[str, Any]:
    assert main(["principles", "simulate", *map(str, words), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_each_contact_is_judged_as_of_just_before_it_happened(data, draft, capsys):
    """The present record is in crisis; at the first contact it was not."""
    told = simulated(capsys, "--draft", draft, "--data", data)
    assert (told["total"]["contacts"], told["customers"]) == (6, 2)
    assert {name: one["contacts"] for name, one in told["by_stage"].items()} == {"crisis": 2, "steady": 4}
    assert told["verdicts_in_force"]["forbid"] == 1
    assert told["by_department"]["marketing"] == {"contacts": 4, "held_back": 3, "let_through": 0, "otherwise": 0}
    assert told["by_department"]["service"] == {"contacts": 2, "held_back": 0, "let_through": 0, "otherwise": 0}
    assert [(one["customer"], one["contacts"]) for one in told["spared"]] == [("calm", 2), ("crisis", 1)]
    first = told["held_back"][0]
    assert (first["at"], first["campaign"], first["draft"]["because"]) == (
        format_time(BEGAN), "spring", ["no-marketing-mail"],
    )  # fmt: skip


def test_the_other_way_round_what_is_refused_now_would_be_let_through(data, tmp_path, capsys):
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("pack: none\nrevision: 2026-12-01.2\nprinciples: []\n", encoding="utf-8")
    told = simulated(capsys, "--draft", nothing, "--data", data)
    (one,) = told["let_through"]
    assert (one["customer"], one["stage"], one["draft"]["verdict"]) == ("crisis", "crisis", "allow")
    assert "no-selling-in-crisis" in one["in_force"]["because"]
    assert told["by_principle"]["no-selling-in-crisis"]["let_through"] == 1


def test_days_and_at_say_which_contacts(data, draft, capsys):
    everything = simulated(capsys, "--draft", draft, "--data", data, "--days", 100)
    assert everything["total"]["contacts"] == 8
    early = simulated(capsys, "--draft", draft, "--data", data, "--days", 2, "--at", format_time(BEGAN + HOUR))
    assert early["total"]["contacts"] == 2
    assert (early["since"], early["until"]) == (format_time(BEGAN + HOUR - 2 * DAY), format_time(BEGAN + HOUR))
    assert simulated(capsys, "--draft", draft, "--data", data, "--tenant", "other")["total"]["contacts"] == 0


def test_a_draft_for_everybody_lies_beneath_the_tenants_own_file(data, draft, tmp_path, capsys):
    """Put in force, it would leave that where it is."""
    own = tmp_path / "own.yaml"
    own.write_text(DRAFT.replace("pack: draft", "pack: own\nextends: default"), encoding="utf-8")
    directory = DataDir.existing(data)
    with closing(SignalLog(directory)) as log:
        propose(own.read_bytes(), log, PrincipleFiles(directory.principles_path), BEGAN, force=False)
    told = simulated(capsys, "--draft", DEFAULT_PACK, "--data", data)
    assert told["in_force"] == told["draft"]
    assert (told["verdicts_draft"]["forbid"], told["total"]["let_through"]) == (4, 0)


def test_people_get_tables_examples_and_a_plot(data, draft, tmp_path, capsys):
    plot = tmp_path / "plot.svg"
    words = ["--draft", str(draft), "--data", str(data), "--plot", str(plot), "--progress"]
    assert main(["principles", "simulate", *words]) == 0
    printed = capsys.readouterr()
    assert "6 contacts with 2 customers, 2025-12-07T13:00:00Z to 2026-01-06T13:00:00Z" in printed.out
    assert "would be held back:" in printed.out
    assert "allow -> forbid [no-marketing-mail]" in printed.out
    assert "spared most: calm (2), crisis (1)" in printed.out
    assert "100 %" in printed.err
    assert all(word in plot.read_text() for word in ("held back", "marketing", "by stage", "steady"))


def test_a_draft_with_faults_is_refused_with_its_lines(data, tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text(DRAFT.replace("customer.tenure", "customer.tenur"), encoding="utf-8")
    assert main(["principles", "simulate", "--draft", str(bad), "--data", str(data)]) == 1
    assert f"{bad}:9:" in capsys.readouterr().err


def test_a_directory_without_principles_or_that_is_not_there_is_named(draft, tmp_path, capsys):
    DataDir.open(tmp_path / "empty", 1)
    for folder in ("empty", "nowhere"):
        assert main(["principles", "simulate", "--draft", str(draft), "--data", str(tmp_path / folder)]) == 1
        assert folder in capsys.readouterr().err


@pytest.fixture
def url(data, start, tmp_path) -> str:
    keys = tmp_path / "keys.yaml"
    lines = [
        f"- {{sha256: {hashlib.sha256(name.encode()).hexdigest()}, tenant: default, scopes: [{name}]}}\n"
        for name in ("admin", "read")
    ]
    keys.write_text("".join(lines))
    running = start("up", "--data", data, "--port", 0, "--clock", "signals", "--keys", keys)
    running.wait_for("http://")
    return (data / "run" / "api.url").read_text()


def post(url: str, body: bytes | str, scope: str = "admin", **query: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {scope}"}
    return httpx.post(f"{url}/v1/principles/simulate", content=body, headers=headers, params=query, timeout=60)


def test_the_route_gives_what_the_command_gives(url, data, draft, capsys):
    answer = post(url, DRAFT)
    assert answer.status_code == 200, answer.text
    assert answer.json() == simulated(capsys, "--draft", draft, "--data", data)
    assert post(url, DRAFT, days=2, at=format_time(BEGAN + HOUR)).json()["total"]["contacts"] == 2


def test_the_route_refuses_what_it_cannot_try(url):
    assert post(url, DRAFT, scope="read").status_code == 403
    assert post(url, DRAFT, days=0).status_code == 422
    assert post(url, DRAFT, days=367).status_code == 422
    assert post(url, DRAFT, at="noon").json()["errors"][0]["pointer"] == "at"
    assert post(url, b" " * 300_000).status_code == 413
    faulty = post(url, DRAFT.replace("customer.tenure", "customer.tenur"))
    assert (faulty.status_code, faulty.json()["type"]) == (422, "urn:membrane:problem:invalid-principles")


def test_the_pack_that_ships_changes_nothing_of_itself(data, capsys):
    told = simulated(capsys, "--draft", DEFAULT_PACK, "--data", data)
    assert told["in_force"] == told["draft"]
    assert (told["held_back"], told["let_through"]) == ([], [])
