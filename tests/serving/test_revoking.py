"""Revoking permits that would no longer be given."""

import asyncio
import json

import pytest

from membrane.ports import Commit, partition_of
from membrane.record import Contact
from membrane.times import DAY, MINUTE, format_time
from serving.decisions import Again
from tests.serving.conftest import make_record
from tests.serving.test_permits import UPSELL, first, reserve

REPLY = {"id": "reply", "domain": "service", "kind": "ticket_reply", "channel": "email"}


@pytest.fixture
def follow(api, event):
    """Sends a signal about a customer and writes what the stream would have made of it, one offset further."""

    def follow(record=None, **signal):
        api.send(event(**signal))
        record = record or make_record()
        partition = partition_of("default", record.customer, api.services.directory.partitions)
        api.write(record=record)
        store = api.store(partition)
        store.commit(commit_up_to(api, partition))
        api.clock.ms += 100

    return follow


def commit_up_to(api, partition):
    return Commit(meta=api.meta(partition), next_offset=api.services.log.end(partition))


def round_of(api):
    asyncio.run(api.app.revoker.round())


def state(api, permit):
    return api.get(f"/v1/permits/{permit}").json()["state"]


def test_a_crisis_revokes_what_sells_and_not_what_helps_and_once(api, follow):
    api.write()
    answer = reserve(api, UPSELL, REPLY).json()
    upsell, reply = (one["permit"] for one in answer["verdicts"])
    round_of(api)
    assert (state(api, upsell), state(api, reply)) == ("live", "live")
    follow(make_record(stage="crisis"))
    for _ in range(3):
        round_of(api)
    assert (state(api, upsell), state(api, reply)) == ("revoked", "live")
    ((_, body),) = api.services.claims.store.revocations("default", 0, 10)
    told = json.loads(body)
    assert (told["permit"], told["to"], told["candidate"]) == (upsell, "revoked", "upsell")
    assert told["cause"] == {"source": "principle", "id": "no-selling-in-crisis", "type": "reason"}
    assert api.post(f"/v1/permits/{upsell}/confirm").status_code == 409
    assert "membrane_permits_revoked_total 1.0" in api.get("/metrics").text


def test_an_opt_out_revokes(api, follow):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    denied = {"channel": "email", "domain": "marketing", "granted": False}
    follow(type="cx.consent.changed.v1", data=denied)
    round_of(api)
    assert state(api, permit) == "revoked"


def test_nothing_new_revokes_nothing_and_asks_nobody(api, monkeypatch):
    api.write()
    first(reserve(api))
    round_of(api)
    asked = []
    monkeypatch.setattr(api.app.revoker._decisions, "judged_again", asked.append)
    round_of(api)
    assert asked == []


def test_a_process_that_starts_late_compares_every_permit_with_the_log(api, follow):
    api.write()
    permit = first(reserve(api))["permit"]
    follow(make_record(stage="crisis"))
    round_of(api)  # its first
    assert state(api, permit) == "revoked"


def test_principles_that_change_revoke_what_they_forbid(api, follow):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    pack = api.get("/v1/principles").json()["yaml"]
    when, effect = 'when: stage.name == "{}"', "\n    effect: forbid"
    revised = pack.replace(when.format("crisis") + effect, when.format("steady") + effect, 1)
    assert revised != pack
    revision = api.get("/v1/principles").json()["revision"]
    answer = api.put("/v1/principles", content=revised.replace(revision, "2036-01-01.1"))
    assert answer.status_code == 200, answer.text
    api.write()
    for partition in range(api.services.directory.partitions):
        api.store(partition).commit(commit_up_to(api, partition))
    api.clock.ms += 100
    round_of(api)
    assert state(api, permit) == "revoked"


def test_what_cannot_be_judged_is_judged_in_a_later_round(api, follow, monkeypatch):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    follow(make_record(stage="crisis"))
    with monkeypatch.context() as patch:
        patch.setattr(api.app.revoker._decisions, "judged_again", lambda _permit: Again.LATER)
        round_of(api)
    assert state(api, permit) == "live"
    round_of(api)
    assert state(api, permit) == "revoked"


def test_what_is_only_a_moments_weakness_revokes_nothing(api, follow):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    follow(make_record(stage="crisis"), id="e-2")
    api.clock.ms += 2 * MINUTE  # the stream's word is old
    round_of(api)
    assert state(api, permit) == "live"
    api.write(record=make_record(stage="crisis"))
    api.store(0).commit(commit_up_to(api, 0))
    api.store(1).commit(commit_up_to(api, 1))
    api.clock.ms += 100
    round_of(api)
    assert state(api, permit) == "revoked"


def test_a_permit_is_not_revoked_by_its_own_contact(api, follow):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    record = make_record()
    record.state.contacts.append(Contact("k-1", api.clock.ms, 0, 0, "upsell", permit))
    follow(record)
    round_of(api)
    assert state(api, permit) == "confirmed"


def test_a_pause_of_a_department_revokes_without_the_stream(api):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    until = format_time(api.clock.ms + DAY)
    paused = {"domain": "marketing", "until": until, "by": "anna", "why": "an outage"}
    assert api.post("/v1/pauses", json=paused).status_code == 201
    api.clock.ms += 200
    round_of(api)
    assert state(api, permit) == "revoked"


def test_an_opt_out_revokes_while_the_stream_stands_still(api, event):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    denied = {"channel": "email", "domain": "marketing", "granted": False}
    api.send(event(type="cx.consent.changed.v1", data=denied))
    round_of(api)
    assert state(api, permit) == "revoked"


def test_an_opt_out_revokes_though_the_stream_has_long_been_silent(api, event):
    """Confirmed in the place of revoked it would have gone out to who has just said no."""
    api.write()
    answer = reserve(api, UPSELL, REPLY).json()
    upsell, reply = (one["permit"] for one in answer["verdicts"])
    round_of(api)
    api.clock.ms += 2 * MINUTE
    denied = {"channel": "email", "domain": "marketing", "granted": False}
    api.send(event(type="cx.consent.changed.v1", data=denied))
    round_of(api)
    assert (state(api, upsell), state(api, reply)) == ("revoked", "live")
    ((_, body),) = api.services.claims.store.revocations("default", 0, 10)
    told = json.loads(body)
    assert (told["verdict"], told["cause"]["source"], told["cause"]["id"]) == ("forbid", "consent", "opted-out")
    assert api.post(f"/v1/permits/{upsell}/confirm").status_code == 409


def test_a_pause_revokes_though_the_stream_has_long_been_silent(api):
    api.write()
    permit = first(reserve(api))["permit"]
    round_of(api)
    api.clock.ms += 2 * MINUTE
    until = format_time(api.clock.ms + DAY)
    paused = {"domain": "marketing", "until": until, "by": "anna", "why": "an outage"}
    assert api.post("/v1/pauses", json=paused).status_code == 201
    api.clock.ms += 200
    round_of(api)
    assert state(api, permit) == "revoked"
    ((_, body),) = api.services.claims.store.revocations("default", 0, 10)
    assert (json.loads(body)["verdict"], json.loads(body)["cause"]["source"]) == ("defer", "pause")


@pytest.mark.parametrize("looked", [True, False], ids=["looked-before", "first-round"])
def test_an_opt_out_revokes_while_the_records_cannot_be_read_and_once(api, event, looked):
    api.write()
    own = partition_of("default", "c-1", 2)
    upsell, reply = (one["permit"] for one in reserve(api, UPSELL, REPLY).json()["verdicts"])
    if looked:
        round_of(api)
    api.store(own).close()
    path = api.services.directory.records_path(own)
    aside = path.rename(path.with_suffix(".aside"))
    api.services.records.close()
    round_of(api)
    assert (state(api, upsell), state(api, reply)) == ("live", "live")
    denied = {"channel": "email", "domain": "marketing", "granted": False}
    api.send(event(type="cx.consent.changed.v1", data=denied))
    round_of(api)
    assert (state(api, upsell), state(api, reply)) == ("revoked", "live")
    aside.rename(path)
    for _ in range(2):
        round_of(api)
    assert state(api, reply) == "live"
    assert len(api.services.claims.store.revocations("default", 0, 10)) == 1


def test_a_partition_that_cannot_be_read_holds_up_no_other(api, event):
    api.write()
    own = partition_of("default", "c-1", 2)
    other = next(f"c-{n}" for n in range(2, 99) if partition_of("default", f"c-{n}", 2) != own)
    api.write(other)
    mine = first(reserve(api))["permit"]
    theirs = first(api.post("/v1/decisions", json={"customer": other, "candidates": [UPSELL], "reserve": True}))[
        "permit"
    ]
    round_of(api)
    api.store(1 - own).close()
    api.services.directory.records_path(1 - own).unlink()
    api.services.records.close()
    denied = {"channel": "email", "domain": "marketing", "granted": False}
    api.send(event(type="cx.consent.changed.v1", data=denied))
    round_of(api)
    assert (state(api, mine), state(api, theirs)) == ("revoked", "live")
