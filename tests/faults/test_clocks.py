"""Fault 16: clock changes, a leap second, and wall clocks that jump."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from membrane.times import DAY, HOUR, MINUTE, SECOND, format_time, parse_time
from serving.app import create_app
from serving.config import ServeConfig
from serving.services import Services
from tests.faults.conftest import Tell
from tests.processes import BATCH, SINGLE, event, up

NIGHT = [{"id": "a", "domain": "marketing", "kind": "newsletter", "channel": "sms"}]
# Just before the clocks change, at night: when it is 09:00 in the customer's zone.
NIGHTS = [
    ("Europe/Madrid", "2026-03-28T22:30:00Z", "2026-03-29T07:00:00Z"),  # the night of 23 hours
    ("Europe/Madrid", "2026-10-24T21:30:00Z", "2026-10-25T08:00:00Z"),  # the night of 25 hours
    ("America/New_York", "2026-03-08T03:00:00Z", "2026-03-08T13:00:00Z"),
    ("America/New_York", "2025-11-02T03:00:00Z", "2025-11-02T14:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-04T22:30:00Z"),  # half an hour
]


def test_quiet_hours_end_at_nine_local_time_over_every_clock_change(tmp_path: Path, tell: Tell) -> None:
    with up(tmp_path / "data", "--runner", "plain", "--clock", "signals") as service, service.client() as client:
        for number, (zone, at, until) in enumerate(sorted(NIGHTS, key=lambda night: night[1])):
            customer = f"c-{number}"
            opened = event(f"a-{number}", "account.opened", customer, at, timezone=zone)
            client.post("/v1/signals", json=opened, headers=SINGLE).raise_for_status()
            service.wait_applied()
            answer = client.post("/v1/decisions", json={"customer": customer, "candidates": NIGHT}).json()
            verdict = answer["verdicts"][0]
            assert answer["at"] == at
            assert (verdict["verdict"], verdict["until"]) == ("defer", until), zone
            local = datetime.fromtimestamp(parse_time(until) / 1000, ZoneInfo(zone))
            assert (local.hour, local.minute) == (9, 0)
    tell(f"fault 16: quiet hours over {len(NIGHTS)} clock changes in 3 zones: wrong ends 0")


def test_a_leap_second_is_one_moment_and_no_duration_goes_wrong(tmp_path: Path, tell: Tell) -> None:
    times = ["2016-12-31T23:59:59.5Z", "2016-12-31T23:59:60Z", "2016-12-31T23:59:60.7Z", "2017-01-01T00:00:00Z"]
    with up(tmp_path / "data", "--runner", "plain", "--clock", "signals") as service, service.client() as client:
        events = [event(n, "message.received", "c", text, channel="email") for n, text in enumerate(times)]
        sent = client.post("/v1/signals", content=json.dumps(events), headers=BATCH)
        assert sent.json()["accepted"] == len(times)
        service.wait_applied()
        items = client.get("/v1/customers/c/timeline").json()["items"]
        shown = [parse_time(item["time"]) for item in reversed(items) if item["kind"] == "signal"]
        assert [later - earlier for earlier, later in pairwise(shown)] == [499, 0, 1]
    tell("fault 16: a leap second reads as the last millisecond of its minute: durations wrong 0")


class JumpingClock:
    """A wall clock that somebody sets."""

    def __init__(self, text: str) -> None:
        self.ms = parse_time(text)

    def __call__(self) -> int:
        return self.ms


class Api:
    """An API in this process, on that clock."""

    def __init__(self, data: Path, clock: JumpingClock) -> None:
        self.services = Services.open(ServeConfig(data=data, partitions=1, now_ms=clock, deadline_seconds=60))
        self._app = create_app(self.services)

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.post(path, content=json.dumps(body), headers=headers)

        return asyncio.run(ask())

    def send(self, number: int, at_ms: int) -> dict[str, Any]:
        message = event(number, "message.received", "c", format_time(at_ms), channel="email")
        answer: dict[str, Any] = self.post("/v1/signals", message, SINGLE).json()
        return answer


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock("2026-11-23T10:00:00Z")


@pytest.fixture
def api(tmp_path: Path, clock: JumpingClock) -> Iterator[Api]:
    api = Api(tmp_path / "data", clock)
    yield api
    api.services.close()


def test_a_wall_clock_that_jumps_back_writes_no_tick_of_the_past_and_keeps_knowing_duplicates(
    api: Api, clock: JumpingClock, tell: Tell
) -> None:
    log, start = api.services.log, clock.ms
    assert log.tick(clock.ms)
    assert api.send(1, start)["accepted"] == 1
    for jump in (-MINUTE, -HOUR, -3 * DAY, -365 * DAY):
        clock.ms = start + jump
        assert not log.tick(clock.ms)
        assert api.send(1, start + jump)["duplicates"] == 1
        assert log.last_tick() == start
    clock.ms = start + 11 * SECOND
    assert log.tick(clock.ms)
    tell("fault 16: the wall clock jumps back 4 times, up to a year: ticks of the past 0, duplicates let in 0")


def test_a_wall_clock_that_jumps_ahead_and_returns_freezes_no_decision(api: Api, clock: JumpingClock) -> None:
    ask = {"customer": "c", "candidates": NIGHT}
    start, answers = clock.ms, []
    for jump in (0, 400 * DAY, 0, -400 * DAY, SECOND):
        clock.ms = start + jump
        answer = api.post("/v1/decisions", ask)
        assert answer.status_code == 200
        answers.append(answer.json()["at"])
    assert answers == [format_time(start + jump) for jump in (0, 400 * DAY, 0, -400 * DAY, SECOND)]


def test_what_lies_ahead_is_judged_by_the_wall_clock_of_its_arrival(api: Api, clock: JumpingClock) -> None:
    start = clock.ms
    assert api.send(1, start + 6 * MINUTE)["dead_lettered"] == 1
    clock.ms = start + 2 * MINUTE
    assert api.send(2, start + 6 * MINUTE)["accepted"] == 1
    clock.ms = start - HOUR
    assert api.send(3, start)["dead_lettered"] == 1
