"""Requests and answers as JSON."""

import json

import msgspec
import pytest

from membrane.decisions import MAX_CANDIDATES, parse_request
from membrane.errors import InvalidRequest

CANDIDATE = {"id": "a", "domain": "marketing", "kind": "upsell", "channel": "email"}


def body(*candidates, **fields):
    return json.dumps({"customer": "c-1", "candidates": list(candidates or [CANDIDATE]), **fields}).encode()


def errors_of(data):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(data)
    return caught.value.errors


def test_a_body_that_is_no_object_is_at_fault_as_a_whole():
    with pytest.raises(InvalidRequest, match=r"^/: Expected `object`"):
        parse_request(b"[]")


def test_what_is_left_out_takes_the_contracts_defaults():
    request = parse_request(body())
    assert (request.choose, request.language, request.explain, request.reserve) == ("per_domain", None, "short", False)
    assert request.candidates[0].direction == "outbound"


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b"[]", ""),
        (b"{}", "/customer"),
        (body(customer=3), "/customer"),
        (body(customer="a/b"), "/customer"),
        (body(customer=""), "/customer"),
        (body(customer="x" * 300), "/customer"),
        (body(customer="a\x00b"), "/customer"),
        (b'{"customer": "c", "candidates": []}', "/candidates"),
        (body(*[CANDIDATE | {"id": str(n)} for n in range(MAX_CANDIDATES + 1)]), "/candidates"),
        (body({"id": "a"}), "/candidates/0/domain"),
        (body(CANDIDATE | {"propensity": 1.5}), "/candidates/0/propensity"),
        (body(CANDIDATE | {"value": "much"}), "/candidates/0/value"),
        (body(CANDIDATE | {"value": 1e300}), "/candidates/0/value"),
        (body(CANDIDATE | {"direction": "sideways"}), "/candidates/0/direction"),
        (body(CANDIDATE, CANDIDATE), "/candidates/1/id"),
        (body(CANDIDATE | {"send_at": "tomorrow"}), "/candidates/0/send_at"),
        (body(CANDIDATE | {"about": {"case": "k", "at": "2026-01-01"}}), "/candidates/0/about/at"),
        (body(at="2026-11-22 10:00"), "/at"),
        (body(choose="all"), "/choose"),
        (body(language="fr"), "/language"),
        (body(explain="long"), "/explain"),
    ],
)
def test_a_faulty_request_is_told_by_its_field(data, pointer):
    assert pointer in [where for where, _ in errors_of(data)]


def test_faults_of_meaning_are_told_together():
    assert len(errors_of(body(CANDIDATE | {"send_at": "x"}, CANDIDATE, at="y"))) == 3


@pytest.mark.parametrize("secret", ["4111-1111-1111-1111"])
def test_no_fault_repeats_what_came(secret):
    for data in (body(choose=secret), body(at=secret), body(CANDIDATE | {"direction": secret}), body(language=secret)):
        assert secret not in str(errors_of(data))


@pytest.mark.parametrize("data", [b"", b"{", b'{"customer": NaN}', b'{"customer": "\xff"}', b'{"x": ' + b"[" * 5000])
def test_what_is_no_json_raises_as_the_decoder_does(data):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
        parse_request(data)


def test_fields_nobody_knows_are_ignored():
    assert parse_request(body(CANDIDATE | {"note": "x"}, extra=1)).customer == "c-1"
