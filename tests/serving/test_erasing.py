"""DELETE /v1/customers/{id}: the receipt, what is refused afterwards, and what a decision still says."""

from __future__ import annotations

import pytest

from membrane.ports import Commit, partition_of
from serving import erasing
from storage import checkpoints
from tests.serving.conftest import NOW, Api

CALL = {"id": "call", "domain": "service", "kind": "agent_call", "channel": "phone"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(erasing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(erasing, "STREAM_SECONDS", 0.05)


def erase(api: Api, customer="c-1"):
    return api.request("DELETE", f"/v1/customers/{customer}")


def act_as_stream(api: Api, offset: int, *names: str) -> None:
    """What the stream does when it meets the ERASE record."""
    for partition in range(api.services.directory.partitions):
        erased = [("default", one) for one in names if partition_of("default", one, 2) == partition]
        api.store(partition).commit(Commit(meta=api.meta(partition), next_offset=offset + 1, erased=erased))
    api.clock.ms += 100


def test_an_erasure_waits_for_the_stream_and_is_done_when_no_file_holds_anything(api, event):
    api.send(event(), event(id="e-2", type="cx.what.is.this.v1"))
    api.write()
    api.decide(CALL)
    first = erase(api)
    assert first.status_code == 202
    receipt = first.json()
    assert (receipt["state"], receipt["waiting_for"][0]) == ("pending", "the stream")
    assert receipt["removed"]["log.db"] == {"dead_letters": 1, "records": 1}
    assert receipt["removed"]["decisions.db"] == {"decisions": 1}
    assert receipt["removed"][f"records-{receipt['partition']}.db"] == {"records": 1}
    assert "c-1" not in first.text
    act_as_stream(api, receipt["offset"], "c-1")
    again = erase(api)
    assert (again.status_code, again.json()["state"], again.json()["removed"]) == (200, "done", {})
    assert again.json()["erased_at"] == receipt["erased_at"]
    assert api.get("/v1/customers/c-1").status_code == 404


@pytest.mark.parametrize("where", ["log.db", "checkpoint"])
def test_an_erasure_from_a_damaged_file_is_never_done_and_writes_over_nothing_there(api, event, where):
    api.send(*(event(id=f"e-{number}") for number in range(40)))
    api.write()
    directory, partition = api.services.directory, partition_of("default", "c-1", 2)
    checkpoints.begin(directory, partition)
    checkpoints.finish(directory, partition, lambda: ())
    path = directory.log_path if where == "log.db" else directory.checkpoint_path(partition)
    act_as_stream(api, erase(api).json()["offset"], "c-1")
    body = bytearray(path.read_bytes())
    body[-4_096 + 5] ^= 0x10  # where the cells of its last page begin
    path.write_bytes(body)
    receipt = erase(api)
    assert (receipt.status_code, receipt.json()["state"]) == (202, "pending")
    assert receipt.json()["waiting_for"] == [f"checkpoint/{path.name}" if where == "checkpoint" else path.name]
    assert path.read_bytes()[-4_096:] == body[-4_096:]


def test_what_comes_of_an_erased_customer_is_set_aside(api, event):
    api.send(event())
    erase(api)
    answer = api.send(event(id="e-3"), event(id="e-4", subject="c-2"))
    assert answer.json() == {"accepted": 1, "duplicates": 0, "dead_lettered": 1, "rejected": []}
    [letter] = api.services.log.dead_letters(9)
    assert (letter.reason, letter.id, letter.payload) == ("erased", "", b"")
    pause = {"customer": "c-1", "until": "2026-11-24T00:00:00Z", "by": "ana", "why": "x"}
    assert api.post("/v1/pauses", json=pause).status_code == 404


def test_decisions_about_an_erased_customer_are_neither_logged_nor_reserve_anything(api, event):
    api.send(event())
    erase(api)
    for more in ({}, {"reserve": True}):
        answer = api.decide(CALL, **more).json()
        assert (answer["logged"], answer["lifecycle"], answer["verdicts"][0]["permit"]) == (False, "unknown", None)
        assert answer["verdicts"][0]["verdict"] == "allow"
    assert api.get("/v1/customers/c-1/decisions").json()["items"] == []
    assert api.services.claims.store.live(NOW) == []


def test_nobody_is_erased_of_whom_nothing_is_held_and_not_without_the_scope(api, make_api, tmp_path, event):
    assert erase(api, "never-seen").status_code == 404
    assert api.send(event(subject="never-seen")).json()["accepted"] == 1
    keys = tmp_path / "keys.yaml"
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    keys.write_text(f"- {{sha256: {digest}, tenant: default, scopes: [act, read]}}\n")
    guarded = make_api(keys=keys)
    guarded.headers = {"Authorization": "Bearer test"}
    assert erase(guarded, "never-seen").status_code == 403
