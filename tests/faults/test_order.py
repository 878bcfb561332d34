"""Faults 14 and 15: signals shuffled, five times over, late by years, ahead of the clock and out of this world."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from membrane.times import DAY, HOUR, MINUTE, format_time, parse_time
from tests.faults.conftest import Tell
from tests.processes import BATCH, event, up
from tests.strategies import START

SEED = 20261123
END = START + 60 * DAY
CUSTOMERS = [f"c-{number}" for number in range(8)]


def story(random: Random, number: int) -> dict[str, Any]:
    """A random signal of a random customer, most of them within 60 days, some of them years ago."""
    back = random.choice([0, 0, 0, 0, 3 * 365 * DAY])
    at = format_time(START - back + random.randrange(60 * DAY))
    customer, case = random.choice(CUSTOMERS), f"k-{random.randrange(4)}"
    kind, data = random.choice(
        [
            ("message.received", {"channel": "email", "sentiment": random.randrange(-100, 101) / 100}),
            ("case.opened", {"case": case, "category": "net", "product": "T1", "severity": random.randrange(2, 5)}),
            ("case.resolved", {"case": case}),
            ("case.reopened", {"case": case}),
            ("usage.measured", {"metric": "m", "value": random.randrange(100)}),
            ("order.placed", {"amount": random.randrange(500), "currency": "EUR"}),
            ("payment.failed", {}),
            ("contact.made", {"domain": "marketing", "kind": "upsell", "channel": "sms", "contact": f"x-{number % 9}"}),
            ("contact.answered", {"contact": f"x-{number % 9}", "outcome": "opened"}),
            ("survey.answered", {"instrument": "nps", "score": random.randrange(11)}),
        ]
    )
    return event(number, kind, customer, at, **data)


def send_all(client: httpx.Client, events: list[dict[str, Any]], batch: int) -> dict[str, int]:
    counts = {"accepted": 0, "duplicates": 0, "dead_lettered": 0, "rejected": 0}
    for start in range(0, len(events), batch):
        answer = client.post("/v1/signals", content=json.dumps(events[start : start + batch]), headers=BATCH)
        assert answer.status_code == 202
        told = answer.json()
        for name in counts:
            counts[name] += len(told[name]) if name == "rejected" else told[name]
    assert sum(counts.values()) == len(events)
    return counts


@pytest.mark.parametrize(("signals", "orders"), [(400, 2), pytest.param(5_000, 6, marks=pytest.mark.faults)])
def test_shuffled_and_duplicated_signals_give_the_same_features(
    tmp_path: Path, tell: Tell, signals: int, orders: int
) -> None:
    random = Random(SEED)
    events = [story(random, number) for number in range(signals)]
    # Features are as of a customer's clock: one last signal that changes none puts every clock on the same moment.
    last = [event(f"end-{name}", "journey.moved", name, format_time(END), journey="j", step="s", status="x")
            for name in CUSTOMERS]  # fmt: skip
    seen = []
    for order in range(orders):
        sent = list(events) if order == 0 else events * 5
        if order:
            random.shuffle(sent)
        with up(tmp_path / f"data-{order}", "--runner", "plain", "--clock", "signals") as service:
            with service.client() as client:
                counts = send_all(client, sent, random.randrange(20, 300))
                assert counts["accepted"] == signals
                assert counts["duplicates"] == len(sent) - signals
                send_all(client, last, 50)
                service.wait_applied()
                found = [client.get(f"/v1/customers/{name}").json() for name in CUSTOMERS]
            assert service.stop() == 0
        seen.append({one["customer"]: (one["clock"], one["features"]) for one in found})
    for other in seen[1:]:
        assert other == seen[0]
    tell(
        f"faults 14, 15: seed {SEED}: {signals} signals in {orders} orders, shuffled, five times over, late by years: "
        f"features of {len(CUSTOMERS)} customers equal"
    )


@pytest.mark.parametrize("clock", ["wall", "signals"])
def test_times_out_of_this_world_freeze_no_customer(tmp_path: Path, tell: Tell, clock: str) -> None:
    now = time.time_ns() // 1_000_000
    ahead = [10 * MINUTE, HOUR, DAY, 365 * DAY, 10 * 365 * DAY]
    with up(tmp_path / "data", "--runner", "plain", "--clock", clock) as service, service.client() as client:
        good = [format_time(now - back) for back in (20 * 365 * DAY, 3 * 365 * DAY, DAY)] + [format_time(now + MINUTE)]
        late = [format_time(now + ms) for ms in ahead] + ["9999-12-31T23:59:59Z"]
        senseless = [
            "1970-01-01T00:00:00Z", "1989-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z",
            "10000-01-01T00:00:00Z", "2026-11-23", "now", "", "1763890000", "2026-11-23T10:00:00",
        ]  # fmt: skip
        for name, times, expected in (
            ("good", good, {"accepted": len(good)}),
            ("late", late, {"dead_lettered": len(late)}),
            ("senseless", senseless, {"rejected": len(senseless)}),
        ):
            events = [
                event(f"{name}-{number}", "message.received", f"{name}-{number}", text, channel="email")
                for number, text in enumerate(times)
            ]
            assert {key: n for key, n in send_all(client, events, 100).items() if n} == expected
        service.wait_applied()
        assert [client.get(f"/v1/customers/late-{n}").status_code for n in range(len(late))] == [404] * len(late)
        # Everybody's next signal still counts: nobody's clock ran away.
        touched = [f"good-{n}" for n in range(len(good))] + [f"late-{n}" for n in range(len(late))]
        after = [event(f"next-{name}", "order.placed", name, format_time(now), amount=1) for name in touched]
        assert send_all(client, after, 100)["accepted"] == len(touched)
        service.wait_applied()
        found = [client.get(f"/v1/customers/{name}").json() for name in touched]
        frozen = [one["customer"] for one in found if one["features"]["order_value_30d"] != 1]
        assert frozen == []
        assert all(parse_time(one["clock"]) <= now + 2 * MINUTE for one in found)
    tell(
        f"fault 15: --clock {clock}: {len(late)} times ahead set aside, {len(senseless)} senseless refused, "
        f"{len(good)} late or near accepted, frozen customers 0 of {len(touched)}"
    )
