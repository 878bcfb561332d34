"""What is owed once per episode is owed once, whatever is killed: over a relapse within the episode and a new one."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from membrane.times import DAY, HOUR, MINUTE, format_time, parse_time
from tests.faults.conftest import Tell
from tests.faults.sizes import short_and_full
from tests.processes import BATCH, digest, event, run, serve, stream, wait_applied

SEED = 20261123
BEGAN = parse_time("2026-01-05T09:00:00Z")
CUSTOMERS = 20
PRINCIPLES = """\
pack: episodes
revision: 2036-01-01.1
principles:
  - id: call-once-an-episode
    owner: service
    text: {es: "Llamar una vez por crisis.", en: "Call once an episode."}
    when: stage.name == "crisis"
    effect: require
    obligation: {kind: agent_call, owner: service, due: 4h, once_per: episode}
"""


def life(customer: str) -> list[dict[str, Any]]:
    """A crisis, a relapse before the episode is over, and a new crisis weeks later; nobody ever calls."""
    told = []
    for number, begins in enumerate((0, 3 * DAY, 40 * DAY)):
        case, t = f"k-{number}", BEGAN + begins
        told += [
            event(
                f"{customer}-{number}-a", "case.opened", customer, format_time(t), case=case, category="rain",
                severity=1,
            ),
            event(
                f"{customer}-{number}-b", "case.resolved", customer, format_time(t + 10 * HOUR), case=case,
                resolution_code="fixed",
            ),
            event(
                f"{customer}-{number}-c", "message.received", customer, format_time(t + 10 * HOUR + 5 * MINUTE),
                channel="chat", sentiment=0.6,
            ),
        ]  # fmt: skip
    return told


@pytest.mark.parametrize("kills", short_and_full(3, 20))
def test_one_obligation_per_episode_over_kills_and_a_relapse(tmp_path: Path, tell: Tell, kills: int) -> None:
    data, random = tmp_path / "data", Random(SEED)
    events = sorted((one for number in range(CUSTOMERS) for one in life(f"c-{number}")), key=lambda one: one["time"])
    size = -(-len(events) // (kills + 1))
    parts = [events[place : place + size] for place in range(0, len(events), size)]
    with serve(data, "--clock", "signals") as api, api.client() as client:
        assert client.put("/v1/principles", content=PRINCIPLES).status_code == 200
        for part in parts:
            with stream(data, "--runner", "plain", "--clock", "signals") as worker:
                sent = client.post("/v1/signals", headers=BATCH, content=json.dumps(part))
                assert (sent.status_code, sent.json()["accepted"]) == (202, len(part))
                time.sleep(random.uniform(0.3, 1.2))
                worker.kill()
        with stream(data, "--runner", "plain", "--clock", "signals"):
            wait_applied(data)
            owed = client.get("/v1/obligations").json()["obligations"]
            told = client.get("/v1/customers/c-0/timeline?limit=1000").json()["items"]
            assert sum(one["kind"] == "stage" and one["data"]["to"] == "crisis" for one in told) == 3
    before = digest(data)
    assert run("rebuild", "--data", data).returncode == 0
    episodes = Counter((one["customer"], one["episode"]) for one in owed)
    doubled = sum(count > 1 for count in episodes.values())
    tell(
        f"once per episode: {CUSTOMERS} customers, each in crisis three times in two episodes, {kills} SIGKILLs of the"
        f" stream: {len(owed)} owed, doubled {doubled}, digest equal to rebuild"
    )
    assert Counter(customer for customer, _ in episodes) == {f"c-{number}": 2 for number in range(CUSTOMERS)}
    assert doubled == 0
    assert digest(data) == before
