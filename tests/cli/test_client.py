from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli.client import ApiClient
from membrane.errors import StoreUnavailable, UsageError


class Server(ThreadingHTTPServer):
    """Answers with what it was given, in order; the last answer again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.requests: list[tuple[str, str, str | None]] = []
        self.clients: set[tuple[str, int]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/base"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        self.server.clients.add(self.client_address)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body, headers = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name is the library's

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


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
