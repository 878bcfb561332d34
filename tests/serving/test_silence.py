"""Sources that fall silent: told in decisions, in the metrics and by the fact that principles read."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from membrane.ports import RecordKind
from membrane.settings import TenantSettings
from membrane.times import HOUR, MINUTE, SECOND
from serving.evidence import judged_again, read_logged
from serving.silence import KEPT_MS
from storage.log import ABSENT_MS, SignalLog
from tests.serving.conftest import NOW, Api

CADENCES = {"crm": 12 * MINUTE, "pos": 3 * MINUTE}
UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
CALL = {"id": "call", "domain": "service", "kind": "ticket_reply", "channel": "phone"}


def name_sources(api: Api, log: SignalLog, **cadences: int) -> None:
    """The tenant names these sources, from now on."""
    tenants = {"default": {"sources": cadences}}
    body = {"kind": "tenants", "revision": "r", "digest": json.dumps(cadences), "tenants": tenants}
    log.append_record(RecordKind.REVISION, msgspec.json.encode(body), api.clock())
    told_by_stream(api, **cadences)


def told_by_stream(api: Api, **cadences: int) -> None:
    api.write(tenants={"default": TenantSettings(sources=cadences)})


def hear(api: Api, event: Any, source: str, **more: Any) -> None:
    sent = api.send(event(id=f"{source}-{api.clock()}", source=source, **more))
    assert sent.json()["accepted"] == 1


def degraded(api: Api) -> list[str]:
    """What a decision says is amiss, once what was read before is a second old; the service goes on ticking."""
    api.clock.ms += KEPT_MS
    api.services.log.tick(api.clock())
    told_by_stream(api, **CADENCES)
    return api.decide(UPSELL).json()["state"]["degraded"]


def pass_time(api: Api, ms: int) -> None:
    """Time passes while the service takes signals."""
    for _ in range(ms // (30 * SECOND)):
        api.clock.ms += 30 * SECOND
        api.services.log.tick(api.clock())


def test_a_source_is_silent_once_nothing_came_of_it_for_longer_than_its_cadence(api, event):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    assert degraded(api) == []
    pass_time(api, 2 * MINUTE)
    assert degraded(api) == []
    hear(api, event, "crm")
    pass_time(api, 2 * MINUTE)
    assert degraded(api) == ["source_silent"]  # nothing ever came of pos since it was named
    hear(api, event, "pos")
    assert degraded(api) == []
    pass_time(api, 9 * MINUTE)
    hear(api, event, "pos")
    assert degraded(api) == []
    pass_time(api, 2 * MINUTE)
    assert degraded(api) == ["source_silent"]  # crm


def test_what_is_not_named_and_a_signal_that_came_before_are_not_heeded(api, event):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    pass_time(api, 4 * MINUTE)
    hear(api, event, "elsewhere")
    same = event(source="pos")
    api.send(same)
    assert degraded(api) == []
    pass_time(api, 4 * MINUTE)
    assert api.send(same).json()["duplicates"] == 1
    assert degraded(api) == ["source_silent"]


ORDER = {"type": "cx.order.placed.v1", "data": {"order": "o-1", "amount": 10.0}}


def test_a_source_that_never_sent_a_case_or_message_is_told_and_lets_selling_be(api, event):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    hear(api, event, "pos", **ORDER)
    pass_time(api, 4 * MINUTE)
    assert degraded(api) == ["source_silent"]  # a till that is shut
    assert api.decide(UPSELL).json()["verdicts"][0]["verdict"] == "allow"
    hear(api, event, "crm")
    assert degraded(api) == ["source_silent"]
    pass_time(api, 13 * MINUTE)
    assert degraded(api) == ["source_silent"]
    assert api.decide(UPSELL).json()["verdicts"][0]["verdict"] == "defer"


def test_a_silent_source_of_messages_makes_selling_wait_and_leaves_help_alone(api, event):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    hear(api, event, "pos")
    pass_time(api, 4 * MINUTE)
    assert degraded(api) == ["source_silent"]
    verdicts = {one["candidate"]: one for one in api.decide(UPSELL, CALL).json()["verdicts"]}
    assert (verdicts["upsell"]["verdict"], verdicts["call"]["verdict"]) == ("defer", "allow")
    assert [reason["id"] for reason in verdicts["upsell"]["reasons"]] == ["blind-means-careful"]
    assert verdicts["upsell"]["unless"]["any"] == [
        [{"fact": "data.service_source_silent", "is": True, "would_be": [False]}]
    ]
    assert api.get("/readyz").status_code == 200


@pytest.mark.parametrize(("sent", "verdict"), [({}, "defer"), (ORDER, "allow")], ids=["messages", "orders"])
def test_a_decision_of_a_silent_time_is_made_again_bit_for_bit(api, event, sent, verdict):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    hear(api, event, "pos", **sent)
    pass_time(api, 4 * MINUTE)
    record = api.write(tenants={"default": TenantSettings(sources=CADENCES)})
    answer = api.decide(UPSELL, CALL)
    api.services.decisions.flush()
    logged = read_logged(api.services.decisions.by_id("default", answer.json()["decision"]).body)
    assert "source_silent" in logged.evidence.degraded
    assert answer.json()["verdicts"][0]["verdict"] == verdict
    principles = api.services.principles.latest(api.services.log, "default")
    assert judged_again(logged, "default", record, principles) == answer.content


def test_a_permit_is_not_revoked_because_a_source_fell_silent(api, event):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, pos=5 * MINUTE)
    hear(api, event, "pos")
    told_by_stream(api, pos=5 * MINUTE)
    [granted] = api.decide(UPSELL, reserve=True).json()["verdicts"]
    assert granted["permit"]
    pass_time(api, 6 * MINUTE)
    told_by_stream(api, pos=5 * MINUTE)
    assert api.decide(CALL).json()["state"]["degraded"] == ["source_silent"]
    permit = api.services.claims.store.permit("default", granted["permit"])
    again = api.app.revoker._decisions.judged_again(permit)
    assert (again.verdict, again.reasons) == ("allow", [])


def test_every_process_knows_what_another_heard_and_one_that_starts_knows_it_at_once(api, make_api, event):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    pass_time(api, 4 * MINUTE)
    hear(api, event, "pos")
    told_by_stream(api, **CADENCES)
    other = make_api()
    for one in (api, other):
        assert one.decide(UPSELL).json()["state"]["degraded"] == []
    pass_time(api, 4 * MINUTE)
    told_by_stream(api, **CADENCES)
    for one in (api, other, make_api()):
        assert one.decide(UPSELL).json()["state"]["degraded"] == ["source_silent"]
    hear(api, event, "pos")
    api.clock.ms += KEPT_MS
    assert other.decide(UPSELL).json()["state"]["degraded"] == []


def test_what_could_not_come_while_the_service_was_down_is_no_silence(api):
    api.services.log.tick(api.clock())
    name_sources(api, api.services.log, **CADENCES)
    pass_time(api, MINUTE)
    api.clock.ms += 3 * HOUR
    assert degraded(api) == []
    pass_time(api, 2 * MINUTE)
    assert degraded(api) == []
    pass_time(api, 2 * MINUTE)
    assert degraded(api) == ["source_silent"]
    api.clock.ms += ABSENT_MS - 10 * SECOND  # a short pause is none
    assert degraded(api) == ["source_silent"]


def test_under_the_signals_clock_no_source_is_silent(make_api, clock):
    api = make_api(clock="signals")
    name_sources(api, api.services.log, pos=MINUTE)
    clock.ms = NOW + HOUR
    told_by_stream(api, pos=MINUTE)
    assert api.decide(UPSELL).json()["state"]["degraded"] == []


def test_the_last_signal_of_each_named_source_is_a_metric(api, event):
    name_sources(api, api.services.log, **CADENCES)
    hear(api, event, "pos")
    hear(api, event, "elsewhere")
    lines = [line for line in api.get("/metrics").text.splitlines() if "source_last_signal" in line]
    told = [line for line in lines if not line.startswith("#")]
    assert [line.split(" ")[0] for line in told] == ['membrane_source_last_signal_timestamp_seconds{source="pos"}']
    assert float(told[0].split(" ")[1]) == pytest.approx(api.clock() / 1000, abs=0.2)
