"""/openapi.json: FastAPI's description, with the hot routes and the real schemas of every body and answer."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from membrane.decisions import Answer, DecisionRequest
from membrane.signals import Text, Time
from membrane.trial import Outcome
from serving import models_view, reads
from serving.answers import NDJSON
from serving.checking import CheckAnswer
from serving.customer_view import CustomerView
from serving.events import BATCH, SINGLE
from serving.ingest import IngestAnswer
from serving.insights import SpikeAnswer
from serving.obligations import ActAnswer, ActRequest, ObligationList
from serving.pauses import PauseAnswer, PauseList, PauseRequest
from serving.permits import ConfirmRequest, PermitView
from serving.problems import MEDIA_TYPE
from serving.timeline import Timeline

JSON: Final = "application/json"
YAML: Final = "application/yaml"


class Event(msgspec.Struct):
    """A CloudEvent 1.0. What `data` must hold goes by `type`: see /v1/schemas."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    subject: Text
    time: Time
    data: dict[str, Any] = {}


ANSWERS: Final[dict[tuple[str, str], tuple[int, Any]]] = {
    ("post", "/v1/decisions"): (200, Answer),
    ("post", "/v1/decisions/batch"): (200, Answer),
    ("post", "/v1/signals"): (202, IngestAnswer),
    ("get", "/v1/customers/{customer}"): (200, CustomerView),
    ("get", "/v1/customers/{customer}/timeline"): (200, Timeline),
    ("get", "/v1/customers/{customer}/decisions"): (200, reads.DecisionPage),
    ("get", "/v1/decisions/{decision}"): (200, Answer),
    ("get", "/v1/stages"): (200, reads.StagesAnswer),
    ("get", "/v1/insights/spike"): (200, SpikeAnswer),
    ("get", "/v1/principles"): (200, reads.PrinciplesAnswer),
    ("put", "/v1/principles"): (200, reads.PutPrinciplesAnswer),
    ("put", "/v1/principles/{principle}"): (200, reads.PutPrinciplesAnswer),
    ("post", "/v1/principles/check"): (200, CheckAnswer),
    ("post", "/v1/principles/simulate"): (200, Outcome),
    ("get", "/v1/pauses"): (200, PauseList),
    ("post", "/v1/pauses"): (201, PauseAnswer),
    ("delete", "/v1/pauses/{pause}"): (200, PauseAnswer),
    ("get", "/v1/obligations"): (200, ObligationList),
    ("post", "/v1/obligations/{obligation}/meet"): (202, ActAnswer),
    ("post", "/v1/obligations/{obligation}/waive"): (202, ActAnswer),
    ("get", "/v1/permits/{permit}"): (200, PermitView),
    ("post", "/v1/permits/{permit}/confirm"): (200, PermitView),
    ("post", "/v1/permits/{permit}/release"): (200, PermitView),
    ("get", "/v1/models"): (200, models_view.ModelsAnswer),
    ("get", "/readyz"): (200, reads.ReadyAnswer),
}
"""The status and type of each answer that has a type; the others answer with a JSON object of their own."""

BODIES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("post", "/v1/decisions"): {JSON: DecisionRequest},
    ("post", "/v1/decisions/batch"): {NDJSON: DecisionRequest},
    ("post", "/v1/signals"): {SINGLE: Event, BATCH: list[Event], JSON: dict[str, Any]},
    ("put", "/v1/principles"): {YAML: str},
    ("put", "/v1/principles/{principle}"): {YAML: str},
    ("post", "/v1/principles/check"): {YAML: str},
    ("post", "/v1/pauses"): {JSON: PauseRequest},
    ("post", "/v1/principles/simulate"): {YAML: str},
    ("post", "/v1/obligations/{obligation}/meet"): {JSON: ActRequest},
    ("post", "/v1/obligations/{obligation}/waive"): {JSON: ActRequest},
    ("post", "/v1/permits/{permit}/confirm"): {JSON: ConfirmRequest},
}

_HOT: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("post", "/v1/decisions"): {
        "summary": "Whether candidates may be carried out now, and why",
        "tags": ["decisions"],
        "parameters": [
            {"name": "Idempotency-Key", "in": "header", "description": "with `reserve`: the same answer for 24 hours",
             "schema": {"type": "string", "minLength": 1, "maxLength": 256}},
        ],
    },
    ("post", "/v1/decisions/batch"): {
        "summary": "Any number of decisions, a request a line",
        "description": "For each line, in order, a line of the answer, streamed: an answer, or a problem with `line`.",
        "tags": ["decisions"],
    },
    ("post", "/v1/signals"): {
        "summary": "Send signals as CloudEvents; 202 once they are on the disk",
        "description": "`application/json` is the binary content mode: attributes in ce-* headers, `data` as the body.",
        "tags": ["signals"],
    },
    ("get", "/v1/customers/{customer}"): {
        "summary": "All we know of one customer",
        "tags": ["customers"],
        "parameters": [
            {"name": "customer", "in": "path", "required": True,
             "schema": {"type": "string", "minLength": 1, "maxLength": 256}},
        ],
    },
}  # fmt: skip
_MEDIA_TYPES: Final = {
    "/metrics": "text/plain",
    "/v1/decisions/batch": NDJSON,
    "/v1/stages/stream": "text/event-stream",
}
_OPEN: Final = frozenset({"/livez", "/readyz", "/metrics"})
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "problem"],
                "properties": {"pointer": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}
_REF: Final = "#/components/schemas/{name}"
_REFUSED: Final = {
    "description": "A problem (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
}


def describe(app: FastAPI) -> None:
    """Makes `app` answer /openapi.json with the whole description, made once when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _whole(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _whole(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    paths: dict[str, dict[str, Any]] = document["paths"]
    for (method, path), description in _HOT.items():
        paths.setdefault(path, {})[method] = {**description, "responses": {}}
    shapes, components = _schemas()
    for path, operations in paths.items():
        for method, operation in operations.items():
            _describe_operation(operation, (method, path), shapes)
    document["components"] = {
        "schemas": {"Problem": _PROBLEM, **components},
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    return document


def _describe_operation(operation: dict[str, Any], key: tuple[str, str], shapes: dict[str, Any]) -> None:
    status, answer = ANSWERS.get(key, (200, None))
    media_type = _MEDIA_TYPES.get(key[1], JSON)
    schema = shapes[repr(answer)] if answer is not None else {}
    operation["responses"] = {
        str(status): {"description": "The answer", "content": {media_type: {"schema": schema}}},
        "default": _REFUSED,
    }
    bodies = BODIES.get(key)
    if bodies is not None:
        content = {media_type: {"schema": shapes[repr(body)]} for media_type, body in bodies.items()}
        operation["requestBody"] = {
            "required": not key[1].endswith(("/meet", "/waive", "/confirm")),
            "content": content,
        }
    if key[1] not in _OPEN:
        operation["security"] = [{}, {"key": []}]


def _schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of every type in the two tables, by its repr, and the components they refer to."""
    types = [answer for _, answer in ANSWERS.values()]
    types += [body for bodies in BODIES.values() for body in bodies.values()]
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    return {repr(type_): schema for type_, schema in zip(types, found, strict=True)}, components
