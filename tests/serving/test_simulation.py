"""POST /v1/principles/simulate where the other process is one of our making."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence

import pytest

from serving.principle_sets import DEFAULT_PACK
from serving.problems import Problem
from serving.simulation import Child, Simulations, parse_at

PATH = "/v1/principles/simulate"
SAYS_WHAT_IT_HEARD = "import sys; print(sys.argv[1:], sys.stdin.read())"


def program(code: str) -> Child:
    def child(words: list[str]) -> tuple[Sequence[str], Mapping[str, str]]:
        return [sys.executable, "-c", code, *words], {}

    return child


def test_the_draft_goes_to_another_process_with_what_was_asked(make_api):
    api = make_api(child=program(SAYS_WHAT_IT_HEARD))
    answer = api.post(PATH + "?days=7&at=2026-11-01T00:00:00Z", content=DEFAULT_PACK.read_bytes())
    assert answer.status_code == 200
    for word in ("--days=7", "--at=2026-11-01T00:00:00Z", "--tenant=default", "--draft=-", "pack:"):
        assert word in answer.text


def test_without_another_process_or_when_it_fails_it_is_unavailable(api, make_api, caplog):
    pack = DEFAULT_PACK.read_bytes()
    assert api.post(PATH, content=pack).status_code == 503
    failing = make_api(child=program("import sys; sys.exit('disk is full')"))
    answer = failing.post(PATH, content=pack)
    assert answer.status_code == 503
    assert "disk is full" not in answer.text
    assert "disk is full" in caplog.text


def test_a_tenant_that_never_put_principles_in_force_is_told(api, monkeypatch):
    monkeypatch.setattr(api.services.log, "revisions", dict)
    assert api.post(PATH, content=DEFAULT_PACK.read_bytes()).status_code == 404


def test_one_at_a_time_and_not_for_ever():
    simulations = Simulations(program("import time; time.sleep(60)"), "data", seconds=0.5)

    async def two() -> list[object]:
        first = asyncio.create_task(simulations.run(b"", "default", 30, None))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(simulations.run(b"", "default", 30, None))
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(two())
    assert isinstance(first, Problem)
    assert isinstance(second, Problem)
    assert (first.status, second.status) == (503, 429)
    assert "longer than 0.5 seconds" in first.detail


def test_a_moment_is_rfc_3339():
    assert parse_at(None) is None
    assert parse_at("1970-01-01T00:00:01Z") == 1000
    with pytest.raises(Problem):
        parse_at("noon")
