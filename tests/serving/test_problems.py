"""Problems: one form for every refusal, and nothing of the input in it."""

from __future__ import annotations

import json

import pytest

from membrane.errors import (
    AnotherWriter,
    Fault,
    InvalidPrinciples,
    InvalidRequest,
    InvalidSignal,
    RecordUnreadable,
    StoreRefused,
    StoreUnavailable,
)
from serving.problems import Problem, from_error


def test_a_problem_is_a_problem_json_document():
    body = json.loads(Problem(409, "conflict", "taken", errors=[("/a", "b")], extra={"more": 1}).body())
    assert body == {
        "type": "urn:membrane:problem:conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "taken",
        "errors": [{"pointer": "/a", "problem": "b"}],
        "more": 1,
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Problem(418, "teapot", "short and stout"), 418),
        (InvalidSignal("/id", "required"), 422),
        (InvalidRequest([("/at", "required")]), 422),
        (InvalidPrinciples([Fault(3, 7, "when", "required")]), 422),
        (StoreUnavailable("/data/log.db is full"), 503),
        (RecordUnreadable("checksum"), 503),
        (StoreRefused("swapped"), 503),
        (AnotherWriter("another"), 500),
        (ZeroDivisionError("secret input"), 500),
    ],
)
def test_every_error_has_a_status(error, status):
    assert from_error(error).status == status


def test_an_unavailable_store_says_when_to_come_back():
    assert from_error(StoreUnavailable("full")).headers["Retry-After"]


def test_an_unexpected_error_is_logged_by_place_without_its_values(caplog):
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("secret input")
    assert b"secret" not in from_error(caught.value).body()
    assert "ZeroDivisionError at test_problems.py" in caplog.text
    assert "secret" not in caplog.text
