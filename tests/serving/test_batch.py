"""POST /v1/decisions/batch: a request a line, an answer or a problem a line, however many there are."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import apsw
import httpx

from serving.batch import SEND_BYTES, DecisionBatch
from serving.limits import MAX_DECISION_BYTES

PATH = "/v1/decisions/batch"
UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}
OF_EACH = ("decision", "state")


def ask(customer: str = "c-1") -> bytes:
    return json.dumps({"customer": customer, "candidates": [UPSELL]}).encode()


def answers(response: httpx.Response) -> list[dict[str, Any]]:
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson"), response.text
    return [json.loads(line) for line in response.content.splitlines()]


def without_what_differs(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OF_EACH}


def test_each_line_is_answered_and_logged_like_a_request_of_its_own(api):
    api.write()
    found = answers(api.post(PATH, content=b"\n".join([ask(), ask("never"), ask()])))
    alone = api.decide(UPSELL).json()
    assert [one["customer"] for one in found] == ["c-1", "never", "c-1"]
    assert without_what_differs(found[0]) == without_what_differs(found[2])
    assert found[0]["verdicts"] == alone["verdicts"]
    assert len({one["decision"] for one in found}) == 3
    for one in found:
        assert api.get(f"/v1/decisions/{one['decision']}").json() == one
    assert 'membrane_decisions_total{class="persuasion",verdict="allow"} 3.0' in api.get("/metrics").text


def test_a_bad_line_is_a_problem_with_its_number_and_the_rest_goes_on(api):
    api.write()
    lines = [ask(), b"{", b"", b'{"customer": "c-1"}', b"x" * (MAX_DECISION_BYTES + 1), ask()]
    found = answers(api.post(PATH, content=b"\r\n".join(lines)))
    told = [(one.get("line"), one.get("status")) for one in found]
    assert told == [(None, None), (2, 400), (4, 422), (5, 413), (None, None)]
    assert found[2]["errors"] == [{"pointer": "/candidates", "problem": found[2]["errors"][0]["problem"]}]


def test_what_cannot_be_computed_is_a_problem_with_safe_defaults(api, monkeypatch):
    api.write()
    monkeypatch.setattr("serving.known.Knowledge.of", lambda *_: 1 / 0)
    (found,) = answers(api.post(PATH, content=ask()))
    assert (found["status"], found["line"]) == (503, 1)
    assert found["defaults"] == [{"candidate": "upsell", "verdict": "forbid"}]


def test_a_batch_of_nothing_is_answered_by_nothing(api):
    assert answers(api.post(PATH, content=b"")) == []


def test_a_compressed_batch_is_refused(api):
    assert api.post(PATH, content=b"x", headers={"Content-Encoding": "gzip"}).status_code == 415


def test_the_key_needs_the_scope_of_decisions(make_api, tmp_path):
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{sha256: {hashlib.sha256(b'k').hexdigest()}, tenant: default, scopes: [read]}}\n")
    api = make_api(keys=keys)
    assert api.post(PATH, content=ask()).status_code == 401
    assert api.post(PATH, content=ask(), headers={"Authorization": "Bearer k"}).status_code == 403


class Talk:
    """A client that sends the next part of a body only when it is asked for it, and sees what was answered by then."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.answered_before: list[int] = []
        self.largest = 0
        self.answer = b""
        self.status = 0

    async def receive(self) -> dict[str, Any]:
        self.answered_before.append(self.answer.count(b"\n"))
        return {"type": "http.request", "body": self.parts.pop(0), "more_body": bool(self.parts)}

    async def send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.answer += message.get("body", b"")
        self.largest = max(self.largest, len(message.get("body", b"")))


def scope() -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": PATH, "headers": []}


def test_answers_come_while_the_body_is_still_being_sent_and_few_are_held_back(api):
    api.write()
    talk = Talk([(ask() + b"\n") * 50 for _ in range(10)])
    asyncio.run(api.app(scope(), talk.receive, talk.send))
    assert talk.answered_before == [50 * number for number in range(10)]
    assert talk.answer.count(b"\n") == 500
    assert talk.largest < SEND_BYTES + 4_000


def test_other_requests_have_their_turn_between_two_lines(api):
    api.write()

    async def both() -> list[int]:
        talk = Talk([(ask() + b"\n") * 200])
        batch = asyncio.create_task(api.app(scope(), talk.receive, talk.send))
        done_before = []
        for _ in range(10):
            await api._request("POST", "/v1/decisions", content=ask())
            done_before.append(batch.done())
        await batch
        return done_before

    assert not any(asyncio.run(both()))


def test_two_batches_take_turns(api):
    api.write()

    async def both() -> tuple[int, int]:
        talks = [Talk([(ask() + b"\n") * 20] * 10) for _ in range(2)]
        tasks = [asyncio.create_task(api.app(scope(), talk.receive, talk.send)) for talk in talks]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        seen = talks[0].answer.count(b"\n"), talks[1].answer.count(b"\n")
        await asyncio.gather(*tasks)
        return seen

    first, second = asyncio.run(both())
    assert abs(first - second) <= 20


def test_while_the_decision_log_is_crowded_a_batch_waits_and_everything_is_logged(api):
    api.write()
    log = api.services.decisions
    log._max_waiting = 20
    blocker = apsw.Connection(str(api.services.directory.decisions_path))
    blocker.execute("BEGIN IMMEDIATE")
    talk = Talk([ask() + b"\n"] * 100)

    async def run() -> int:
        batch = asyncio.create_task(api.app(scope(), talk.receive, talk.send))
        await asyncio.sleep(0.3)
        waiting = talk.answer.count(b"\n")
        single = await api._request("POST", "/v1/decisions", content=ask())
        assert single.json()["logged"]
        blocker.execute("ROLLBACK")
        await batch
        return waiting

    assert asyncio.run(run()) < 100
    blocker.close()
    found = [json.loads(line) for line in talk.answer.splitlines()]
    assert [one["logged"] for one in found] == [True] * 100
    assert log.dropped == 0


def test_a_body_that_stops_coming_ends_with_a_problem(api):
    api.write()

    async def run() -> bytes:
        talk = Talk([ask() + b"\n", b""])

        async def receive() -> dict[str, Any]:
            if len(talk.parts) == 1:
                await asyncio.Event().wait()
            return await talk.receive()

        batch = DecisionBatch(api.app._hot["POST", "/v1/decisions"], seconds=0.05)
        await batch(scope(), receive, talk.send, api.app._keys.identify(None))
        return talk.answer

    answer, problem = map(json.loads, asyncio.run(run()).splitlines())
    assert answer["logged"]
    assert (problem["status"], problem["line"]) == (408, 2)
