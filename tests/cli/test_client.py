"""The client: patient where the API asks for patience, and clear about whose fault a refusal is."""

from __future__ import annotations

import pytest

from cli.client import KEY_REFUSED, ApiClient
from membrane.errors import StoreUnavailable, UsageError


def test_one_connection_serves_many_requests_below_the_base_path_with_the_key(server):
    server.answers = [(200, b'{"a": 1}', {})]
    with ApiClient(server.url, "secret") as client:
        assert [client.get("/x"), client.post("/y", b"{}")] == [{"a": 1}, {"a": 1}]
    assert server.requests == [("GET", "/base/x", "Bearer secret"), ("POST", "/base/y", "Bearer secret")]
    assert len(server.clients) == 1


def test_a_503_is_asked_again_after_the_time_it_names(server):
    server.answers = [(503, b"{}", {"Retry-After": "0"}), (200, b"[]", {})]
    with ApiClient(server.url) as client:
        assert client.get("/x") == []
    assert len(server.requests) == 2


def test_a_503_that_stays_is_unavailable_with_the_reason(server):
    server.answers = [(503, b'{"detail": "the disk is full"}', {"Retry-After": "1"})]
    with ApiClient(server.url, patience_seconds=0.0) as client, pytest.raises(StoreUnavailable, match="disk is full"):
        client.get("/x")


def test_a_refusal_is_the_users_mistake_with_the_reason(server):
    server.answers = [(422, b'{"detail": "/customer: required"}', {})]
    with ApiClient(server.url) as client, pytest.raises(UsageError, match="422: /customer: required"):
        client.get("/x")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 504])
def test_what_is_no_mistake_of_whoever_asks_is_unavailable_with_the_reason(server, status):
    server.answers = [(status, b'{"detail": "an error of ours"}', {})]
    with ApiClient(server.url) as client:
        for ask in (lambda: client.get("/x"), lambda: client.post("/x", b"{}"), lambda: list(client.lines("/x", {}))):
            with pytest.raises(StoreUnavailable, match=f"{status}: an error of ours"):
                ask()


def test_where_the_user_gave_the_key_alone_a_refused_request_is_no_mistake_of_the_user(server):
    server.answers = [(422, b'{"detail": "/customer: required"}', {}), (403, b"{}", {})]
    with ApiClient(server.url, mistakes=KEY_REFUSED) as client:
        with pytest.raises(StoreUnavailable, match="422: /customer: required"):
            client.get("/x")
        with pytest.raises(UsageError, match="403: Forbidden"):
            client.get("/x")


def test_a_refusal_that_is_no_json_is_told_by_its_status(server):
    server.answers = [(404, b"<html>", {})]
    with ApiClient(server.url) as client, pytest.raises(UsageError, match="404: Not Found"):
        client.get("/x")


def test_an_answer_that_is_no_json_is_not_ours(server):
    server.answers = [(200, b"<html>", {})]
    with ApiClient(server.url) as client, pytest.raises(StoreUnavailable, match="JSON was required"):
        client.get("/x")


def test_nobody_listening_is_unavailable(server):
    with ApiClient("http://127.0.0.1:1", patience_seconds=0.0) as client, pytest.raises(StoreUnavailable):
        client.get("/x")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://there", "http://", "http://there:port"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(UsageError, match="a URL such as"):
        ApiClient(url)
