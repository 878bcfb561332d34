"""Reserving over the API: permits, idempotency keys, confirm and release."""

import asyncio
import json
from contextlib import closing, contextmanager

import apsw
import pytest

from membrane.caps import Claim
from membrane.errors import StoreRefused
from membrane.times import DAY, MINUTE, format_time
from storage.claims import ClaimStore, NewPermit

UPSELL = {"id": "upsell", "domain": "marketing", "kind": "upsell", "channel": "email", "campaign": "spring"}
SURVEY = {"id": "survey", "domain": "survey", "kind": "nps", "channel": "email"}


def reserve(api, *candidates, key=None, **fields):
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"customer": "c-1", "candidates": list(candidates or [UPSELL]), "reserve": True, **fields}
    return api.post("/v1/decisions", content=json.dumps(body), headers=headers)


def first(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["verdicts"][0]


def test_a_permit_holds_the_slot_until_it_ends(api):
    api.write()
    granted = first(reserve(api))
    assert granted["verdict"] == "allow"
    assert granted["permit_until"] == format_time(api.clock.ms + 15 * MINUTE)
    api.clock.ms += 100
    refused = first(reserve(api))
    assert (refused["verdict"], refused["permit"], refused["until"]) == ("defer", None, granted["permit_until"])
    assert "permit_until" not in refused
    plain = api.decide(UPSELL).json()["verdicts"][0]
    assert (plain["verdict"], [one["source"] for one in plain["reasons"]]) == ("defer", ["cap"])
    api.clock.ms += 15 * MINUTE
    api.write()
    assert first(reserve(api))["verdict"] == "allow"


def test_a_question_about_another_moment_reserves_nothing(api):
    api.write()
    answer = first(reserve(api, at=format_time(api.clock.ms + MINUTE)))
    assert (answer["verdict"], answer["permit"]) == ("allow", None)
    assert first(reserve(api))["verdict"] == "allow"


def test_confirming_appends_the_contact_once(api):
    api.write()
    permit = first(reserve(api))["permit"]
    for _ in range(2):
        answer = api.post(f"/v1/permits/{permit}/confirm", json={"contact": "k-77", "topic": "rain"})
        assert (answer.status_code, answer.json()["state"]) == (200, "confirmed")
    (item,) = api.get("/v1/customers/c-1/timeline").json()["items"]
    assert (item["type"], item["source"]) == ("cx.contact.made.v1", "membrane")
    assert item["data"] == {
        "domain": "marketing", "kind": "upsell", "channel": "email", "contact": "k-77", "permit": permit,
        "campaign": "spring", "topic": "rain",
    }  # fmt: skip
    assert api.post(f"/v1/permits/{permit}/release").status_code == 409
    api.clock.ms += 20 * MINUTE
    api.write()  # the stream has not brought the contact into the record yet
    assert first(reserve(api))["verdict"] == "defer"
    assert api.get(f"/v1/permits/{permit}").json()["state"] == "confirmed"


def test_a_released_slot_can_be_had_again(api):
    api.write()
    permit = first(reserve(api))["permit"]
    assert api.post(f"/v1/permits/{permit}/release").json()["state"] == "released"
    assert api.post(f"/v1/permits/{permit}/release").status_code == 200
    answer = api.post(f"/v1/permits/{permit}/confirm")
    assert (answer.status_code, answer.json()["state"]) == (409, "released")
    assert first(reserve(api))["verdict"] == "allow"


def test_an_expired_permit_can_be_neither_confirmed_nor_released(api):
    api.write()
    permit = first(reserve(api))["permit"]
    api.clock.ms += 15 * MINUTE
    for act in ("confirm", "release"):
        answer = api.post(f"/v1/permits/{permit}/{act}")
        assert (answer.status_code, answer.json()["state"]) == (409, "expired")


@pytest.mark.parametrize("path", ["", "/confirm", "/release"])
def test_a_permit_that_is_not_there_is_not_found(api, path):
    answer = api.get("/v1/permits/p0") if not path else api.post(f"/v1/permits/p0{path}")
    assert answer.status_code == 404


def test_a_bad_confirmation_is_refused_and_settles_nothing(api):
    api.write()
    permit = first(reserve(api))["permit"]
    for broken in (b"{", b"[", b'{"contact": 1'):  # one whose shape is wrong, too, before it breaks off
        assert api.post(f"/v1/permits/{permit}/confirm", content=broken).status_code == 400
    assert api.post(f"/v1/permits/{permit}/confirm", json={"contact": 7}).status_code == 422
    assert api.post(f"/v1/permits/{permit}/confirm", json={"who": "me"}).status_code == 422
    assert api.get(f"/v1/permits/{permit}").json()["state"] == "live"


def test_the_same_key_and_body_get_the_same_answer_for_a_day_and_another_body_is_refused(api):
    api.write()
    answer = reserve(api, key="order-7")
    assert reserve(api, key="order-7").content == answer.content
    other = reserve(api, SURVEY, key="order-7")
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "Idempotency-Key")
    api.clock.ms += DAY
    api.write()
    assert reserve(api, SURVEY, key="order-7").status_code == 200


def test_an_answer_that_could_not_be_logged_is_the_same_when_it_is_asked_for_again(api, monkeypatch):
    api.write()
    with monkeypatch.context() as patch:
        patch.setattr(api.services.decisions, "put", lambda *row: False)
        answer = reserve(api, key="order-7")
    assert (answer.json()["logged"], answer.json()["state"]["degraded"]) == (False, ["log_full"])
    assert first(answer)["permit"]
    assert reserve(api, key="order-7").content == answer.content


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_a_key_has_1_to_256_characters(api, key):
    api.write()
    assert reserve(api, key=key).status_code == 422


def test_without_the_store_of_claims_persuasion_is_forbidden_and_help_is_given(api):
    api.write()
    for name in ("claims.db", "claims.db-wal", "claims.db-shm"):
        (api.services.directory.path / name).unlink(missing_ok=True)
    api.services.claims.store.close()
    api.services.directory.claims_path.mkdir()
    reply = {"id": "reply", "domain": "service", "kind": "ticket_reply", "channel": "email"}
    answer = reserve(api, UPSELL, reply).json()
    assert [(one["verdict"], one["permit"]) for one in answer["verdicts"]] == [("forbid", None), ("allow", None)]
    assert answer["state"]["degraded"] == ["claims_unreadable"]
    api.clock.ms += 100
    assert api.decide(UPSELL).json()["state"]["degraded"] == ["claims_unreadable"]


def test_the_decision_log_holds_the_claims_seen_and_the_permits_given(api):
    api.write()
    permit = first(reserve(api))["permit"]
    api.clock.ms += 100
    first(reserve(api))
    later, earlier = api.services.decisions.by_customer("default", "c-1", 10)
    assert json.loads(earlier.body)["answer"]["verdicts"][0]["permit"] == permit
    (claim,) = json.loads(later.body)["evidence"]["claims"]
    assert claim[0] == permit


def made(permit, contact="k-1"):
    """The department's own word that the contact was made."""
    data = {"domain": "marketing", "kind": "upsell", "channel": "email", "contact": contact, "permit": permit}
    return {"type": "cx.contact.made.v1", "id": contact, "data": data}


def test_the_departments_own_contact_settles_its_permit(api, event):
    api.write()
    permit = first(reserve(api))["permit"]
    api.send(event(**made(permit)))
    assert api.get(f"/v1/permits/{permit}").json()["state"] == "confirmed"
    assert api.post(f"/v1/permits/{permit}/release").status_code == 409
    assert api.post(f"/v1/permits/{permit}/confirm").status_code == 200
    api.clock.ms += 20 * MINUTE
    api.write()  # the stream has not brought the contact into the record yet
    assert first(reserve(api))["verdict"] == "defer"


def test_a_contact_that_comes_after_its_permit_has_ended_counts_until_the_record_knows(api, event):
    api.write()
    permit = first(reserve(api))["permit"]
    api.clock.ms += 15 * MINUTE
    api.send(event(**made(permit)))
    api.write()
    assert first(reserve(api))["verdict"] == "defer"


def test_a_permit_of_another_tenant_is_settled_by_nobody_else(api, event):
    api.write()
    permit = first(reserve(api))["permit"]
    api.services.claims.store.made("other", [permit], api.clock.ms)
    assert api.get(f"/v1/permits/{permit}").json()["state"] == "live"


def test_a_permit_for_later_cannot_be_confirmed_before(api):
    api.write()
    later = {**UPSELL, "send_at": format_time(api.clock.ms + 10 * MINUTE)}
    permit = first(reserve(api, later))["permit"]
    assert api.post(f"/v1/permits/{permit}/confirm").status_code == 409
    api.clock.ms += 10 * MINUTE
    assert api.post(f"/v1/permits/{permit}/confirm").status_code == 200


def test_claims_hold_while_the_clock_is_set_back_far_behind_the_customers(api, known):
    record = known(clock=api.clock.ms + DAY)
    api.write(record=record)
    granted = [first(reserve(api))["permit"] for _ in range(4)]
    assert [permit is not None for permit in granted] == [True, False, False, False]


def test_a_store_of_claims_that_was_replaced_is_noticed(api):
    api.write()
    first(reserve(api))
    for name in ("claims.db", "claims.db-wal", "claims.db-shm"):
        (api.services.directory.path / name).unlink(missing_ok=True)
    other = ClaimStore(api.services.directory.claims_path)
    with other.reserving("default", "c-1", api.clock.ms) as held:
        claim = Claim("p1", api.clock.ms, 0, 0, "upsell", api.clock.ms + MINUTE)
        held.grant("d-1", [NewPermit(claim, "upsell", b"{}")], 0)
    other.close()
    assert first(reserve(api))["permit"] is None


def test_a_batch_sent_again_with_its_key_reserves_nothing_twice(api):
    api.write()
    line = json.dumps({"customer": "c-1", "candidates": [UPSELL], "reserve": True}).encode()
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "b-1"}
    answers = [api.post("/v1/decisions/batch", content=line + b"\n" + line, headers=headers).content for _ in range(2)]
    assert answers[0] == answers[1]
    permits = [json.loads(one)["verdicts"][0]["permit"] for one in answers[0].splitlines()]
    assert [permit is not None for permit in permits] == [True, False]


@contextmanager
def locked(api):
    """Somebody else is writing to the claims."""
    blocker = apsw.Connection(str(api.services.directory.claims_path))
    blocker.execute("BEGIN IMMEDIATE")
    yield
    blocker.close()


def test_a_decision_waits_for_who_is_writing_within_its_deadline_and_others_are_answered_meanwhile(make_api):
    api = make_api(deadline_seconds=2.0)
    api.write()
    body = json.dumps({"customer": "c-1", "candidates": [UPSELL], "reserve": True})

    async def both():
        waiting = asyncio.create_task(api._request("POST", "/v1/decisions", content=body))
        with locked(api):
            for _ in range(5):
                answer = await api._request("POST", "/v1/decisions", content=body.replace("true", "false"))
                assert answer.json()["verdicts"][0]["verdict"] == "allow"
            assert not waiting.done()
        return await waiting

    answer = asyncio.run(both())
    assert first(answer)["permit"] is not None
    assert answer.json()["state"]["degraded"] == []


def test_what_could_not_be_reserved_in_time_is_not_kept_and_the_same_key_gets_a_better_answer(make_api):
    api = make_api(deadline_seconds=0.05)
    api.write()
    with locked(api):
        late = reserve(api, key="order-7")
    assert (first(late)["verdict"], first(late)["permit"]) == ("forbid", None)
    assert late.json()["state"]["degraded"] == ["claims_unreadable"]
    api.clock.ms += 100
    better = reserve(api, key="order-7")
    assert first(better)["permit"] is not None
    assert reserve(api, key="order-7").content == better.content


def test_an_answer_that_came_too_late_to_grant_anything_is_not_kept(make_api):
    api = make_api(deadline_seconds=0.0)
    api.write()
    answer = reserve(api, key="order-7")
    assert (first(answer)["permit"], answer.json()["state"]["degraded"]) == (None, ["deadline"])
    other = make_api(deadline_seconds=60.0)
    assert first(reserve(other, key="order-7"))["permit"] is not None


def test_an_answer_that_refuses_in_good_time_is_kept(api):
    api.write()
    first(reserve(api))
    refused = reserve(api, key="order-7")
    assert first(refused)["verdict"] == "defer"
    api.clock.ms += 16 * MINUTE
    api.write()
    assert reserve(api, key="order-7").content == refused.content


def test_a_line_of_a_batch_waits_longer_than_a_deadline_and_then_has_its_own_time(make_api):
    api = make_api(deadline_seconds=1.0)
    api.write()
    line = json.dumps({"customer": "c-1", "candidates": [UPSELL], "reserve": True}).encode()

    async def ask():
        with locked(api):
            waiting = asyncio.create_task(api._request("POST", "/v1/decisions/batch", content=line))
            await asyncio.sleep(1.3)
            assert not waiting.done()
        return (await waiting).json()

    answer = asyncio.run(ask())
    assert (answer["verdicts"][0]["verdict"], answer["state"]["degraded"]) == ("allow", [])


def test_claims_of_a_newer_version_are_refused_at_the_start(make_api):
    path = make_api().services.directory.claims_path
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreRefused, match="upgrade Membrane"):
        make_api()
