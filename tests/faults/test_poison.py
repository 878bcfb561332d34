"""Fault 17: every malformed and odd body to every route that takes one, and naughty strings in every place."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import Tell
from tests.faults.corpus import NAUGHTY, bodies, naughty_events, values
from tests.faults.sizes import short_and_full
from tests.processes import BATCH, SINGLE, event, up

JSON = {"Content-Type": "application/json"}
BINARY = {
    **JSON, "ce-specversion": "1.0", "ce-id": "b-1", "ce-source": "corpus", "ce-type": "cx.message.received.v1",
    "ce-subject": "c-binary", "ce-time": "2026-11-20T00:00:00Z",
}  # fmt: skip
ROUTES = [
    ("POST", "/v1/signals", SINGLE),
    ("POST", "/v1/signals", BATCH),
    ("POST", "/v1/signals", BINARY),
    ("POST", "/v1/decisions", JSON),
    ("POST", "/v1/principles/check", {"Content-Type": "application/yaml"}),
    ("PUT", "/v1/principles", {"Content-Type": "application/yaml"}),
    ("POST", "/v1/obligations/nobody/meet", JSON),
    ("POST", "/v1/obligations/nobody/waive", JSON),
    ("POST", "/v1/permits/nobody/confirm", JSON),
]
CANARY = "card-4929-1234-5678-9012"


@pytest.mark.parametrize("every", short_and_full(4, 1))
def test_no_body_breaks_any_route_or_the_stream(tmp_path: Path, tell: Tell, every: int) -> None:
    """The short form sends each route every fourth body, another one each."""
    corpus, statuses, sent = bodies(), {}, 0
    assert len(corpus) >= 150
    with up(tmp_path / "data", "--runner", "plain") as service, service.client() as client:
        pids = {role: service.pid(role) for role in ("up", "api", "stream")}
        for turn, (method, path, headers) in enumerate(ROUTES):
            for body in corpus[turn % every :: every]:
                answer = client.request(method, path, content=body, headers=headers)
                assert answer.status_code < 500, (method, path, body[:80])
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
                sent += 1
        _assert_well(client)
        service.wait_applied()
        assert {role: service.pid(role) for role in pids} == pids
    tell(f"fault 17: {sent:,} bodies of a corpus of {len(corpus)} to {len(ROUTES)} routes: {statuses}, 5xx 0, deaths 0")


@pytest.mark.parametrize("every", short_and_full(6, 1))
def test_odd_values_and_naughty_strings_cost_only_their_own_signal(tmp_path: Path, tell: Tell, every: int) -> None:
    events = [json.dumps(one).encode() for one in naughty_events()[::every]]
    typed = [_with_value(kind, member, value) for kind, member in MEMBERS for value in values()[::every]]
    counts = {"accepted": 0, "duplicates": 0, "dead_lettered": 0, "rejected": 0}
    with up(tmp_path / "data", "--runner", "plain") as service, service.client() as client:
        pids = {role: service.pid(role) for role in ("api", "stream")}
        everything = [one for one in [*events, *typed] if len(one) < 50_000]
        for start in range(0, len(everything), 50):
            batch = everything[start : start + 50]
            answer = client.post("/v1/signals", content=b"[" + b",".join(batch) + b"]", headers=BATCH)
            assert answer.status_code == 202
            for name in counts:
                told = answer.json()[name]
                counts[name] += len(told) if name == "rejected" else told
        assert sum(counts.values()) == len(everything)
        service.wait_applied()
        for text in NAUGHTY[::every]:
            decided = client.post("/v1/decisions", json={"customer": text, "candidates": [
                {"id": text, "domain": text, "kind": text, "channel": text}]})  # fmt: skip
            assert decided.status_code in (200, 422)
            for path in ("/v1/customers/", "/v1/decisions/", "/v1/obligations?state=", "/v1/obligations?owner="):
                assert client.get(path + _quoted(text)).status_code < 500
        _assert_well(client)
        assert {role: service.pid(role) for role in pids} == pids
    tell(f"fault 17: {len(everything):,} naughty signals: {counts}, 5xx 0, deaths 0")


MEMBERS = [
    ("message.received", "sentiment"), ("message.received", "channel"), ("message.received", "duration_seconds"),
    ("case.opened", "severity"), ("case.opened", "eta"), ("case.opened", "case"), ("usage.measured", "value"),
    ("order.placed", "amount"), ("survey.answered", "score"), ("profile.updated", "channels"),
    ("consent.changed", "granted"), ("profile.updated", "anything_else"), ("incident.declared", "scope"),
]  # fmt: skip
SOUND = {
    "channel": "email", "case": "k", "category": "net", "severity": 3, "metric": "m", "value": 1, "instrument": "nps",
    "score": 9, "domain": "marketing", "granted": True, "incident": "i",
}  # fmt: skip
_numbers = iter(range(10**9))


def _with_value(kind: str, member: str, value: bytes) -> bytes:
    number = next(_numbers)
    whole = event(f"v-{number}", kind, f"c-{number % 7}", "2026-11-20T00:00:00Z", **{**SOUND, member: "@@"})
    return json.dumps(whole).encode().replace(b'"@@"', value)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _assert_well(client: httpx.Client) -> None:
    good = event(f"good-{next(_numbers)}", "message.received", "c-good", "2026-11-20T00:00:00Z", channel="email")
    answer = client.post("/v1/signals", json=good, headers=SINGLE)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def test_no_refusal_echoes_what_was_sent(tmp_path: Path, tell: Tell) -> None:
    """The canary stands where each kind of fault is made: as a name, as a value, in broken JSON, in a header."""
    candidate = {"id": "a", "domain": "sales", "kind": "upsell", "channel": "email"}
    asked = [
        ("POST", "/v1/signals", SINGLE, {**event(CANARY, CANARY, CANARY, CANARY), CANARY: CANARY}),
        ("POST", "/v1/signals", SINGLE, event(1, "message.received", "c", "2026-11-20T00:00:00Z", channel=[CANARY])),
        ("POST", "/v1/signals", SINGLE, event(1, "case.opened", "c", "2026-11-20T00:00:00Z", severity=CANARY)),
        ("POST", "/v1/signals", {"Content-Type": CANARY}, {}),
        ("POST", "/v1/decisions", JSON, {"customer": 1, "candidates": CANARY, CANARY: 1}),
        ("POST", "/v1/decisions", JSON, {"customer": "c", "candidates": [{**candidate, "value": CANARY}]}),
        ("POST", "/v1/decisions", JSON, {"customer": "c", "candidates": [candidate], "at": CANARY}),
        ("POST", "/v1/decisions", JSON, {"customer": "c", "candidates": [candidate], "choose": CANARY}),
        ("POST", "/v1/obligations/nobody/meet", JSON, {"by": [CANARY]}),
        ("GET", f"/v1/customers/{CANARY}", {}, None),
        ("GET", f"/v1/decisions/{CANARY}", {}, None),
        ("GET", f"/v1/customers/c/timeline?limit={CANARY}&before={CANARY}", {}, None),
        ("GET", f"/v1/obligations?state={CANARY}", {}, None),
        ("GET", f"/{CANARY}", {}, None),
    ]  # fmt: skip
    with up(tmp_path / "data", "--runner", "plain") as service, service.client() as client:
        refused = 0
        for method, path, headers, body in asked:
            content = None if body is None else json.dumps(body)
            for sent in (content, content and content[:-3]):
                answer = client.request(method, path, content=sent, headers=headers)
                assert answer.status_code < 500
                if answer.status_code >= 400:
                    refused += 1
                    assert CANARY not in answer.text, (method, path)
                    assert answer.headers["content-type"] == "application/problem+json"
        assert refused >= len(asked)
        assert service.stop() == 0
        assert CANARY not in service.errors()
    tell(f"fault 17: {refused} refusals with a canary in them: echoes 0, in logs 0")
