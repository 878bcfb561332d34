"""/openapi.json: every route, the hot ones too, and answers that are as described."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROUTES = {
    "/livez": {"get"},
    "/metrics": {"get"},
    "/readyz": {"get"},
    "/v1/customers/{customer}": {"get"},
    "/v1/customers/{customer}/decisions": {"get"},
    "/v1/customers/{customer}/timeline": {"get"},
    "/v1/decisions": {"post"},
    "/v1/decisions/batch": {"post"},
    "/v1/decisions/{decision}": {"get"},
    "/v1/defaults": {"get"},
    "/v1/insights/spike": {"get"},
    "/v1/models": {"get"},
    "/v1/pauses": {"get", "post"},
    "/v1/pauses/{pause}": {"delete"},
    "/v1/obligations": {"get"},
    "/v1/obligations/{obligation}/meet": {"post"},
    "/v1/obligations/{obligation}/waive": {"post"},
    "/v1/permits/{permit}": {"get"},
    "/v1/permits/{permit}/confirm": {"post"},
    "/v1/permits/{permit}/release": {"post"},
    "/v1/principles": {"get", "put"},
    "/v1/principles/{principle}": {"put"},
    "/v1/principles/check": {"post"},
    "/v1/principles/simulate": {"post"},
    "/v1/schemas": {"get"},
    "/v1/signals": {"post"},
    "/v1/stages": {"get"},
    "/v1/stages/stream": {"get"},
}
UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}


@pytest.fixture
def document(api) -> dict[str, Any]:
    return api.get("/openapi.json").json()


def validator(document: dict[str, Any], path: str, method: str, status: str) -> Draft202012Validator:
    (content,) = document["paths"][path][method]["responses"][status]["content"].values()
    return Draft202012Validator({**content["schema"], "components": document["components"]})


def test_every_route_is_described(document):
    assert {path: set(operations) for path, operations in document["paths"].items()} == ROUTES


def test_every_operation_has_a_summary_an_answer_and_the_problem(document):
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert len(operation["responses"]) == 2
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_every_reference_leads_somewhere(document):
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_bodies_are_described_by_their_own_types(document):
    bodies = document["paths"]["/v1/signals"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"application/cloudevents+json", "application/cloudevents-batch+json", "application/json"}
    assert document["components"]["schemas"]["DecisionRequest"]["required"] == ["customer", "candidates"]


def test_answers_are_as_described(api, event, document):
    api.write()
    api.send(event())
    decision = api.decide(UPSELL).json()["decision"]
    for method, path, description in (
        ("get", "/v1/customers/c-1", "/v1/customers/{customer}"),
        ("get", "/v1/customers/c-1/timeline", "/v1/customers/{customer}/timeline"),
        ("get", "/v1/customers/c-1/decisions", "/v1/customers/{customer}/decisions"),
        ("get", f"/v1/decisions/{decision}", "/v1/decisions/{decision}"),
        ("get", "/v1/stages", "/v1/stages"),
        ("get", "/v1/principles", "/v1/principles"),
        ("get", "/v1/obligations", "/v1/obligations"),
        ("get", "/v1/models", "/v1/models"),
        ("get", "/readyz", "/readyz"),
    ):
        validator(document, description, method, "200").validate(api.request(method.upper(), path).json())
    validator(document, "/v1/signals", "post", "202").validate(api.send(event(), event(id="")).json())
    validator(document, "/v1/decisions", "post", "200").validate(api.decide(UPSELL, explain="full").json())


def test_a_refusal_is_as_described(api, document):
    validator(document, "/v1/stages", "get", "default").validate(api.get("/v1/customers/never").json())
