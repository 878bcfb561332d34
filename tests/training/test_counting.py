"""The odds of the belief are what sequences show, and the file that holds them is what was counted."""

from __future__ import annotations

import numpy as np
import pytest

from membrane.signals import CheckedSignal, typed
from membrane.stages import CRISIS, RECOVERING, STEADY, STRAINED
from membrane.times import DAY, HOUR
from tests.strategies import START, signal
from training.counting import ARRIVING, Counts, Stretch
from training.make_belief import counted, written


def checked(number: int, kind: str, t: int, **data: object) -> CheckedSignal:
    one = signal(number, kind, t, data)
    return CheckedSignal(one, typed(one))


def test_days_arrivals_and_moves_are_counted_where_they_happen() -> None:
    """Steady for ten days with two messages; a case tips it into crisis, and its solution into recovery."""
    crisis, end = START + 10 * DAY, START + 12 * DAY
    counts = Counts()
    counts.add(
        [
            checked(1, "message.received", START, channel="chat", sentiment=0.1),
            checked(2, "message.received", START + 5 * DAY, channel="chat", sentiment=0.1),
            checked(3, "case.opened", crisis, case="a", category="net", severity=1),
            checked(4, "message.received", crisis + HOUR, channel="chat", sentiment=-0.9),
            checked(5, "case.resolved", end, case="a", resolution_code="fixed"),
        ],
        [
            Stretch(START, crisis, STEADY),
            Stretch(crisis, end, CRISIS),
            Stretch(end, end + DAY, RECOVERING),
        ],
    )
    assert counts.first.tolist() == [0, 0, 0, 0, 0, 1]
    assert counts.days[0, STEADY] == pytest.approx(10)
    assert counts.days[2, CRISIS] == pytest.approx(2)
    assert counts.comes["message"][0, STEADY] == 2
    assert counts.comes["message"][2, CRISIS] == 1
    assert counts.says["message:0"][CRISIS] == 1
    assert counts.moves["case"][0, STEADY, CRISIS] == 1
    assert counts.moves["resolved"][2, CRISIS, RECOVERING] == 1
    assert counts.says_moved["case:1"][CRISIS] == counts.says_moved["resolved:fixed"][RECOVERING] == 1
    assert "case" not in counts.comes


def test_a_silent_move_is_counted_in_the_wait_that_holds_it() -> None:
    counts = Counts()
    counts.add(
        [checked(n, "order.placed", START + n * 10 * DAY, amount=1) for n in range(3)],
        [Stretch(START, START + 15 * DAY, STEADY), Stretch(START + 15 * DAY, START + 30 * DAY, STRAINED)],
    )
    assert counts.moves[""][0, STEADY, STRAINED] == 1
    assert (counts.days[0, STEADY], counts.days[0, STRAINED]) == pytest.approx((15, 5))


def test_simulated_customers_give_odds_that_can_be_written_and_read() -> None:
    found = counted(30, 60, 5)
    assert found.first.sum() == pytest.approx(1)
    assert set(found.comes) == set(ARRIVING)
    for passes in found.passes:
        assert (np.diag(passes) <= 0).all()
        assert (passes - np.diag(np.diag(passes)) >= 0).all()
    read: dict[str, object] = {}
    head = "from typing import Final\nStages = Matrix = tuple\n"
    exec(written(found, head), read)
    assert np.array(read["PASSES"]) == pytest.approx(found.passes, rel=1e-3)
    assert {name: tuple(values) for name, values in read["SAYS"].items()}.keys() == found.says.keys()  # type: ignore[attr-defined]


def test_few_customers_with_use_alone_are_enough() -> None:
    counts = Counts()
    for customer in range(3):
        counts.add(
            [
                checked(n, "usage.measured", START + n * DAY, metric="m", value=10.0**customer * (1 + n % 2))
                for n in range(20)
            ],
            [Stretch(START, START + 40 * DAY, STEADY)],
        )
    assert len(counts.use) == 60
