"""POST /v1/signals: what is accepted, set aside and rejected, and that the counts add up."""

from __future__ import annotations

import json
from concurrent.futures import Future

import pytest

from membrane.errors import StoreUnavailable
from membrane.times import MINUTE, format_time
from membrane.vocabulary import channel_index, domain_index

SINGLE = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
PHONE_SALES = channel_index("phone"), domain_index("sales")


def counts(answer) -> tuple[int, int, int, int]:
    assert answer.status_code == 202
    body = answer.json()
    return body["accepted"], body["duplicates"], body["dead_lettered"], len(body["rejected"])


def made(event, contact="k-1", **attributes):
    data = {"contact": contact, "domain": "sales", "kind": "upsell", "channel": "phone"}
    return event(**{"id": "made", "type": "cx.contact.made.v1", "data": data, **attributes})


def answered(event, outcome="unsubscribed", contact="k-1", **attributes):
    data = {"contact": contact, "outcome": outcome}
    return event(**{"id": "answered", "type": "cx.contact.answered.v1", "data": data, **attributes})


def test_a_signal_is_accepted_once(api, event):
    assert counts(api.send(event())) == (1, 0, 0, 0)
    assert counts(api.send(event())) == (0, 1, 0, 0)


def test_an_accepted_signal_is_in_the_log_with_its_whole_data(api, event):
    api.send(event(data={"channel": "email", "slot_of_theirs": {"a": [1]}}))
    (record,) = api.services.log.timeline("default", "c-1", None, 10)
    assert json.loads(record.body)["data"] == {"channel": "email", "slot_of_theirs": {"a": [1]}}
    assert record.received_ms == api.clock.ms


def test_a_single_event_may_come_in_structured_mode(api, event):
    assert counts(api.post("/v1/signals", headers=SINGLE, json=event())) == (1, 0, 0, 0)


def test_a_single_event_may_come_in_binary_mode(api, event):
    attributes = {f"ce-{name}": value for name, value in event().items() if name != "data"}
    assert counts(api.post("/v1/signals", headers=attributes, json={"channel": "email"})) == (1, 0, 0, 0)


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", ""])
def test_another_media_type_is_refused(api, event, media_type):
    answer = api.post("/v1/signals", headers={"Content-Type": media_type}, content=json.dumps(event()))
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


def test_one_bad_event_of_a_batch_costs_only_itself(api, event):
    events = [event(id="1"), event(id="2", subject=None), event(id="3", data={"channel": 7}), event(id="4")]
    answer = api.send(*events)
    assert counts(answer) == (2, 0, 0, 2)
    assert answer.json()["rejected"] == [
        {"index": 1, "id": "2", "problem": {"pointer": "/subject", "detail": "Expected `str`, got `null`"}},
        {"index": 2, "id": "3", "problem": {"pointer": "/data/channel", "detail": "Expected `str`, got `int`"}},
    ]


def test_one_bad_single_event_is_refused_with_its_field(api, event):
    answer = api.post("/v1/signals", headers=SINGLE, json=event(time="yesterday"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/time"
    assert "yesterday" not in answer.text


BAD = {
    "no subject": {"subject": ...},
    "no id": {"id": ...},
    "no time": {"time": ...},
    "no source": {"source": ...},
    "no specversion": {"specversion": ...},
    "a long id": {"id": "x" * 300},
    "a control character in the id": {"id": "a\x00b"},
    "a newline in the source": {"source": "a\nb"},
    "a slash in the subject": {"subject": "a/b"},
    "before 1990": {"time": "1989-12-31T23:59:59Z"},
    "no offset": {"time": "2026-11-23T10:00:00"},
    "data that is a list": {"data": [1]},
    "binary data": {"data": ..., "data_base64": "AAAA"},
    "a type of another version of CloudEvents": {"specversion": "0.3"},
    "a sentiment beyond 1": {"data": {"channel": "email", "sentiment": 1.5}},
    "a missing slot": {"data": {}},
    "biometrics": {"data": {"channel": "phone", "voiceprint": "abc"}},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_the_senders_faults_are_rejected_and_nothing_is_stored(api, event, changes):
    bad = {name: value for name, value in event(**changes).items() if value is not ...}
    assert api.post("/v1/signals", headers=SINGLE, json=bad).status_code == 422
    assert counts(api.send(bad)) == (0, 0, 0, 1)
    assert [api.services.log.end(partition) for partition in range(2)] == [1, 1]  # the principles, nothing else


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_costs_no_other_signal(api, event, number):
    bad = json.dumps(event(id="bad", data={"channel": "email", "sentiment": "?"})).replace('"?"', number)
    answer = api.post("/v1/signals", headers=BATCH, content=f"[{json.dumps(event())}, {bad}]")
    assert answer.status_code in (202, 400)
    if answer.status_code == 202:
        assert counts(answer) == (1, 0, 0, 1)


def test_an_event_nested_too_deeply_costs_no_other_signal(api, event):
    bad = json.dumps(event(id="bad", data={"channel": "email", "x": "?"})).replace('"?"', "[" * 20_000 + "]" * 20_000)
    assert counts(api.post("/v1/signals", headers=BATCH, content=f"[{bad}, {json.dumps(event())}]")) == (1, 0, 0, 1)


def test_an_unknown_type_is_set_aside_with_its_reason(api, event):
    assert counts(api.send(event(type="cx.moon.landed.v1"), event(id="e-2"))) == (1, 0, 1, 0)
    (letter,) = api.services.log.dead_letters(10)
    assert (letter.reason, letter.id, letter.tenant) == ("unknown_type", "e-1", "default")


@pytest.mark.parametrize("clock_kind", ["wall", "signals"])
def test_a_time_more_than_five_minutes_ahead_is_set_aside_under_either_clock(make_api, event, clock_kind):
    api = make_api(clock=clock_kind)
    ahead = [event(id=str(ms), time=format_time(api.clock.ms + 5 * MINUTE + ms)) for ms in (0, 1)]
    assert counts(api.send(*ahead)) == (1, 0, 1, 0)
    assert [letter.reason for letter in api.services.log.dead_letters(10)] == ["ahead_of_clock"]


def test_the_four_counts_add_up(api, event):
    events = [event(), event(), event(type="cx.x.v1"), event(id=""), event(id="2"), 7, None, []]
    assert counts(api.send(*events)) == (2, 1, 1, 4)


def test_an_empty_batch_is_nothing(api):
    assert counts(api.send()) == (0, 0, 0, 0)


def test_too_many_signals_and_too_many_bytes_are_refused(api, event):
    assert api.send(*[event()] * 1001).status_code == 413
    assert api.send(event(data={"channel": "email", "text": "x" * 2**20})).status_code == 413
    huge = event(data={"channel": "email", "text": "x" * 2**16})
    assert api.post("/v1/signals", headers=SINGLE, json=huge).status_code == 413
    assert counts(api.send(huge, event(id="2"))) == (1, 0, 0, 1)


def test_a_changed_consent_is_visible_at_once(api, event):
    data = {"channel": "phone", "domain": "sales", "granted": True}
    signal = event(type="cx.consent.changed.v1", data=data)
    api.send(signal)
    assert [consent[:3] for consent in api.services.log.consents("default", "c-1")] == [(*PHONE_SALES, True)]


@pytest.mark.parametrize("outcome", ["unsubscribed", "complained"])
def test_an_opt_out_closes_the_contacts_channel_and_domain(api, event, outcome):
    api.send(made(event))
    api.send(answered(event, outcome))
    assert [consent[:3] for consent in api.services.log.consents("default", "c-1")] == [(*PHONE_SALES, False)]


def test_an_opt_out_finds_its_contact_within_the_same_batch(api, event):
    api.send(answered(event), made(event))
    assert [consent[:3] for consent in api.services.log.consents("default", "c-1")] == [(*PHONE_SALES, False)]


def test_an_opt_out_does_not_reach_into_another_customers_contacts(api, event):
    api.send(made(event, subject="c-2"), answered(event))
    assert api.services.log.consents("default", "c-1") == []


def test_other_answers_change_no_consent(api, event):
    api.send(made(event), answered(event, "clicked"))
    assert api.services.log.consents("default", "c-1") == []


def test_what_cannot_be_stored_is_not_acknowledged(api, event, monkeypatch):
    failed: Future[list[bool]] = Future()
    failed.set_exception(StoreUnavailable("the disk is full"))
    monkeypatch.setattr(api.services.committer, "submit", lambda batch: failed)
    answer = api.send(event())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_signals_are_counted_by_type_and_outcome(api, event):
    api.send(event(), event(), event(type="cx.no.v1"), event(id=""))
    text = api.get("/metrics").text
    for labels in (
        'outcome="accepted",type="cx.message.received.v1"',
        'outcome="duplicate",type="cx.message.received.v1"',
        'outcome="dead_lettered",type="unknown"',
        'outcome="rejected",type="unknown"',
    ):
        assert f"membrane_signals_total{{{labels}}} 1.0" in text
    assert 'membrane_dead_letters_total{reason="unknown_type"} 1.0' in text
