"""Fault 27: a customer is erased while its signals come in; then the log is replayed."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from membrane.ports import RecordKind
from membrane.times import DAY, format_time
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.log_reader import LogReader
from tests.faults.conftest import Tell
from tests.faults.sizes import short_and_full
from tests.processes import BATCH, Service, digest, event, run_json, up

PERSON = "person-4711-é"
SECRET = "my-secret-iban-ES9121000418450200051332"


@pytest.mark.parametrize("races", short_and_full(2, 200))
def test_nothing_of_an_erased_customer_is_left_and_nothing_comes_back(tmp_path: Path, tell: Tell, races: int) -> None:
    data, counts = tmp_path / "data", Counter[str]()
    with up(data, "--partitions", 2, "--runner", "plain") as running, running.client() as client:
        for number in range(races):
            counts += race(running, f"{PERSON}-{number:04}", number)
        assert client.post("/v1/signals", headers=BATCH, content=batch(f"{PERSON}-0000", "late", 9)).json() == {
            "accepted": 0, "duplicates": 0, "dead_lettered": 9, "rejected": [],
        }  # fmt: skip
        assert decide(running, f"{PERSON}-0000")["logged"] is False
        running.wait_applied()
        names = [f"{PERSON}-{number:04}" for number in range(races)]
        resurrected = sum(client.get(f"/v1/customers/{name}").status_code != 404 for name in names)
        assert client.get("/v1/customers/bystander").status_code == 200
        residue = residual_bytes(data)
        assert running.stop() == 0
    assert (resurrected, residue, residual_bytes(data)) == (0, {}, {})
    assert counts["accepted"] + counts["dead_lettered"] == counts["sent"]
    before = digest(data)
    assert run_json("rebuild", "--data", data) == before == digest(data)
    assert residual_bytes(data) == {}
    with closing(LogReader(DataDir.existing(data))) as log:
        kinds = Counter(one.kind for p in range(2) for one in log.read(p, 0, 10**6) if one.body)
    assert kinds[RecordKind.ERASE] == races
    tell(
        f"fault 27: {races} erasures during ingest of the same customers, {counts['sent']:,} signals of theirs: "
        f"{counts['accepted']:,} accepted before, {counts['dead_lettered']:,} set aside (of an unknown type, or "
        f"after): resurrected {resurrected}, residual bytes {sum(residue.values())} in every file, rebuild: digest "
        "equal"
    )


def race(service: Service, customer: str, number: int) -> Counter[str]:
    """Erases a customer while two threads send its signals; what became of these."""
    counts, started = Counter[str](), threading.Barrier(3)
    lock = threading.Lock()

    def send(who: int) -> None:
        with service.client() as client:
            for turn in range(10):
                answer = client.post("/v1/signals", headers=BATCH, content=batch(customer, f"{number}-{who}-{turn}", 5))
                with lock:
                    counts.update({name: answer.json()[name] for name in ("accepted", "dead_lettered")}, sent=5)
                if turn == 2:
                    started.wait(30)

    threads = [threading.Thread(target=send, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    started.wait(30)
    decide(service, customer)
    with service.client() as client:
        receipt = client.delete(f"/v1/customers/{customer}")
    for thread in threads:
        thread.join()
    assert (receipt.status_code, receipt.json()["state"]) == (200, "done"), receipt.text
    assert PERSON not in receipt.text
    assert receipt.json()["removed"]["log.db"]["records"] >= 24
    assert receipt.json()["removed"]["decisions.db"] == {"decisions": 1}
    return counts


def batch(customer: str, run: str, count: int) -> bytes:
    """Some signals of a customer (complaints, a consent, a contact, one of an unknown type), and one of another."""
    at = format_time(wall_ms() - DAY)
    events = [
        event(f"{run}-0", "message.received", customer, at, channel="email", text=SECRET, sentiment=-0.9),
        event(f"{run}-1", "case.opened", customer, at, case=f"{SECRET}-{run}", category="net", severity=1),
        event(f"{run}-2", "consent.changed", customer, at, channel="email", domain="marketing", granted=True),
        event(f"{run}-3", "contact.made", customer, at, domain="marketing", kind="upsell", channel="email"),
        event(f"{run}-4", "never.heard.of", customer, at, text=SECRET),
    ]
    events += [event(f"{run}-{place}", "order.placed", customer, at) for place in range(5, count)]
    return json.dumps(events[:count]).encode()


def decide(service: Service, customer: str) -> dict[str, object]:
    candidate = {"id": "a", "domain": "service", "kind": "agent_call", "channel": "phone"}
    with service.client() as client:
        client.post("/v1/signals", headers=BATCH, content=batch("bystander", "1", 1).replace(SECRET.encode(), b""))
        body = {"customer": customer, "candidates": [candidate], "reserve": True}
        return client.post("/v1/decisions", json=body).json()


def residual_bytes(data: Path) -> dict[str, int]:
    """By file, how many bytes of the name and the secret are in it, as they are and as JSON escapes them."""
    needles = [PERSON.encode(), json.dumps(PERSON).strip('"').encode(), SECRET.encode()]
    found = {}
    for path in data.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            count = sum(len(needle) * body.count(needle) for needle in dict.fromkeys(needles))
            if count:
                found[str(path.relative_to(data))] = count
    return found
