"""`membrane explain`: every logged decision comes out the same again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from cli.client import ApiClient
from cli.explain import decided_again, find
from cli.main import main
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR, format_time, parse_time
from serving.principle_sets import DEFAULT_PACK
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.principles import PrincipleFiles
from stream.hindsight import Hindsight
from tests.cli.running import clean_environment, wait_until

BEGAN = parse_time("2026-06-01T09:00:00Z")
CUSTOMERS = [f"c-{number}" for number in range(12)]
BATCH = "application/cloudevents-batch+json"
DECISIONS = 200
OWN = """\
pack: ours
revision: 2026-11-23.1
extends: default
principles:
  - id: nothing-for-the-strained
    owner: sales
    text: {es: "Nada.", en: "Nothing."}
    applies: {domains: [sales]}
    when: stage.name == "strained"
    effect: forbid
  - id: maybe
    owner: sales
    text: {es: "Quizás.", en: "Maybe."}
    applies: {domains: [sales, survey]}
    when: case.open > 0
    effect: forbid
    status: shadow
levers:
  - {domain: sales, percent: 55}
"""


class Shop:
    """A served directory, spoken to by chance."""

    def __init__(self, url: str, seed: int = 4) -> None:
        self.api = ApiClient(url)
        self.chance = random.Random(seed)
        self.t = BEGAN
        self.sent = 0
        self.decisions: list[str] = []

    def send(self, count: int) -> None:
        """Signals of the next hours, some of them late."""
        events = []
        for _ in range(count):
            self.t += self.chance.randrange(4 * HOUR)
            late = self.chance.randrange(6) == 0
            events.append(self.event(self.t - late * self.chance.randrange(3 * DAY)))
        self.api.post("/v1/signals", json.dumps(events).encode(), BATCH)

    def event(self, t: int) -> dict[str, Any]:
        self.sent += 1
        kind, data = self.anything()
        return {
            "specversion": "1.0", "id": str(self.sent), "source": "test", "type": f"cx.{kind}.v1",
            "subject": self.chance.choice(CUSTOMERS), "time": format_time(t), "data": data,
        }  # fmt: skip

    def anything(self) -> tuple[str, dict[str, Any]]:
        case = self.chance.choice("AB")
        domain = self.chance.choice(["marketing", "sales", "survey", "service"])
        return self.chance.choice(
            [
                ("case.opened", {"case": case, "category": "net", "severity": self.chance.randint(1, 4)}),
                ("case.resolved", {"case": case, "resolution_code": "fixed"}),
                ("case.updated", {"case": case, "eta": format_time(self.t + HOUR)}),
                ("message.received", {"channel": "chat", "sentiment": self.chance.randint(-10, 10) / 10}),
                ("contact.made", {"domain": domain, "kind": "upsell", "channel": "email"}),
                ("consent.changed", {"channel": "email", "domain": domain, "granted": self.chance.random() < 0.5}),
                ("survey.answered", {"instrument": "csat", "score": self.chance.randint(1, 5)}),
                ("usage.measured", {"metric": "payments", "value": self.chance.randrange(100)}),
            ]
        )

    def ask(self) -> None:
        """A decision about one of the customers, or about somebody never seen."""
        candidates = [self.candidate(number) for number in range(self.chance.randint(1, 6))]
        request: dict[str, Any] = {
            "customer": self.chance.choice([*CUSTOMERS, "never"]),
            "candidates": candidates,
            "choose": self.chance.choice(["per_domain", "one", "none"]),
            "explain": self.chance.choice(["short", "full", "none"]),
            "language": self.chance.choice(["en", "es"]),
        }
        if self.chance.random() < 0.2:
            request["at"] = format_time(self.t + self.chance.randrange(20 * DAY))
        request["reserve"] = self.chance.random() < 0.4
        reply = self.api.send("POST", "/v1/decisions", json.dumps(request).encode())
        assert reply.status == 200, reply.body
        self.decisions.append(reply.json()["decision"])

    def candidate(self, number: int) -> dict[str, Any]:
        domain, kind = self.chance.choice(
            [("marketing", "upsell"), ("sales", "rescue_offer"), ("survey", "csat"), ("service", "agent_call"),
             ("billing", "invoice"), ("legal", "recall"), ("astrology", "horoscope")]
        )  # fmt: skip
        found = {"id": f"k{number}", "domain": domain, "kind": kind, "channel": self.chance.choice(["email", "phone"])}
        if self.chance.random() < 0.3:
            found["value"] = self.chance.randrange(100)
        if self.chance.random() < 0.2:
            found["send_at"] = format_time(self.t + self.chance.randrange(10 * DAY))
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A directory that answered 200 decisions under a tenant's settings, with signals in between, pauses after a
    quarter, other principles half way, a tenant's own over them later."""
    data = tmp_path_factory.mktemp("explain") / "data"
    tenants = data.with_name("tenants.yaml")
    tenants.write_text(
        "tenants:\n  default: {timezone: America/Bogota, language: es, churn_threshold: 0.1,\n"
        "    currency: COP, recurrences: {more_than: 2, days: 20}, sources: {crm: 1m}}\n"
    )
    command = [sys.executable, "-m", "cli.main", "up", "--data", str(data), "--port", "0", "--clock", "signals"]
    command += ["--tenants", str(tenants)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL)
    try:
        wait_until((data / "run" / "api.url").exists)
        shop = Shop((data / "run" / "api.url").read_text())
        with closing(shop.api):
            for number in range(DECISIONS):
                shop.send(shop.chance.randint(0, 4))
                if number == DECISIONS // 4:
                    for what in ({"domain": "marketing"}, {"customer": "c-1"}, {"principle": "gone-is-gone"}):
                        pause = {**what, "until": format_time(shop.t + 9 * DAY), "by": "anna", "why": "a test"}
                        assert shop.api.send("POST", "/v1/pauses", json.dumps(pause).encode()).status == 201
                if number == DECISIONS * 3 // 4:
                    assert shop.api.send("PUT", "/v1/principles", OWN.encode()).status == 200
                if number == DECISIONS // 2:
                    text = DEFAULT_PACK.read_text(encoding="utf-8")
                    first = next(line for line in text.splitlines() if line.startswith("revision:"))
                    shop.api.send("PUT", "/v1/principles", text.replace(first, "revision: 2099-01-01.1").encode())
                if shop.chance.random() < 0.3:
                    time.sleep(0.02)
                shop.ask()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    return data, shop.decisions


def test_every_decision_is_made_again_bit_for_bit(served):
    data, decisions = served
    directory = DataDir.existing(data)
    versions, principles, permits, paused = set(), set(), 0, 0
    with closing(LogReader(directory)) as log:
        hindsight, files = Hindsight(log, TenantSettings()), PrincipleFiles(directory.principles_path)
        for one in decisions:
            logged = find(directory, "default", one)
            assert decided_again(logged, "default", hindsight, files) == bytes(logged.answer), one
            versions.add(logged.evidence.version)
            principles.add(logged.evidence.principles)
            answer = json.loads(bytes(logged.answer))
            permits += any(verdict["permit"] for verdict in answer["verdicts"])
            paused += "pauses" in answer
    assert len(decisions) == DECISIONS
    assert len(versions) > 50
    assert len(principles) == 3
    assert permits > 10
    assert paused > 10


def test_the_command_says_so_and_compares_with_today(served, capsys):
    data, decisions = served
    assert main(["explain", decisions[3], "--data", str(data), "--today", "--clock", "signals"]) == 0
    told = capsys.readouterr().out
    assert "decided again from its evidence: the same, bit for bit" in told
    assert "changed since:\n  /" in told
    assert "/revisions/principles" in told
    assert main(["explain", decisions[3], "--data", str(data), "--today", "--clock", "signals", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["equal"], found["differences"]) == (True, [])
    assert found["again"] == found["logged"]
    assert {"/decision", "/logged"} & {one["pointer"] for one in found["since"]} == set()


def test_what_was_tampered_with_does_not_come_out_again(served, tmp_path, capsys):
    data, decisions = served
    path = DataDir.existing(data).decisions_path
    connection = apsw.Connection(str(path))
    (body,) = connection.execute("SELECT body FROM decisions WHERE id = ?", (decisions[7],)).fetchone()
    other = body.replace(b'"lifecycle":"', b'"lifecycle":"x', 1)
    connection.execute("UPDATE decisions SET body = ? WHERE id = ?", (other, decisions[7]))
    try:
        assert main(["explain", decisions[7], "--data", str(data), "--json"]) == 1
        found = json.loads(capsys.readouterr().out)
        assert [one["pointer"] for one in found["differences"]] == ["/lifecycle"]
        assert main(["explain", decisions[7], "--data", str(data)]) == 1
        assert "it is another one" in capsys.readouterr().err
    finally:
        connection.execute("UPDATE decisions SET body = ? WHERE id = ?", (body, decisions[7]))
        connection.close()


@pytest.mark.parametrize("tenant", ["default", "another"])
def test_a_decision_that_is_not_there_is_named(served, tenant, capsys):
    data, decisions = served
    decision = "never-1" if tenant == "default" else decisions[0]
    assert main(["explain", decision, "--data", str(data), "--tenant", tenant]) == 1
    assert f"came '{decision}'" in capsys.readouterr().err


def test_a_directory_without_decisions_has_none(tmp_path, capsys):
    DataDir.open(tmp_path / "data", 1)
    assert main(["explain", "x-1", "--data", str(tmp_path / "data")]) == 1
    assert "a decision of tenant default" in capsys.readouterr().err
