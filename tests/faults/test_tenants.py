"""Faults 28 and 29: two tenants with the same ids, and keys that are missing, wrong, expired or rotated."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import httpx
import pytest

from membrane.times import format_time
from tests.faults.conftest import Tell
from tests.faults.sizes import short_and_full
from tests.processes import BATCH, Service, event, up

SEED = 20261123
CUSTOMERS = [f"c-{number}" for number in range(10)]
ALL_SCOPES = ["ingest", "decide", "read", "act", "admin"]
ASK = [{"id": "a", "domain": "sales", "kind": "upsell", "channel": "email"}]
DAY = "2026-11-20T00:00:00Z"
TENANTS = ("ana", "bob")


def write_keys(path: Path, keys: Sequence[tuple[str, str, Sequence[str], str | None]]) -> None:
    """(key, tenant, scopes, expires) each."""
    lines = []
    for key, tenant, scopes, expires in keys:
        end = f", expires: {expires}" if expires else ""
        digest = hashlib.sha256(key.encode()).hexdigest()
        lines.append(f"- {{sha256: {digest}, tenant: {tenant}, scopes: [{', '.join(scopes)}]{end}}}\n")
    temporary = path.with_suffix(".new")
    temporary.write_text("".join(lines))
    temporary.replace(path)


def client_of(service: Service, key: str) -> httpx.Client:
    return service.client(headers={"Authorization": f"Bearer {key}"})


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, dict[str, httpx.Client]]]:
    """Two tenants, whose customers, cases and sources have the same ids; each signal tells whose it is."""
    folder = tmp_path_factory.mktemp("tenants")
    keys = folder / "keys.yaml"
    write_keys(keys, [(f"key-of-{tenant}", tenant, ALL_SCOPES, None) for tenant in TENANTS])
    # By the signals' clock: under the wall clock a tick would open obligations in the middle of the calls.
    with up(folder / "data", "--runner", "plain", "--clock", "signals", "--keys", keys) as service:
        clients = {tenant: client_of(service, f"key-of-{tenant}") for tenant in TENANTS}
        for tenant, client in clients.items():
            events = []
            for number, customer in enumerate(CUSTOMERS):
                opened = {"case": f"k-{number}", "category": f"of-{tenant}", "product": "T", "severity": 1}
                events.append(event(f"o-{number}", "case.opened", customer, DAY, **opened))
                message = {"channel": "email", "text": f"secret of {tenant}"}
                events.append(event(f"m-{number}", "message.received", customer, DAY, **message))
            own = event("own", "account.opened", f"only-{tenant}", DAY)
            sent = client.post("/v1/signals", content=json.dumps([*events, own]), headers=BATCH)
            assert sent.json()["accepted"] == 2 * len(CUSTOMERS) + 1
            client.post("/v1/decisions", json={"customer": "c-0", "candidates": ASK}).raise_for_status()
        service.wait_applied()
        yield service, clients
        for client in clients.values():
            client.close()


@pytest.mark.parametrize("calls", short_and_full(500, 10_000))
def test_no_answer_to_one_tenant_holds_anything_of_the_other(two, tell: Tell, calls: int) -> None:
    _, clients = two
    random, kinds = Random(SEED), {}
    obligations = {tenant: _obligations(client) for tenant, client in clients.items()}
    decisions = {tenant: _decisions(client) for tenant, client in clients.items()}
    assert all(obligations.values())
    assert not set(obligations["ana"]) & set(obligations["bob"])
    for _ in range(calls):
        tenant, other = random.sample(TENANTS, 2)
        customer, client = random.choice(CUSTOMERS), clients[tenant]
        path, expected = random.choice(
            [
                (f"/v1/customers/{customer}", 200),
                (f"/v1/customers/{customer}/timeline", 200),
                (f"/v1/customers/{customer}/decisions", 200),
                (f"/v1/customers/only-{other}", 404),
                (f"/v1/customers/only-{other}/timeline", 200),  # as empty as that of nobody
                ("/v1/obligations", 200),
                ("/v1/stages", 200),
                (f"/v1/decisions/{random.choice(decisions[other])}", 404),
                (f"/v1/obligations/{random.choice(obligations[other])}/meet", 404),
                (f"/v1/obligations/{random.choice(obligations[other])}/waive", 404),
                ("/v1/decisions", 200),
            ]
        )
        if path.endswith(("/meet", "/waive")):
            answer = client.post(path, json={"by": "x"})
        elif path == "/v1/decisions":
            answer = client.post(path, json={"customer": customer, "candidates": ASK, "explain": "full"})
        else:
            answer = client.get(path)
        assert answer.status_code == expected, path
        assert f"of {other}" not in answer.text
        assert f"of-{other}" not in answer.text
        assert [one for one in (*obligations[other], *decisions[other]) if f'"{one}"' in answer.text] == [], path
        kinds[answer.status_code] = kinds.get(answer.status_code, 0) + 1
    assert {tenant: _obligations(client) for tenant, client in clients.items()} == obligations
    tell(f"fault 28: seed {SEED}: {calls:,} crossed calls {kinds}: leaks 0, acts on the other's obligations 0")


def _obligations(client: httpx.Client) -> list[str]:
    found = client.get("/v1/obligations?state=open").json()["obligations"]
    return [one["obligation"] for one in found]


def _decisions(client: httpx.Client) -> list[str]:
    return [one["decision"] for one in client.get("/v1/customers/c-0/decisions").json()["items"][:1]]


ROUTES = [
    ("POST", "/v1/signals"), ("POST", "/v1/decisions"), ("GET", "/v1/customers/c"), ("GET", "/v1/customers/c/timeline"),
    ("GET", "/v1/customers/c/decisions"), ("GET", "/v1/decisions/d"), ("GET", "/v1/stages"), ("GET", "/v1/obligations"),
    ("POST", "/v1/obligations/o/meet"), ("POST", "/v1/obligations/o/waive"), ("GET", "/v1/principles"),
    ("PUT", "/v1/principles"), ("POST", "/v1/principles/check"), ("GET", "/v1/models"), ("GET", "/v1/defaults"),
    ("GET", "/v1/schemas"),
]  # fmt: skip


def test_keys_that_are_missing_wrong_expired_or_rotated_open_no_route(tmp_path: Path, tell: Tell) -> None:
    keys, calls = tmp_path / "keys.yaml", 0
    now = time.time_ns() // 1_000_000
    past, soon = format_time(now - 1_000), format_time(now + 3_600_000)
    write_keys(keys, [("good", "t", ALL_SCOPES, soon), ("old", "t", ALL_SCOPES, past), ("reader", "t", ["read"], None)])
    with up(tmp_path / "data", "--runner", "plain", "--keys", keys) as service, service.client() as client:
        headers = [None, "", "Bearer", "Basic good", "good", "Bearer other", "Bearer old", "bearer\tgood",
                   "Bearer good good", "Bearer GOOD", "Bearer \u00e9"]  # fmt: skip
        for value in headers:
            for method, path in ROUTES:
                sent = {} if value is None else {"Authorization": value.encode("latin-1")}
                assert client.request(method, path, headers=sent).status_code == 401, (value, path)
                calls += 1
        reader = {"Authorization": "Bearer reader"}
        for method, path in ROUTES:
            status = client.request(method, path, headers=reader).status_code
            writes = method == "PUT" or path in ("/v1/signals", "/v1/decisions") or path.endswith(("/meet", "/waive"))
            assert (status == 403) is writes, (path, status)
        good = {"Authorization": "Bearer good"}
        assert client.get("/v1/stages", headers=good).status_code == 200
        write_keys(keys, [("new", "t", ALL_SCOPES, None)])
        for method, path in ROUTES:
            assert client.request(method, path, headers=good).status_code == 401
            calls += 1
        assert client.get("/v1/stages", headers={"Authorization": "Bearer new"}).status_code == 200
        keys.unlink()
        assert client.get("/v1/stages", headers={"Authorization": "Bearer new"}).status_code == 401
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
        assert "Bearer" not in service.errors()
    tell(f"fault 29: {calls} calls with keys missing, wrong, expired, rotated: accepted 0")
