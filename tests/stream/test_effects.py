"""What the world is told, with ids that a replay makes again."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from msgspec import structs

from membrane.engine import Happening, Rules
from membrane.ids import episode_id, stable_id
from membrane.record import MET, OBLIGATION_STATES
from stream.effects import to_effect, to_row
from tests.fakes import default_pack
from tests.membrane.customer import Customer
from tests.strategies import START


@pytest.fixture
def crisis() -> tuple[Customer, list[Happening]]:
    customer = Customer(Rules(default_pack()))
    return customer, customer.tell("case.opened", START, case="A", category="net", severity=1)


def test_a_stage_change_is_named_by_its_place_in_the_log(crisis: tuple[Customer, list[Happening]]) -> None:
    customer, happened = crisis
    effect = to_effect(3, 41, 0, customer.record, happened[0])
    who = stable_id("default", customer.record.customer)
    assert (effect.id, effect.kind, effect.offset, effect.time_ms) == (f"3-41-{who}-0", "stage", 41, START)
    assert msgspec.json.decode(effect.body) == {
        "customer": "c-1",
        "from": "steady",
        "to": "crisis",
        "at": "2026-05-28T20:26:40Z",
        "cause": {"source": "tests", "id": "1", "type": "cx.case.opened.v1"},
    }


def test_an_obligation_is_named_by_itself_and_its_state(crisis: tuple[Customer, list[Happening]]) -> None:
    customer, happened = crisis
    (owed,) = customer.record.obligations
    opened = to_effect(3, 41, 1, customer.record, happened[1])
    assert (opened.id, opened.kind) == (f"{owed.obligation}-open", "obligation")
    assert msgspec.json.decode(opened.body) == {
        "obligation": owed.obligation,
        "principle": "promise-a-time",
        "kind": "promised_time",
        "owner": "service",
        "customer": "c-1",
        "episode": episode_id("default", "c-1", START),
        "opened_at": "2026-05-28T20:26:40Z",
        "due": "2026-05-29T00:26:40Z",
        "state": "open",
        "about": "A",
        "problem_since": None,
        "closed_at": None,
        "escalate_to": None,
        "approval": None,
        "closed_by": None,
        "reason": None,
    }
    closed = structs.replace(owed, state=MET, closed_at=START + 1000)
    met = to_effect(3, 50, 0, customer.record, dataclasses.replace(happened[1], what=closed))
    assert met.id == f"{owed.obligation}-met"
    assert msgspec.json.decode(met.body)["closed_at"] == "2026-05-28T20:26:41Z"


def test_what_happened_before_going_live_says_so(crisis: tuple[Customer, list[Happening]]) -> None:
    customer, happened = crisis
    for one in happened:
        body = msgspec.json.decode(to_effect(0, 0, 0, customer.record, dataclasses.replace(one, backfill=True)).body)
        assert body["backfill"] is True


def test_the_row_of_an_obligation_is_its_latest_state(crisis: tuple[Customer, list[Happening]]) -> None:
    customer, happened = crisis
    (owed,) = customer.record.obligations
    *row, body = to_row(customer.record, owed, happened[1])
    assert row == [owed.obligation, "default", "c-1", OBLIGATION_STATES[owed.state], "service", owed.due]
    assert msgspec.json.decode(body)["state"] == "open"
