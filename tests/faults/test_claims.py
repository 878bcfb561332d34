"""Faults 30 and 33: claims on contact caps over two API processes; permits revoked once, whatever is killed."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from membrane.times import format_time
from storage.claims import ClaimStore
from storage.directory import DataDir
from tests.faults.conftest import Tell
from tests.faults.sizes import short_and_full
from tests.processes import BATCH, Service, event, run, serve, stream, up, wait_until

SEED = 20261123
ASKERS = 50
SLOTS = {"email": 1, "app": 2, "web": 3, "chat": 5}
PRINCIPLES = "pack: slots\nrevision: 2036-01-01.1\ncaps:\n" + "".join(
    f"  - {{id: {channel}, domains: [marketing], channels: [{channel}], at_most: {slots}, per: 24h}}\n"
    for channel, slots in SLOTS.items()
)


class Asker:
    """A client with one connection of its own."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)

    def reserve(self, customer: str, channel: str, key: str | None = None) -> bytes:
        """The answer to a reserving request."""
        candidate = {"id": "news", "domain": "marketing", "kind": "newsletter", "channel": channel}
        body = json.dumps({"customer": customer, "candidates": [candidate], "reserve": True})
        headers = {} if key is None else {"Idempotency-Key": key}
        self._connection.request("POST", "/v1/decisions", body, headers)
        answer = self._connection.getresponse()
        found = answer.read()
        assert answer.status == 200, found
        return found

    def close(self) -> None:
        self._connection.close()


def meet(service: Service, count: int) -> None:
    """Makes customers c-0, c-1 and so on known."""
    now = format_time(int(time.time() * 1000) - 60_000)
    with service.client() as client:
        for first in range(0, count, 500):
            events = [event(f"o-{n}", "order.placed", f"c-{n}", now) for n in range(first, min(count, first + 500))]
            assert client.post("/v1/signals", headers=BATCH, content=json.dumps(events)).status_code == 202
    service.wait_applied()


def put(service: Service, principles: str) -> None:
    with service.client() as client:
        answer = client.put("/v1/principles", content=principles)
    assert answer.status_code == 200, answer.text
    service.wait_applied()


@pytest.mark.parametrize("rounds", short_and_full(20, 1_000))
def test_of_fifty_who_ask_two_processes_at_once_just_as_many_get_a_slot_as_there_are(
    tmp_path: Path, tell: Tell, rounds: int
) -> None:
    data, wrong, late = tmp_path / "data", 0, 0
    with up(data) as first, serve(data) as second, ExitStack() as stack:
        put(first, PRINCIPLES)
        meet(first, rounds)
        time.sleep(0.2)  # what is kept for 100 ms
        askers = [stack.enter_context(closing(Asker((second, first)[number % 2]))) for number in range(ASKERS)]
        barrier = threading.Barrier(ASKERS)

        def ask(asker: Asker, customer: str, channel: str) -> Any:
            barrier.wait()
            return json.loads(asker.reserve(customer, channel))

        with ThreadPoolExecutor(ASKERS) as pool:
            for number in range(rounds):
                channel = list(SLOTS)[number % len(SLOTS)]
                asked = [pool.submit(ask, asker, f"c-{number}", channel) for asker in askers]
                answers = [one.result() for one in asked]
                verdicts = [one["verdicts"][0] for one in answers]
                granted = {verdict["permit"] for verdict in verdicts} - {None}
                refused = [one for one in answers if one["verdicts"][0]["permit"] is None]
                late += sum(bool(one["state"]["degraded"]) for one in refused)
                assert {one["verdicts"][0]["verdict"] for one in refused if not one["state"]["degraded"]} <= {"defer"}
                wrong += len(granted) != SLOTS[channel] or len(refused) != ASKERS - SLOTS[channel]
    tell(
        f"fault 33: {rounds:,} rounds of {ASKERS} askers over two API processes: wrong numbers of slots given {wrong};"
        f" {late:,} of {rounds * ASKERS:,} answers came after the deadline and gave none"
    )
    assert wrong == 0


@pytest.mark.parametrize("lines", short_and_full(300, 3_000))
def test_two_batches_that_reserve_at_once_over_two_processes_get_one_permit_a_customer_and_no_excuse(
    tmp_path: Path, tell: Tell, lines: int
) -> None:
    data, requests = tmp_path / "data", tmp_path / "requests.ndjson"
    candidate = {"id": "news", "domain": "marketing", "kind": "newsletter", "channel": "email"}
    with requests.open("w") as file:
        for number in range(lines):
            file.write(json.dumps({"customer": f"c-{number}", "candidates": [candidate], "reserve": True}) + "\n")
    with up(data) as first, serve(data) as second, ThreadPoolExecutor(2) as pool:
        meet(first, lines)
        time.sleep(0.2)
        asked = [("decide", "--batch", requests, "--out", tmp_path / f"{one.port}", "--url", one.url)
                 for one in (first, second)]  # fmt: skip
        done = list(pool.map(lambda words: run(*words, seconds=300), asked))
        assert [one.returncode for one in done] == [0, 0]
        answers = [
            json.loads(line) for one in (first, second) for line in (tmp_path / f"{one.port}").read_text().splitlines()
        ]
    degraded = Counter(cause for one in answers for cause in one["state"]["degraded"])
    permits = Counter(one["customer"] for one in answers if one["verdicts"][0]["permit"] is not None)
    wrong = sum(permits[f"c-{number}"] != 1 for number in range(lines))
    tell(
        f"two batches of {lines:,} reserving lines at once over two API processes: customers without just one permit"
        f" {wrong}; lines refused for the lock {degraded['claims_unreadable']}, for time {degraded['deadline']}"
    )
    assert (len(answers), wrong, degraded["claims_unreadable"]) == (2 * lines, 0, 0)


@pytest.mark.parametrize("rounds", short_and_full(5, 200))
def test_twenty_equal_requests_with_one_key_make_one_claim_also_after_a_kill(
    tmp_path: Path, tell: Tell, rounds: int
) -> None:
    data, doubled = tmp_path / "data", 0
    with up(data) as first:
        meet(first, rounds)
        time.sleep(0.2)
        with serve(data) as second, ThreadPoolExecutor(20) as pool, ExitStack() as stack:
            askers = [stack.enter_context(closing(Asker((second, first)[number % 2]))) for number in range(20)]
            answers = []
            for number in range(rounds):
                asked = [pool.submit(one.reserve, f"c-{number}", "email", f"k-{number}") for one in askers]
                found = {one.result() for one in asked}
                doubled += len(found) != 1
                answers.append(found.pop())
            second.kill()
        with serve(data) as third, closing(Asker(third)) as asker:
            again = [asker.reserve(f"c-{number}", "email", f"k-{number}") for number in range(rounds)]
    doubled += sum(one != other for one, other in zip(answers, again, strict=True))
    with closing(ClaimStore(DataDir.existing(data).claims_path)) as store:
        claims = [len(store.claims("default", f"c-{number}", int(time.time() * 1000))) for number in range(rounds)]
    tell(f"fault 30: {rounds} keys, 20 equal requests at once each, and again after SIGKILL: doubled effects {doubled}")
    assert (doubled, claims) == (0, [1] * rounds)


@pytest.mark.parametrize("kills", short_and_full(2, 20))
def test_a_permit_is_revoked_once_and_never_missed_over_kills(tmp_path: Path, tell: Tell, kills: int) -> None:
    data, random, customers = tmp_path / "data", Random(SEED), 20 * kills
    permits: dict[str, str] = {}
    with stream(data, "--runner", "plain") as worker, serve(data) as other:
        meet(Service(worker.process, data, other.port, worker.errors_path), customers)
        time.sleep(0.2)
        with closing(Asker(other)) as asker:
            for number in range(customers):
                answer = json.loads(asker.reserve(f"c-{number}", "email"))
                permits[f"c-{number}"] = answer["verdicts"][0]["permit"]
        other.kill()
        ill = random.sample(sorted(permits), customers // 2)
        for number in range(kills):
            with serve(data) as api, api.client() as client:
                now = format_time(int(time.time() * 1000))
                some = ill[number * 10 : (number + 1) * 10]
                case = {"case": f"k-{number}", "category": "rain", "severity": 1}
                events = [event(f"{one}-ill", "case.opened", one, now, **case) for one in some]
                assert client.post("/v1/signals", headers=BATCH, content=json.dumps(events)).status_code == 202
                time.sleep(random.uniform(0, 0.5))
                api.kill()
        with serve(data), closing(ClaimStore(DataDir.existing(data).claims_path)) as store:

            def revoked() -> Counter[str]:
                return Counter(json.loads(body)["permit"] for _, body in store.revocations("default", 0, 10_000))

            wait_until(lambda: len(revoked()) >= len(ill), "the revocations", 30)
            time.sleep(1)  # whatever else might still be revoked
            found = revoked()
    expected = {permits[one] for one in ill}
    missed, twice = len(expected - set(found)), sum(count > 1 for count in found.values())
    tell(f"permits over {kills} SIGKILLs of the API: {len(ill)} to revoke, missed {missed}, revoked twice {twice}")
    assert (missed, twice, set(found)) == (0, 0, expected)


@pytest.mark.parametrize("rounds", short_and_full(20, 1_000))
def test_an_opt_out_counts_on_the_very_next_decision_of_another_process(
    tmp_path: Path, tell: Tell, rounds: int
) -> None:
    data, late = tmp_path / "data", 0
    with up(data) as first, serve(data) as second, first.client() as tells, closing(Asker(second)) as asks:
        meet(first, rounds)
        for number in range(rounds):
            customer, now = f"c-{number}", format_time(int(time.time() * 1000))
            denied = event(
                f"no-{number}", "consent.changed", customer, now, channel="web", domain="marketing", granted=False
            )
            assert tells.post("/v1/signals", headers=BATCH, content=json.dumps([denied])).status_code == 202
            (verdict,) = json.loads(asks.reserve(customer, "web"))["verdicts"]
            late += verdict["verdict"] != "forbid" or verdict["reasons"][0]["id"] != "opted-out"
    tell(f"opt-outs accepted by one API process, asked of another at once: {rounds:,}, not heeded {late}")
    assert late == 0
