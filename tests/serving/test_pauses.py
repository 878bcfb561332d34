"""Pauses over HTTP: begun, shown in decisions of every process, ended, listed, and in the log."""

from __future__ import annotations

import json

import pytest

from membrane.ids import stable_id
from membrane.pauses import Pause, PauseRecord
from membrane.ports import RecordKind, partition_of
from membrane.times import DAY, HOUR, SECOND, format_time
from storage import log as log_module
from tests.serving.conftest import NOW

UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
CALL = {"id": "call", "domain": "service", "kind": "agent_call", "channel": "phone"}
END = format_time(NOW + DAY)


def begin(api, **fields):
    return api.post("/v1/pauses", json={"until": END, "by": "ana", "why": "outage", **fields})


def end(api, pause, by="bob", why="over"):
    return api.request("DELETE", f"/v1/pauses/{pause}", params={"by": by, "why": why})


def given(api, customer="c-1"):
    body = api.decide(UPSELL, CALL, customer=customer).json()
    return [one["verdict"] for one in body["verdicts"]], [one["pause"] for one in body.get("pauses", [])]


def kinds(api, partition):
    return [one.kind for one in api.services.log.read(partition, 0, 100) if one.kind is RecordKind.PAUSE]


def test_a_pause_acts_on_the_next_decision_of_every_process_until_it_is_ended(api, make_api):
    other = make_api()
    api.write()
    assert given(api) == given(other) == (["allow", "allow"], [])
    begun = begin(api, domain="sales")
    assert begun.status_code == 201
    pause = begun.json()["pause"]
    assert given(api) == (["defer", "allow"], [pause])
    api.clock.ms += 100  # what another process has changed counts within 100 ms
    assert given(other) == (["defer", "allow"], [pause])
    assert end(other, pause).json()["ended"] == {"at": format_time(api.clock.ms), "by": "bob", "why": "over"}
    assert given(other) == (["allow", "allow"], [])
    api.clock.ms += 100
    assert given(api) == (["allow", "allow"], [])


def test_a_pause_runs_out_by_itself_and_outlives_a_restart(api, make_api):
    api.write()
    begin(api, customer="c-1")
    assert given(make_api())[0] == ["defer", "allow"]
    api.clock.ms = NOW + DAY
    api.write()
    assert given(api) == (["allow", "allow"], [])
    assert api.get("/v1/pauses").json() == {"pauses": []}
    assert len(api.get("/v1/pauses?all=true").json()["pauses"]) == 1


def test_a_customer_left_in_peace_is_so_alone(api):
    api.write()
    api.write("c-2")
    begin(api, customer="c-1")
    assert [given(api, name)[0] for name in ("c-1", "c-2")] == [["defer", "allow"], ["allow", "allow"]]
    item = api.get("/v1/customers/c-1/timeline").json()["items"][0]
    assert (item["kind"], item["type"], item["data"]["pause"]["by"]) == ("act", "pause", "ana")


def test_a_pause_is_in_every_partition_or_in_its_customers_alone(api):
    begin(api, domain="sales")
    assert [len(kinds(api, partition)) for partition in range(2)] == [1, 1]
    begin(api, customer="c-1")
    own = partition_of("default", "c-1", 2)
    assert (len(kinds(api, own)), len(kinds(api, 1 - own))) == (2, 1)


def test_asking_twice_makes_one_pause_and_ending_twice_one_end(api):
    first = begin(api, domain="sales").json()
    api.clock.ms += SECOND
    assert begin(api, domain="sales").json() == first
    ended = end(api, first["pause"]).json()
    api.clock.ms += SECOND
    assert end(api, first["pause"], by="eve").json() == ended
    assert len(kinds(api, 0)) == 2


def test_a_pause_that_is_begun_again_in_the_same_words_is_another(api):
    """Also at the same moment: under `--clock signals` time may stand still."""
    api.write()
    first = begin(api, domain="sales").json()["pause"]
    ended = end(api, first).json()
    again = begin(api, domain="sales").json()
    assert again["pause"] != first
    assert begin(api, domain="sales").json() == again
    assert end(api, first, by="eve").json() == ended
    assert given(api) == (["defer", "allow"], [again["pause"]])
    listed = api.get("/v1/pauses?all=true").json()["pauses"]
    assert [(one["pause"], one["ended"] is None) for one in listed] == [(first, False), (again["pause"], True)]


def test_a_pause_with_an_id_of_before_stands_and_can_be_ended(api):
    """The ids of before were made of the words alone."""
    api.write()
    words = ("default", "domain", "sales", NOW + DAY, "ana", "outage")
    old = Pause(stable_id("pause", *words), *words[:3], NOW, *words[3:])
    api.services.log.pause(PauseRecord("pause", NOW, "ana", "outage", old), NOW)
    assert begin(api, domain="sales").json()["pause"] == old.id
    assert end(api, old.id).status_code == 200
    assert begin(api, domain="sales").json()["pause"] != old.id


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/"),
        ({"domain": "sales", "customer": "c-1"}, "/"),
        ({"domain": "legal"}, "/domain"),
        ({"domain": "service"}, "/domain"),
        ({"principle": "no-such-thing"}, "/principle"),
        ({"principle": "never-silence-help"}, "/principle"),
        ({"customer": "a/b"}, "/customer"),
        ({"domain": "sales", "until": "tomorrow"}, "/until"),
        ({"domain": "sales", "until": format_time(NOW)}, "/until"),
        ({"domain": "sales", "until": format_time(NOW + 401 * DAY)}, "/until"),
        ({"domain": "sales", "why": ""}, "/why"),
        ({"domain": "sales", "by": None}, "/by"),
        ({"domain": "sales", "wyh": "x"}, ""),
    ],
)
def test_what_cannot_be_paused_is_a_422_that_names_the_field(api, fields, pointer):
    answer = begin(api, **fields)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(pointer)
    assert kinds(api, 0) == []


def test_a_guarantee_is_refused_in_so_many_words(api):
    assert "guarantees are never paused" in begin(api, principle="never-silence-help").json()["detail"]


def test_a_pause_of_a_principle_is_shown_where_the_principle_would_speak(api, known):
    api.write(record=known(stage="crisis"))
    pause = begin(api, principle="no-selling-in-crisis").json()["pause"]
    assert given(api) == (["allow", "allow"], [pause])


def test_there_is_a_bound_to_what_may_be_paused(api, monkeypatch):
    monkeypatch.setattr(log_module, "MAX_PAUSES", 1)
    begin(api, domain="sales")
    assert begin(api, domain="marketing").status_code == 409
    api.clock.ms = NOW + DAY + HOUR
    later = format_time(api.clock.ms + DAY)
    assert begin(api, domain="marketing", until=later).status_code == 201


def test_nobody_elses_pause_can_be_ended(api):
    assert end(api, "0" * 16).status_code == 404
    assert api.request("DELETE", "/v1/pauses/x").status_code == 422


def test_what_was_paused_is_in_the_evidence(api):
    api.write()
    begin(api, domain="sales")
    decision = api.decide(UPSELL).json()["decision"]
    logged = json.loads(api.services.decisions.by_id("default", decision).body)
    assert [one["name"] for one in logged["evidence"]["pauses"]] == ["sales"]
