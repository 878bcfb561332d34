"""DELETE /v1/customers/{id}: the receipt, what is refused afterwards, and what a decision still says."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from membrane.ports import Commit, partition_of
from serving import erasing
from serving.erased import KEPT_SECONDS
from storage import checkpoints
from storage.decisions import DecisionLog
from storage.erasing import count_rows
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


def test_who_is_erased_while_a_reservation_waits_for_its_turn_gets_no_permit(api, event, monkeypatch):
    """The answer is that of one who was erased before, and claims.db holds neither a permit nor the answer."""
    monkeypatch.setattr(erasing, "SETTLE_SECONDS", 2 * KEPT_SECONDS)
    api.send(event())
    api.write()
    wanted = {"customer": "c-1", "candidates": [CALL], "reserve": True}
    queue = api.services.claims.turns._queue

    async def erased_meanwhile():
        async with queue:
            headers = {"Idempotency-Key": "k"}
            asked = asyncio.create_task(api._request("POST", "/v1/decisions", headers=headers, json=wanted))
            while not queue._waiters:  # noqa: ASYNC110 - the queue tells nobody who comes
                await asyncio.sleep(0.001)
            receipt = await api._request("DELETE", "/v1/customers/c-1")
            act_as_stream(api, receipt.json()["offset"], "c-1")
            done = await api._request("DELETE", "/v1/customers/c-1")
        return done.json()["state"], (await asked).json()

    state, answer = asyncio.run(erased_meanwhile())
    assert (state, answer["logged"], answer["verdicts"][0]["permit"]) == ("done", False, None)
    assert answer["verdicts"][0]["verdict"] == "allow"
    assert answer["state"]["degraded"] == []
    assert api.services.claims.store.live(NOW) == []
    assert count_rows(api.services.directory.claims_path, "default", "c-1") == {}


def test_an_erasure_waits_for_a_decision_log_that_cannot_be_written_which_then_leaves_the_customer_out(
    api, event, monkeypatch
):
    path = api.services.directory.decisions_path
    with closing(DecisionLog(path)) as of_another_process:
        with monkeypatch.context() as refusing:
            refusing.setattr(DecisionLog, "_write", lambda self, rows: False)
            refusing.setattr(DecisionLog.flush, "__defaults__", (0.05,))
            api.send(event())
            for customer in ("c-1", "c-2"):
                assert api.decide(CALL, customer=customer).json()["logged"]
                of_another_process.put(f"d-{customer}", "default", customer, NOW, b"{}")
            receipt = erase(api).json()
            assert receipt["waiting_for"] == ["the stream", "decisions.db"]
            act_as_stream(api, receipt["offset"], "c-1")
            assert erase(api).json()["waiting_for"] == ["decisions.db"]
        assert api.services.decisions.flush(30)
        assert erase(api).json()["state"] == "done"
        assert of_another_process.flush(30)
    assert count_rows(path, "default", "c-1") == {}
    assert count_rows(path, "default", "c-2") == {"decisions": 2}


def test_nobody_is_erased_of_whom_nothing_is_held_and_not_without_the_scope(api, make_api, tmp_path, event):
    assert erase(api, "never-seen").status_code == 404
    assert api.send(event(subject="never-seen")).json()["accepted"] == 1
    keys = tmp_path / "keys.yaml"
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    keys.write_text(f"- {{sha256: {digest}, tenant: default, scopes: [act, read]}}\n")
    guarded = make_api(keys=keys)
    guarded.headers = {"Authorization": "Bearer test"}
    assert erase(guarded, "never-seen").status_code == 403
