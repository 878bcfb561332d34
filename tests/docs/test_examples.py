"""Examples in the documentation are sound: they run, parse, compile, and say what is said of them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from cli.main import main
from membrane.decisions import Answer, parse_request
from membrane.principle_tests import run_tests
from membrane.settings import TenantSettings
from membrane.signals import check
from serving.auth import read_keys
from serving.principle_sets import DEFAULT_PACK
from storage.principles import compile_principles
from storage.tenants import read_tenant_file
from tests.docs.pages import DOCS, PAGES, examples

HEADER = "pack: example\nrevision: 2026-01-01.1\n"
CURL = re.compile(r"curl -s http://127\.0\.0\.1:8080(?P<path>/\S+)[^']*'[^']*' -d '(?P<body>[^']*)'")
PRINCIPLES = list(examples(DOCS / "principles.md", "yaml"))


class Accepting(BaseHTTPRequestHandler):
    """Answers every POST as the API answers good signals, and keeps the body."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(body)
        self.send_response(202)
        self.end_headers()
        self.wfile.write(b'{"accepted": 1}')

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def accepting() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Accepting,), {"bodies": bodies}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def all_of(language: str) -> list[object]:
    return [
        pytest.param(example, id=f"{page.name}-{number}")
        for page in PAGES
        for number, example in enumerate(examples(page, language))
    ]


@pytest.mark.parametrize("example", all_of("python"))
def test_python_runs_and_sends_signals_that_are_accepted(example, capsys):
    with accepting() as (address, bodies):
        exec(compile(example.body.replace("127.0.0.1:8080", address), "example", "exec"), {})
    assert [check(json.dumps(event).encode(), "t").typed is None for body in bodies for event in json.loads(body)] == [
        False
    ]
    assert capsys.readouterr().out.startswith("202")


@pytest.mark.parametrize("example", all_of("json"))
def test_json_parses(example):
    json.loads(example.body)


@pytest.mark.parametrize("page", ["signals.md", "decisions-api.md"])
def test_bodies_of_curl_are_what_the_api_takes(page):
    sent = [match for example in examples(DOCS / page, "sh") for match in CURL.finditer(example.body)]
    assert sent
    for match in sent:
        if match["path"] == "/v1/signals":
            assert check(match["body"].encode(), "t").typed is not None
        else:
            assert parse_request(match["body"].encode()).candidates


def test_the_answer_that_is_shown_has_the_shape_of_answers():
    shown = next(example.body for example in examples(DOCS / "decisions-api.md", "json"))
    answer = msgspec.json.decode(shown, type=Answer)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == json.loads(shown)


@pytest.mark.parametrize(
    "example", [one for one in PRINCIPLES if not one.mark], ids=lambda one: one.body.split("\n")[1]
)
def test_principles_compile_and_their_tests_pass(example):
    whole = example.body if "pack:" in example.body else HEADER + example.body
    found = compile_principles(whole.encode())
    assert [outcome for outcome in run_tests(found) if not outcome.passed] == []


def test_the_checker_says_of_the_faulty_file_what_is_shown(tmp_path, monkeypatch, capsys):
    [faulty] = [one for one in PRINCIPLES if one.mark.startswith("faulty: ")]
    name = faulty.mark.removeprefix("faulty: ")
    (tmp_path / name).write_text(faulty.body)
    monkeypatch.chdir(tmp_path)
    assert main(["principles", "check", name]) == 1
    shown, *_ = examples(DOCS / "principles.md", "text")
    assert capsys.readouterr().err == shown.body


def test_the_checker_finds_in_the_suspicious_file_what_is_shown(tmp_path, monkeypatch, capsys):
    [suspicious] = [one for one in PRINCIPLES if one.mark.startswith("suspicious: ")]
    name = suspicious.mark.removeprefix("suspicious: ")
    (tmp_path / name).write_text(suspicious.body)
    monkeypatch.chdir(tmp_path)
    assert main(["principles", "check", name]) == 1
    _, shown, _ = examples(DOCS / "principles.md", "text")
    assert capsys.readouterr().out == shown.body


def test_the_sentence_that_is_shown_is_what_is_read_back(capsys):
    assert main(["principles", "check", str(DEFAULT_PACK), "--read-back"]) == 0
    *_, shown = examples(DOCS / "principles.md", "text")
    assert shown.body in capsys.readouterr().out


def test_the_keys_file_that_is_shown_can_be_read(tmp_path):
    [shown] = [one for one in examples(DOCS / "operations.md", "yaml") if "sha256" in one.body]
    (tmp_path / "keys.yaml").write_text(shown.body)
    assert {identity.tenant for identity in read_keys(tmp_path / "keys.yaml").values()} == {"my-shop"}


def test_the_tenants_file_that_is_shown_can_be_read(tmp_path):
    [shown] = [one for one in examples(DOCS / "operations.md", "yaml") if "tenants:" in one.body]
    (tmp_path / "tenants.yaml").write_text(shown.body)
    found = read_tenant_file(tmp_path / "tenants.yaml").tenants
    plain, shop = msgspec.structs.asdict(TenantSettings()), msgspec.structs.asdict(found["my-shop"])
    assert [name for name in plain if shop[name] == plain[name]] == []
