"""The app as a whole: keys, scopes and tenants, refusals by the router, and what every answer has."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from membrane.errors import UsageError

UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
ROUTES = [
    ("GET", "/v1/customers/c-1", "read"),
    ("GET", "/v1/customers/c-1/timeline", "read"),
    ("GET", "/v1/customers/c-1/decisions", "read"),
    ("GET", "/v1/decisions/d-1", "read"),
    ("GET", "/v1/stages", "read"),
    ("GET", "/v1/principles", "read"),
    ("GET", "/v1/obligations", "read"),
    ("GET", "/v1/models", "read"),
    ("GET", "/v1/schemas", "read"),
    ("GET", "/v1/defaults", "read"),
    ("POST", "/v1/signals", "ingest"),
    ("POST", "/v1/decisions", "decide"),
    ("POST", "/v1/principles/check", "read"),
    ("PUT", "/v1/principles", "admin"),
    ("POST", "/v1/obligations/o-1/meet", "act"),
    ("POST", "/v1/obligations/o-1/waive", "act"),
]
OPEN = ["/livez", "/readyz", "/metrics", "/openapi.json"]
SCOPES = ["ingest", "decide", "read", "act", "admin"]


def secret(tenant: str, scopes: str) -> str:
    return f"{tenant}:{scopes}"


@pytest.fixture
def keyed(make_api, tmp_path):
    """An API with a key for each tenant and scope, and one of each tenant with all scopes."""
    entries = [(tenant, scope) for tenant in ("acme", "rival") for scope in (*SCOPES, ", ".join(SCOPES))]
    lines = [
        f"- {{sha256: {sha256(secret(tenant, scopes).encode()).hexdigest()}, tenant: {tenant}, scopes: [{scopes}]}}"
        for tenant, scopes in entries
    ]
    path = tmp_path / "keys.yaml"
    path.write_text("\n".join(lines))
    return make_api(keys=path)


def bearer(tenant: str, scopes: str = ", ".join(SCOPES)) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret(tenant, scopes)}"}


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_every_route_needs_a_key_with_its_scope(keyed, method, path, scope):
    assert keyed.request(method, path).status_code == 401
    assert keyed.request(method, path, headers={"Authorization": "Bearer guess"}).status_code == 401
    for other in SCOPES:
        refused = keyed.request(method, path, headers=bearer("acme", other)).status_code == 403
        assert refused == (other != scope), other


@pytest.mark.parametrize("path", OPEN)
def test_operators_need_no_key(keyed, path):
    assert keyed.get(path).status_code == 200


def test_without_a_key_it_cannot_be_seen_which_routes_exist(keyed):
    assert keyed.get("/v1/nothing").status_code == 401
    assert keyed.get("/v1/nothing", headers=bearer("acme")).status_code == 404


def test_tenants_do_not_see_each_other(keyed, event, known):
    record = known(tenant="acme")
    keyed.write(tenant="acme", record=record)
    signal = keyed.post(
        "/v1/signals", headers={**bearer("acme"), "Content-Type": "application/cloudevents+json"}, json=event()
    )
    assert signal.status_code == 202
    mine = keyed.post("/v1/decisions", headers=bearer("acme"), json={"customer": "c-1", "candidates": [UPSELL]}).json()
    theirs = keyed.post(
        "/v1/decisions", headers=bearer("rival"), json={"customer": "c-1", "candidates": [UPSELL]}
    ).json()
    assert (mine["lifecycle"], theirs["lifecycle"]) == ("active", "unknown")
    assert keyed.get("/v1/customers/c-1", headers=bearer("acme")).status_code == 200
    assert keyed.get("/v1/customers/c-1", headers=bearer("rival")).status_code == 404
    assert keyed.get(f"/v1/decisions/{mine['decision']}", headers=bearer("rival")).status_code == 404
    assert keyed.get("/v1/customers/c-1/timeline", headers=bearer("rival")).json()["items"] == []
    assert keyed.get("/v1/customers/c-1/decisions", headers=bearer("rival")).json()["items"] == [theirs]


def test_without_keys_only_loopback_may_be_served(make_api):
    with pytest.raises(UsageError, match="--keys"):
        make_api(host="0.0.0.0")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/v1/permits/<script>/confirm", 404),
        ("POST", "/v1/principles/simulate?days=<script>", 422),
        ("PUT", "/v1/decisions/batch", 405),
        ("PUT", "/v1/customers/c-1", 405),
        ("GET", "/v1/signals", 405),
        ("OPTIONS", "/v1/customers/c-1", 405),
        ("PUT", "/v1/decisions", 405),
        ("POST", "/v1/stages", 405),
        ("GET", "/v1/signals/", 404),
        ("GET", "/v1/customers/", 404),
        ("GET", "/v1/customers/never", 404),
        ("GET", "/v1/customers/c-1/timeline?limit=0", 422),
        ("GET", "/v1/customers/c-1/timeline?limit=1001", 422),
        ("GET", "/v1/customers/c-1/timeline?limit=<script>", 422),
        ("GET", "/v1/customers/c-1/timeline?before=<script>", 422),
        ("GET", "/v1/customers/c-1/decisions?before=<script>", 422),
        ("GET", "/v1/obligations?state=<script>", 422),
        ("POST", "/v1/obligations/<script>/meet", 404),
    ],
)
def test_every_refusal_is_a_problem_that_echoes_nothing(api, method, path, status):
    answer = api.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    body = answer.json()
    assert (body["status"], body["type"].startswith("urn:membrane:problem:")) == (status, True)
    assert answer.headers["content-length"] == str(len(answer.content))
    assert not any(word in answer.text for word in ("script", "nowhere", "never"))
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/principles", "GET, PUT"), ("/v1/principles/check", "POST, PUT"), ("/v1/decisions", "POST"),
        ("/v1/signals", "POST"), ("/v1/customers/c-1", "DELETE, GET"), ("/v1/customers/c-1/timeline", "GET"),
        ("/v1/obligations/o-1/meet", "POST"), ("/readyz", "GET"), ("/", "GET"), ("/static/page.css", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ],
)  # fmt: skip
def test_a_wrong_method_is_told_every_right_one(api, path, methods):
    answer = api.request("PATCH", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize(("path", "status"), [("/v1/customers/c-1", 405), ("/v1/stages", 405), ("/nowhere", 404)])
def test_asking_for_the_head_alone_is_no_error_of_ours(api, path, status):
    assert api.request("HEAD", path).status_code == status


def test_an_error_of_ours_is_a_500_that_tells_nothing(api, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(api.services.records, "obligations", broken)
    monkeypatch.setattr(api.services.records, "get", broken)
    for path in ("/v1/obligations", "/v1/customers/c-1"):
        answer = api.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert "secret" not in answer.text
    assert "ZeroDivisionError at" in caplog.text
    assert "secret" not in caplog.text


def test_every_json_answer_has_its_length(api):
    api.write()
    for method, path, _ in ROUTES:
        answer = api.request(method, path)
        assert answer.headers["content-length"] == str(len(answer.content)), path
        json.loads(answer.content)
