"""Obligations over HTTP: listed, met, waived."""

from __future__ import annotations

import json

import pytest

from membrane.ports import RecordKind
from membrane.record import Obligation


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
