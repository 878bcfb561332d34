"""POST /v1/decisions: verdicts over HTTP, also when less is known than should be."""

from __future__ import annotations

import json

import pytest

from membrane.defaults import IRREVERSIBLE, default_verdict
from membrane.errors import RecordUnreadable, StoreUnavailable
from membrane.ports import partition_of
from membrane.record import encode
from membrane.times import DAY, MINUTE, SECOND, format_time
from membrane.vocabulary import KINDS, class_of
from serving import decisions as module
from serving.evidence import judged_again, principles_named, read_logged

UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
REPLY = {"id": "reply", "domain": "service", "kind": "ticket_reply", "channel": "email"}
SURVEY = {"id": "survey", "domain": "survey", "kind": "csat", "channel": "email"}
CREDIT = {"id": "credit", "domain": "billing", "kind": "service_credit", "channel": "email"}

EVERY_KIND = [
    {"id": f"{domain}/{kind}", "domain": domain, "kind": kind, "channel": "letter", "direction": "inbound"}
    for domain, classes in KINDS.items()
    for kinds in classes.values()
    for kind in kinds
]


def verdicts(answer) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {verdict["candidate"]: verdict["verdict"] for verdict in answer.json()["verdicts"]}


def degraded(answer) -> list[str]:
    return answer.json()["state"]["degraded"]


def metric(api, line: str) -> bool:
    return line in api.get("/metrics").text


def test_a_steady_customer_may_be_sold_to(api):
    record = api.write()
    answer = api.decide(UPSELL)
    assert (verdicts(answer), degraded(answer)) == ({"upsell": "allow"}, [])
    body = answer.json()
    assert (body["customer"], body["choice"], body["logged"]) == ("c-1", ["upsell"], True)
    assert (body["state"]["version"], body["state"]["as_of"]) == (record.version, format_time(record.clock))
    assert body["state"]["staleness_seconds"] == pytest.approx(0.1)
    assert body["revisions"]["stage_model"] == "seed+00000000"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_customer_in_crisis_is_not_sold_to_and_the_reason_is_told(api, known):
    api.write(record=known(stage="crisis"))
    answer = api.decide(UPSELL, language="es")
    assert verdicts(answer) == {"upsell": "forbid"}
    assert "crisis" in answer.json()["verdicts"][0]["reasons"][0]["text"]
    assert metric(api, 'membrane_decisions_total{class="persuasion",verdict="forbid"} 1.0')
    assert metric(api, 'membrane_principle_matches_total{principle="no-selling-in-crisis"} 1.0')


def test_the_state_is_as_of_the_stored_record_whatever_has_fallen_due_since(api, known):
    record = known(stage="recovering")
    record.tracker.left_crisis_at = record.clock - 14 * DAY + MINUTE
    api.write(record=record)
    body = api.decide(UPSELL).json()
    assert body["stage"]["name"] != "recovering"
    assert (body["state"]["as_of"], body["state"]["version"]) == (format_time(record.clock), record.version)


def test_a_customer_never_seen_gets_help_but_no_persuasion(api):
    api.write("somebody-else")
    answer = api.decide(UPSELL, SURVEY, REPLY, customer="never")
    assert verdicts(answer) == {"upsell": "forbid", "survey": "forbid", "reply": "allow"}
    body = answer.json()
    assert (body["lifecycle"], body["stage"], body["state"]["version"]) == ("unknown", None, None)


def test_a_consent_in_the_log_counts_before_the_stream_has_seen_it(api, event):
    api.write()
    denied = {"channel": "email", "domain": "sales", "granted": False}
    api.send(event(type="cx.consent.changed.v1", data=denied))
    answer = api.decide(UPSELL)
    assert verdicts(answer) == {"upsell": "forbid"}
    assert answer.json()["verdicts"][0]["reasons"][0]["source"] == "consent"


def test_an_unknown_domain_is_forbidden_and_counted(api):
    api.write()
    answer = api.decide({**UPSELL, "domain": "astrology"})
    reason = answer.json()["verdicts"][0]["reasons"][0]
    assert (verdicts(answer), reason["source"], reason["id"]) == ({"upsell": "forbid"}, "default", "unknown-class")
    assert metric(api, 'membrane_default_verdicts_total{cause="unknown-class",class="unknown"} 1.0')


BAD = {
    "no customer": ({"candidates": [UPSELL]}, "/customer"),
    "no candidates": ({"customer": "c"}, "/candidates"),
    "none of them": ({"customer": "c", "candidates": []}, "/candidates"),
    "too many": ({"customer": "c", "candidates": [{**UPSELL, "id": str(n)} for n in range(51)]}, "/candidates"),
    "a slash": ({"customer": "a/b", "candidates": [UPSELL]}, "/customer"),
    "300 characters": ({"customer": "c" * 300, "candidates": [UPSELL]}, "/customer"),
    "a control character": ({"customer": "c\x07", "candidates": [UPSELL]}, "/customer"),
    "a candidate without a kind": ({"customer": "c", "candidates": [{**UPSELL, "kind": None}]}, "/candidates"),
    "a propensity beyond 1": ({"customer": "c", "candidates": [{**UPSELL, "propensity": 2}]}, "/candidates"),
    "twice the same id": ({"customer": "c", "candidates": [UPSELL, UPSELL]}, "/candidates/1/id"),
    "a time that is none": ({"customer": "c", "candidates": [UPSELL], "at": "noon"}, "/at"),
    "a choice that is none": ({"customer": "c", "candidates": [UPSELL], "choose": "all"}, "/choose"),
    "a list": ([1], "/"),
}


@pytest.mark.parametrize(("body", "pointer"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_told_the_field_and_never_echoed(api, body, pointer):
    answer = api.post("/v1/decisions", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert any((error["pointer"] or "/").startswith(pointer) for error in answer.json()["errors"])
    assert not any(word in answer.text for word in ("upsell", "noon", "astrology"))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"customer": NaN}', b'{"customer": "\xff"}'])
def test_what_is_not_json_is_refused(api, body):
    answer = api.post("/v1/decisions", content=body)
    assert answer.status_code == 400


def test_a_body_nested_too_deeply_is_refused(api):
    assert api.post("/v1/decisions", content=b"[" * 30_000 + b"]" * 30_000).status_code == 422
    assert api.post("/v1/decisions", content=b'{"customer": ' + b"[" * 30_000).status_code in (400, 422)


def test_a_body_beyond_64_kib_is_refused(api):
    assert api.post("/v1/decisions", content=b" " * 65_537).status_code == 413


def test_a_moment_may_lie_between_the_customers_clock_and_31_days_ahead(api):
    record = api.write()
    for at, status in (
        (record.clock, 200),
        (record.clock - 1, 422),
        (api.clock.ms + 31 * DAY, 200),
        (api.clock.ms + 31 * DAY + 1, 422),
    ):
        assert api.decide(UPSELL, at=format_time(at)).status_code == status


def test_a_decision_can_be_read_again_as_it_was_given(api):
    api.write()
    given = api.decide(UPSELL).json()
    assert api.get(f"/v1/decisions/{given['decision']}").json() == given
    assert api.get("/v1/customers/c-1/decisions").json() == {"items": [given], "next": None}


def test_the_decision_log_holds_what_a_second_decision_needs(api):
    api.write()
    given = api.decide(UPSELL).json()
    logged = json.loads(api.services.decisions.by_id("default", given["decision"]).body)
    assert logged["request"]["candidates"][0]["kind"] == "upsell"
    assert logged["evidence"] == {
        "now": api.clock.ms,
        "version": 7,
        "principles": given["revisions"]["principles"],
        "consents": [],
        "degraded": [],
        "progress": [0, False, 0],
    }


@pytest.mark.parametrize("refusal", [False, StoreUnavailable("full")])
def test_an_answer_that_could_not_be_logged_says_so(api, monkeypatch, refusal):
    def put(*args):
        if refusal:
            raise refusal
        return False

    api.write()
    monkeypatch.setattr(api.services.decisions, "put", put)
    body = api.decide(UPSELL).json()
    assert (body["logged"], body["state"]["degraded"]) == (False, ["log_full"])
    assert metric(api, "membrane_decision_log_dropped_total 1.0")


# ---- the class defaults of faults.md, one case a cell -------------------------------------------------------------


def expect(cause: str, stage: str | None) -> dict[str, str | None]:
    """What the table says of every kind for one cause; None where principles decide."""
    return {
        one["id"]: default_verdict(class_of(one["domain"], one["kind"]), one["kind"], cause, stage)
        for one in EVERY_KIND
    }


def check_table(answer, cause: str, stage: str | None) -> None:
    given = verdicts(answer)
    assert len(given) == len(EVERY_KIND)
    for candidate, expected in expect(cause, stage).items():
        if expected is not None:
            assert given[candidate] == expected, (candidate, cause)


def ask_everything(api):
    return api.decide(*EVERY_KIND, choose="none")


@pytest.mark.parametrize("stage", ["steady", "strained"])
@pytest.mark.parametrize(("late", "cause"), [(61 * SECOND, "stale"), (15 * MINUTE + SECOND, "very_stale")])
def test_a_stalled_stream_narrows_the_answer_to_the_class_defaults(api, known, stage, late, cause):
    api.write(record=known(stage=stage))
    api.clock.ms += late
    answer = ask_everything(api)
    assert degraded(answer) == ["stale"]
    check_table(answer, cause, stage)


def test_a_stream_one_minute_behind_is_fresh(api):
    api.write()
    api.clock.ms += 59 * SECOND
    assert degraded(ask_everything(api)) == []


def test_a_stream_that_never_worked_is_as_stale_as_can_be(api):
    answer = ask_everything(api)
    assert "stale" in degraded(answer)
    assert answer.json()["state"]["staleness_seconds"] is None
    assert (verdicts(answer)["sales/upsell"], verdicts(answer)["service/ticket_reply"]) == ("forbid", "allow")


def test_a_record_with_a_flipped_bit_is_not_taken_for_no_record(api):
    flipped = bytearray(encode(api.write()))
    flipped[-1] ^= 1
    api.overwrite(bytes(flipped))
    answer = ask_everything(api)
    assert degraded(answer) == ["record_unreadable"]
    check_table(answer, "record_unreadable", None)
    assert api.get("/v1/customers/c-1").status_code == 503


def test_a_record_of_another_customer_is_unreadable(api, known):
    api.write()
    api.overwrite(encode(known("somebody-else")))
    assert degraded(ask_everything(api)) == ["record_unreadable"]


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_lost_store_degrades_and_the_process_lives_on(api, damage):
    api.write()
    path = api.services.directory.records_path(partition_of("default", "c-1", 2))
    path.write_bytes(b"") if damage == "truncated" else path.unlink()
    api.clock.ms += 50
    answer = ask_everything(api)
    assert "record_unreadable" in degraded(answer)
    check_table(answer, "record_unreadable", None)


@pytest.mark.parametrize("error", [RecordUnreadable("flipped"), StoreUnavailable("gone")])
def test_unreadable_consents_close_persuasion_and_surveys(api, monkeypatch, error):
    def consents(tenant, customer):
        raise error

    api.write()
    monkeypatch.setattr(api.services.log, "consents", consents)
    answer = ask_everything(api)
    assert degraded(answer) == ["consents_unreadable"]
    check_table(answer, "consents_unreadable", "steady")


def test_no_principles_at_all_leaves_the_class_defaults(api):
    api.write(revisions={"stage_model": {"revision": "seed", "digest": "0" * 64}})
    check_table(ask_everything(api), "no_principles", "steady")


def test_a_principle_file_that_cannot_be_read_leaves_the_last_good_set(api):
    api.write()
    before = api.decide(UPSELL).json()["revisions"]["principles"]
    broken = {"revision": "2027-01-01.1", "digest": "f" * 64}
    api.write(revisions={"principles": broken, "stage_model": {"revision": "seed", "digest": "0" * 64}})
    answer = api.decide(UPSELL)
    assert degraded(answer) == ["principles_last_good"]
    assert answer.json()["revisions"]["principles"] == before


def test_a_set_that_the_stream_could_not_load_is_told(api):
    api.write(unreadable=["principles"])
    answer = api.decide(UPSELL)
    assert (degraded(answer), verdicts(answer)) == (["principles_last_good"], {"upsell": "allow"})


def test_a_missing_model_means_rules_only(api):
    api.write(revisions={"principles": api.services.log.revisions()["principles"]})
    answer = ask_everything(api)
    assert degraded(answer) == ["model_missing"]
    check_table(answer, "model_missing", "steady")


def test_a_model_that_gave_no_numbers_means_rules_only(api, known):
    record = known()
    record.tracker.model_invalid = True
    api.write(record=record)
    answer = ask_everything(api)
    assert degraded(answer) == ["model_invalid"]
    check_table(answer, "model_invalid", "steady")


def test_the_default_verdicts_are_counted_by_class_and_cause(api):
    api.write()
    api.clock.ms += 20 * MINUTE
    api.decide(CREDIT)
    assert metric(api, 'membrane_default_verdicts_total{cause="very_stale",class="care_money"} 1.0')


def test_past_the_deadline_the_rest_is_answered_by_class_default(make_api, monkeypatch):
    api = make_api(deadline_seconds=0.050)
    ticking = iter([0.0, 0.049, *[0.051] * 100])
    monkeypatch.setattr(module, "perf_counter", lambda: next(ticking))
    api.write()
    answer = api.decide(UPSELL, {**UPSELL, "id": "late"}, {**REPLY, "id": "late-reply"}, choose="none")
    assert degraded(answer) == ["deadline"]
    assert verdicts(answer) == {"upsell": "allow", "late": "forbid", "late-reply": "allow"}


@pytest.mark.parametrize("looks", [1, 2, 3, 5, 8])
def test_an_answer_that_the_deadline_cut_off_is_made_again_the_same(make_api, monkeypatch, looks):
    api = make_api(deadline_seconds=0.050)
    ticking = iter([*[0.0] * looks, *[0.051] * 100])
    monkeypatch.setattr(module, "perf_counter", lambda: next(ticking))
    record = api.write()
    answer = api.decide(UPSELL, {**SURVEY, "channel": "sms"}, REPLY)
    logged = read_logged(api.services.decisions.by_id("default", answer.json()["decision"]).body)
    assert degraded(answer) == ["deadline"]
    assert logged.evidence.looks == looks
    principles = principles_named(api.services.principles.files, logged.evidence.principles)
    assert judged_again(logged, "default", record, principles) == answer.content


@pytest.mark.parametrize("error", [StoreUnavailable("the log is gone"), ZeroDivisionError("a bug")])
def test_what_cannot_be_computed_is_a_503_with_the_defaults(api, monkeypatch, error):
    def now():
        raise error

    api.write()
    monkeypatch.setattr(api.services.freshness, "now", now)
    answer = api.decide(UPSELL, REPLY, {**UPSELL, "id": "x", "domain": "astrology"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["defaults"] == [
        {"candidate": "upsell", "verdict": "forbid"},
        {"candidate": "reply", "verdict": "allow"},
        {"candidate": "x", "verdict": "forbid"},
    ]


def test_under_the_clock_of_the_signals_now_is_the_greatest_accepted_time(make_api, event):
    api = make_api(clock="signals")
    api.write()
    assert api.decide(UPSELL).json()["at"] == format_time(api.clock.ms)
    api.send(event(time="2026-11-20T08:00:00Z", subject="c-9"))
    api.clock.ms += 50
    assert api.decide(UPSELL, customer="never").json()["at"] == "2026-11-20T08:00:00Z"


def test_irreversible_money_is_forbidden_where_other_money_waits(api):
    given = verdicts(ask_everything(api))
    assert {given[f"billing/{kind}"] for kind in IRREVERSIBLE} == {"forbid"}
    assert given["billing/invoice"] == "defer"


TRIAL = """
pack: trial
revision: 2030-01-01.1
principles:
  - id: nothing-by-mail
    owner: marketing
    text: {es: "Nada por correo.", en: "Nothing by mail."}
    applies: {domains: [sales], channels: [email]}
    when: lifecycle != "closed"
    effect: defer
    status: shadow
"""


def test_what_is_in_shadow_is_logged_beside_an_answer_that_has_nothing_of_it(api):
    assert api.put("/v1/principles", content=TRIAL.encode()).status_code == 200
    api.write()
    answer = api.decide(UPSELL, explain="full")
    assert verdicts(answer) == {"upsell": "allow"}
    assert "nothing-by-mail" not in answer.text
    logged = json.loads(api.services.decisions.by_id("default", answer.json()["decision"]).body)
    assert logged["shadow"] == [
        {
            "principle": "nothing-by-mail",
            "department": "sales",
            "candidate": "upsell",
            "verdict": "allow",
            "would_be": "defer",
        }
    ]
    (shown,) = api.get("/v1/principles").json()["principles"]
    assert (shown["status"], shown["rollout"], shown["valid_from"]) == ("shadow", 100, None)


def test_a_tenants_settings_are_those_that_the_stream_works_with(api):
    api.write(tenants={"default": {"consent": "opt_in", "language": "es"}, "other": {"consent": "opt_out"}})
    (verdict,) = api.decide(UPSELL).json()["verdicts"]
    assert [(one["id"], one["text"][:10]) for one in verdict["reasons"]] == [("opt-in-missing", "El cliente")]
    api.write(tenants={"other": {"consent": "opt_in"}})
    assert verdicts(api.decide(UPSELL)) == {"upsell": "allow"}
