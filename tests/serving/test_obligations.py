"""Obligations over HTTP: listed, met, waived."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from membrane.ports import RecordKind
from membrane.record import MET, OPEN, Obligation
from membrane.times import DAY, HOUR
from storage.principles import DEFAULT_PACK


def owed(name: str = "o-1", owner: str = "service", due: int = 2000) -> Obligation:
    return Obligation(name, "promise-a-time", "promised_time", owner, 1000, due)


def test_obligations_are_listed_by_due_time_state_and_owner(api):
    api.write(obligations=[owed("late", due=5000), owed("soon"), owed("other", owner="sales")])
    listed = [one["obligation"] for one in api.get("/v1/obligations").json()["obligations"]]
    assert listed == ["other", "soon", "late"]
    assert [one["obligation"] for one in api.get("/v1/obligations?owner=service").json()["obligations"]] == [
        "soon",
        "late",
    ]
    assert api.get("/v1/obligations?state=met").json() == {"obligations": []}


def test_the_obligations_of_one_customer_are_listed_with_their_approval(api):
    api.write(obligations=[structs.replace(owed(), approval="human", escalate_to="operations")])
    api.write("c-2", obligations=[owed("other")])
    (one,) = api.get("/v1/obligations?customer=c-1").json()["obligations"]
    assert (one["obligation"], one["approval"], one["escalate_to"]) == ("o-1", "human", "operations")
    assert (one["held"], one["closed_by"], one["reason"]) == (False, None, None)


def breaking(limit: int, revision: str) -> bytes:
    """The shipped pack, in which so many promises may be opened within an hour."""
    text = DEFAULT_PACK.read_text("utf-8")
    old = next(line for line in text.splitlines() if line.startswith("revision:"))
    promise = "obligation: {kind: promised_time, owner: service, due: 4h, once_per: case"
    assert promise in text
    return text.replace(old, f"revision: {revision}").replace(promise, f"{promise}, breaker: {limit}").encode()


def held(api) -> dict[str, bool]:
    return {one["obligation"]: one["held"] for one in api.get("/v1/obligations").json()["obligations"]}


def gauge(api) -> dict[str, float]:
    lines = [line for line in api.get("/metrics").text.splitlines() if line.startswith("membrane_obligations_held{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def test_what_a_principle_opens_beyond_its_breaker_within_an_hour_is_held_until_a_person_lets_it_go(api):
    assert api.put("/v1/principles", content=breaking(2, "2030-01-01.1")).status_code == 200
    for number, opened_at in enumerate([HOUR, HOUR + 1, 2 * HOUR - 1, 2 * HOUR]):
        api.write(f"c-{number}", obligations=[at(f"o-{number}", opened_at)])
    api.write("c-9", obligations=[at("o-9", HOUR + 2, MET), at("elsewhere", HOUR, principle="another")])
    hour = {"o-0": True, "o-1": True, "o-2": True}
    assert held(api) == {**hour, "o-3": False, "o-9": False, "elsewhere": False}
    assert gauge(api) == {"promise-a-time": 3.0, "another": 0.0}
    assert api.put("/v1/principles", content=breaking(4, "2030-01-01.2")).status_code == 200
    assert not any(held(api).values())
    assert gauge(api) == {"promise-a-time": 0.0, "another": 0.0}


def at(name: str, opened_at: int, state: int = OPEN, principle: str = "promise-a-time") -> Obligation:
    return Obligation(name, principle, "promised_time", "service", opened_at, opened_at + DAY, state)


@pytest.mark.parametrize("act", ["meet", "waive"])
def test_an_act_is_recorded_in_the_log_and_nothing_else_is_changed(api, act):
    api.write(obligations=[owed()])
    answer = api.post(f"/v1/obligations/o-1/{act}", json={"by": "ana", "reason": "called"})
    assert answer.status_code == 202
    assert answer.json() == {
        "act": act, "obligation": "o-1", "customer": "c-1", "time": "2026-11-23T10:00:00.100Z", "by": "ana",
        "reason": "called",
    }  # fmt: skip
    (record,) = api.services.log.timeline("default", "c-1", None, 10)
    assert (record.kind, json.loads(record.body)) == (
        RecordKind.ACT,
        {"act": act, "tenant": "default", "customer": "c-1", "obligation": "o-1", "time": api.clock.ms, "by": "ana",
         "reason": "called"},
    )  # fmt: skip
    (item,) = api.get("/v1/customers/c-1/timeline").json()["items"]
    assert (item["kind"], item["type"], item["data"]["by"]) == ("act", act, "ana")


def test_an_act_needs_no_body(api):
    api.write(obligations=[owed()])
    assert api.post("/v1/obligations/o-1/meet").json()["by"] is None


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 422), (b'{"by": 7}', 422), (b'{"who": "x"}', 422), (b" " * 5000, 413)]
)
def test_a_bad_act_is_refused(api, body, status):
    api.write(obligations=[owed()])
    assert api.post("/v1/obligations/o-1/meet", content=body).status_code == status


def test_a_slot_that_an_act_does_not_have_is_refused_without_its_name(api):
    api.write(obligations=[owed()])
    answer = api.post("/v1/obligations/o-1/meet", content=b'{"4111111111111111": 1}')
    assert (answer.status_code, b"4111" in answer.content) == (422, False)


def test_an_obligation_nobody_has_is_not_found(api):
    answer = api.post("/v1/obligations/none/meet")
    assert (answer.status_code, "after the next tick" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize("state", ["met", "waived"])
def test_a_closed_obligation_is_a_conflict(api, monkeypatch, state):
    from storage.record_reader import StoredObligation

    closed = StoredObligation("o-1", "default", "c-1", state, "service", 2000, b"{}")
    monkeypatch.setattr(api.services.records, "obligation", lambda tenant, obligation: closed)
    assert api.post("/v1/obligations/o-1/meet").status_code == 409


def test_a_breached_obligation_can_still_be_met(api, monkeypatch):
    from storage.record_reader import StoredObligation

    breached = StoredObligation("o-1", "default", "c-1", "breached", "service", 2000, b"{}")
    monkeypatch.setattr(api.services.records, "obligation", lambda tenant, obligation: breached)
    assert api.post("/v1/obligations/o-1/meet").status_code == 202
