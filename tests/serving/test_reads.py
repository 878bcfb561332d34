"""The reads: customers, timelines, stages, principles, models, obligations and health."""

from __future__ import annotations

import json

import pytest

from membrane.contacts import brief
from membrane.ports import Effect
from membrane.record import Case, Cause, Contact, LowScore, Obligation, Profile
from membrane.signals import TYPES
from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import LIFECYCLES, STAGES
from serving.principle_sets import DEFAULT_PACK


def test_a_customer_is_shown_as_the_contract_says(api, known):
    record = known(stage="crisis")
    t = record.clock
    state = record.state
    state.cases = [
        Case("k-1", t, t - DAY, reported_at=t - DAY, category="net", category_now="terminal", product="pos-8",
             product_now="pos-9", severity=1, eta=t + HOUR),
        Case("k-2", t, t - DAY, reported_at=t - DAY, resolved_at=t - HOUR),
    ]  # fmt: skip
    state.contacts = [
        Contact("m-1", t, domain=1, channel=2, kind="upsell", outcome=1, outcome_at=t),
        Contact(brief("m" * 17), t, domain=1, channel=2, kind="upsell"),
    ]
    state.answers = [Contact("m-2", outcome=0, outcome_at=t)]
    state.consents = {2 * 8 + 1: (t, False)}
    state.profile = Profile(
        timezone=("America/Lima", t), preferred_channel=(1, t), channels=([0, 1], t), vulnerable=(True, t)
    )
    state.low_scores = [LowScore(t, "s")]
    record.tracker.cause, record.tracker.previous, record.tracker.episode_at = (
        Cause("crm", "e-7", "cx.case.opened.v1"),
        2,
        t,
    )
    record.tracker.drivers = [("recurrences_30d", 4100)]
    record.obligations = [Obligation("o-1", "promise-a-time", "promised_time", "service", t, t + 4 * HOUR, about="k-1")]
    api.write(record=record)

    body = api.get("/v1/customers/c-1").json()
    at = format_time(t)
    assert list(body) == [
        "customer", "version", "clock", "lifecycle", "stage", "episode", "risks", "features", "cases", "contacts",
        "consents", "profile", "obligations", "revisions",
    ]  # fmt: skip
    assert (body["customer"], body["version"], body["clock"], body["lifecycle"]) == ("c-1", 7, at, "active")
    assert body["stage"] == {
        "name": "crisis",
        "since": format_time(record.tracker.since),
        "previous": "strained",
        "confidence": 1.0,
        "probabilities": {str(stage): float(stage == "crisis") for stage in STAGES},
        "cause": {"source": "crm", "id": "e-7", "type": "cx.case.opened.v1"},
        "drivers": [["recurrences_30d", 0.41]],
        "rules_only": True,
    }
    assert body["episode"]["since"] == at
    assert body["risks"] == {"churn": None, "relapse": False}
    assert (body["features"]["open_cases"], len(body["features"]) >= 40) == (1.0, True)
    assert body["cases"] == [
        {"case": "k-1", "category": "terminal", "product": "pos-9", "severity": 1, "state": "open", "status": "open",
         "opened_at": format_time(t - DAY), "eta": format_time(t + HOUR), "resolved_at": None, "recurrences": 0},
        {"case": "k-2", "category": "unknown", "product": None, "severity": 3, "state": "resolved", "status": "open",
         "opened_at": format_time(t - DAY), "eta": None, "resolved_at": format_time(t - HOUR), "recurrences": 0},
    ]  # fmt: skip
    assert body["contacts"] == [
        {"contact": "m-1", "made_at": at, "domain": "sales", "kind": "upsell", "channel": "phone", "outcome": "clicked",
         "outcome_at": at},
        {"contact": None, "made_at": at, "domain": "sales", "kind": "upsell", "channel": "phone", "outcome": None,
         "outcome_at": None},
        {"contact": "m-2", "made_at": None, "domain": None, "kind": None, "channel": None, "outcome": "opened",
         "outcome_at": at},
    ]  # fmt: skip
    assert body["consents"] == [{"channel": "phone", "domain": "sales", "granted": False, "since": at}]
    assert body["profile"] == {
        "timezone": "America/Lima", "language": None, "segment": None, "preferred_channel": "sms",
        "channels": ["email", "sms"], "vulnerable": True,
    }  # fmt: skip
    (owed,) = body["obligations"]
    assert owed["episode"] is None
    assert (owed["obligation"], owed["customer"], owed["state"], owed["due"]) == (
        "o-1",
        "c-1",
        "open",
        format_time(t + 4 * HOUR),
    )
    latest = api.services.log.revisions()["principles"]
    assert body["revisions"] == {"principles": f"{latest['revision']}+{latest['digest'][:8]}"}


def test_a_customer_is_the_same_whenever_it_is_read(api):
    api.write()
    before = api.get("/v1/customers/c-1").content
    api.clock.ms += 100 * DAY
    assert api.get("/v1/customers/c-1").content == before


def test_models_probabilities_are_shown_with_the_stage(api, known):
    record = known()
    record.tracker.probabilities = [10_000, 20_000, 30_000, 40_000, 100_000, 800_000]
    record.tracker.churn = 710_000
    api.write(record=record)
    body = api.get("/v1/customers/c-1").json()
    assert (body["stage"]["confidence"], body["stage"]["rules_only"], body["risks"]["churn"]) == (0.8, False, 0.71)


def test_a_customer_id_may_have_any_sign_but_a_slash(api, known):
    name = "ñ %/?#".replace("/", "")
    api.write(name, record=known(name))
    assert api.get("/v1/customers/%C3%B1%20%25%3F%23").json()["customer"] == name


# ---- timeline ----------------------------------------------------------------------------------------------------


def effect(n: int, offset: int, kind: str = "stage") -> Effect:
    return Effect(f"{offset}-{n}", offset, kind, "default", "c-1", 1000 * offset, json.dumps({"n": n}).encode())


def pages(api, limit: int) -> list[list[dict]]:
    found, before = [], ""
    while True:
        page = api.get(f"/v1/customers/c-1/timeline?limit={limit}{before}").json()
        found.append(page["items"])
        if page["next"] is None:
            return found
        before = f"&before={page['next']}"


def test_a_timeline_shows_signals_and_what_came_of_them_newest_first(api, event):
    data = {"channel": "email", "kept": [1, {"a": None}]}
    api.send(event(data=data))
    (logged,) = api.services.log.timeline("default", "c-1", None, 10)
    api.write(effects=[effect(0, logged.offset), effect(1, logged.offset, "obligation")])
    (items,) = pages(api, 100)
    assert [item["kind"] for item in items] == ["obligation", "stage", "signal"]
    assert items[-1] == {
        "offset": logged.offset, "kind": "signal", "time": "2026-11-23T09:59:00Z",
        "received_at": format_time(logged.received_ms), "type": "cx.message.received.v1", "source": "test", "id": "e-1",
        "data": data,
    }  # fmt: skip
    assert items[0]["data"] == {"n": 1}


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_of_any_size_give_the_same_timeline(api, event, limit):
    api.send(*[event(id=str(n)) for n in range(4)])
    offsets = [record.offset for record in api.services.log.timeline("default", "c-1", None, 10)]
    api.write(effects=[effect(n, offset) for offset in offsets for n in range(2)])
    whole = pages(api, 1000)[0]
    paged = pages(api, limit)
    assert [item for page in paged for item in page] == whole
    assert (len(whole), {len(page) for page in paged[:-1]}) == (12, {limit} if len(paged) > 1 else set())


# ---- stages, principles, models, health --------------------------------------------------------------------------


def test_stages_are_counted_for_the_tenant_over_all_partitions(api):
    api.write(
        stages={"default": {"crisis": 2}, "rival": {"crisis": 50}}, lifecycles={"default": {"new": 3}}, last_tick=1000
    )
    assert api.get("/v1/stages").json() == {
        "as_of": "1970-01-01T00:00:01Z",
        "counts": {str(stage): 4 if stage == "crisis" else 0 for stage in STAGES},
        "lifecycles": {str(lifecycle): 6 if lifecycle == "new" else 0 for lifecycle in LIFECYCLES},
    }


def test_stages_before_the_stream_has_worked_are_none(api):
    assert api.get("/v1/stages").json()["as_of"] is None


def test_the_shipped_pack_is_in_force_in_a_new_directory(api):
    body = api.get("/v1/principles").json()
    assert body["yaml"] == DEFAULT_PACK.read_text("utf-8")
    assert {"no-selling-in-crisis", "promise-a-time"} <= {one["id"] for one in body["principles"]}
    assert body["principles"][0]["text"].keys() == {"es", "en"}


def test_every_signal_type_has_a_schema(api):
    assert api.get("/v1/schemas").json().keys() == TYPES.keys()


def test_the_class_defaults_are_there_for_clients_that_cannot_reach_us(api):
    rows = api.get("/v1/defaults").json()
    assert {"class": "persuasion", "kind": None, "cause": "record_unreadable", "verdict": "forbid"} in rows


def test_no_models_are_installed_in_a_new_directory(api):
    nothing = {"models": [], "history": [], "problems": []}
    named = {"champions": {"churn": None, "stage": None}, "challengers": {"churn": [], "stage": []}}
    assert api.get("/v1/models").json() == {**nothing, **named}


def test_a_damaged_bundle_is_listed_with_what_is_wrong(api):
    (api.services.directory.models_path / ("a" * 64)).mkdir()
    (model,) = api.get("/v1/models").json()["models"]
    assert (model["manifest"], model["in_force"]) == (None, False)
    assert model["problem"]


def test_a_process_that_can_answer_is_ready_though_the_stream_has_never_run(api):
    assert api.get("/readyz").json() == {"ready": True, "missing": []}
    assert api.get("/livez").json() == {"live": True}


def test_a_process_without_its_principles_or_log_says_what_is_missing(api, monkeypatch):
    directory = api.services.directory
    monkeypatch.setattr(api.services.principles, "get", lambda digest: None)
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["principles"])
    directory.log_path.unlink()
    api.services.log.close()
    assert api.get("/readyz").json()["missing"] == ["log"]


def test_staleness_is_a_metric_of_each_partition(api):
    api.write()
    api.clock.ms += 1950
    text = api.get("/metrics").text
    assert 'membrane_state_staleness_seconds{partition="0"} 2.0' in text


def test_how_far_back_duplicates_are_known_is_a_metric(api, event):
    """The start of the day of receipt, whatever time the signal has."""
    assert "membrane_duplicate_horizon_seconds" in api.get("/metrics").text
    api.send(event(time="2026-01-01T00:00:00Z"))
    api.clock.ms += 2 * DAY
    assert f"membrane_duplicate_horizon_seconds {2 * DAY // 1000 + 10 * 3600}.0" in api.get("/metrics").text
    api.services.log.close()
    api.services.directory.log_path.unlink()
    assert api.get("/metrics").status_code == 200


def test_pages_of_decisions_follow_each_other(api):
    upsell = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
    given = [api.decide(upsell).json() for _ in range(3)][::-1]
    first = api.get("/v1/customers/c-1/decisions?limit=2").json()
    second = api.get(f"/v1/customers/c-1/decisions?limit=2&before={first['next']}").json()
    assert (first["items"], second) == (given[:2], {"items": given[2:], "next": None})
