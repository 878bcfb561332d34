"""The belief: it is the forward algorithm, whatever comes it stays a probability, and it says what a reader would."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from membrane import belief_odds as odds
from membrane.belief import LATE, LONGEST, Heard, _exponential, believed, context, follow, word
from membrane.record import Belief, Case
from membrane.signals import SCORE_RANGES, StoredSignal, typed
from membrane.stages import AT_RISK, CRISIS, RECOVERING, THRIVING
from membrane.times import DAY, HOUR, MINUTE
from tests.strategies import START, signal, signals


@dataclass
class Listener:
    """Follows signals that are told in short; `severities` of the cases that are open with each."""

    belief: Belief = field(default_factory=Belief)

    def hear(self, kind: str, t: int, severities: Sequence[int] = (), **data: Any) -> list[float]:
        one = signal(0, kind, t, data)
        cases = [Case("a", t, t, severity=grade) for grade in severities]
        follow([Heard(self.belief, one.type, typed(one), t, cases)])
        return believed(self.belief)

    def says(self, t: int, tone: float, severities: Sequence[int] = ()) -> list[float]:
        return self.hear("message.received", t, severities, channel="chat", sentiment=tone)


def naive(heard: Sequence[tuple[int, str]]) -> list[float]:
    """The forward algorithm over the stages alone, of words at minutes, with nothing open."""
    p, last = np.array(odds.FIRST), heard[0][0]
    for minute, said in heard:
        binned = 2 ** (round(8 * math.log2(minute - last + 1)) / 8) - 1
        p = expm(np.array(odds.PASSES[0]) * binned * MINUTE / DAY) @ p
        p = p / p.sum() + 1e-6
        p = p * np.array(odds.SAYS.get(said, odds.SILENT)) * np.array(odds.COMES[said.partition(":")[0]][0])
        p, last = p / p.sum(), minute
    return list(p)


@given(st.lists(st.tuples(st.integers(60, 20 * 24 * 60), st.sampled_from([-0.3, 0.0, 0.4])), min_size=1, max_size=4))
def test_it_is_the_forward_algorithm_of_the_odds(told: list[tuple[int, float]]) -> None:
    """With time in bins of an eighth of a doubling, and up to the stored numbers (16 bits)."""
    one, heard, minute = Listener(), [], 0
    for wait, tone in told:
        minute += wait
        heard.append((minute, f"message:{int((tone + 1) * 8)}"))
        found = one.says(START + minute * MINUTE, tone)
        assert found == pytest.approx(naive(heard), abs=0.1)


def test_at_one_moment_it_is_bayes_rule() -> None:
    found = Listener().says(START, -0.9)
    first, likely = np.array(odds.FIRST), np.array(odds.SAYS["message:0"]) * np.array(odds.COMES["message"][0])
    assert found == pytest.approx(list(first * likely / (first * likely).sum()), abs=1e-4)


@given(signals(max_size=30))
def test_whatever_comes_it_is_a_probability(stream: list[StoredSignal]) -> None:
    belief = Belief()
    for one in stream:
        follow([Heard(belief, one.type, typed(one), one.time, [])])
        assert sum(believed(belief)) == pytest.approx(1, abs=1e-4)
        assert min(believed(belief)) >= 0
        assert len(belief.weights) in {0, 288}


@given(st.lists(signals(max_size=12), min_size=1, max_size=6))
def test_many_customers_at_once_are_each_as_if_alone(streams: list[list[StoredSignal]]) -> None:
    assert_alike_alone_and_together(streams)


@pytest.mark.parametrize("customers", [2, 3, 17, 400])
def test_what_a_customer_is_told_beside_hundreds_of_others_changes_no_bit(customers: int) -> None:
    """A replay has other blocks than the first run had."""
    rng = random.Random(customers)
    assert_alike_alone_and_together(
        [
            [
                signal(0, "usage.measured", START + rng.randrange(30 * DAY), {"metric": "m", "value": rng.random()})
                if rng.random() < 0.7
                else signal(0, "message.received", START + rng.randrange(30 * DAY), {"channel": "chat"})
                for _ in range(8)
            ]
            for _ in range(customers)
        ]
    )


def assert_alike_alone_and_together(streams: Sequence[Sequence[StoredSignal]]) -> None:
    alone, together = [Belief() for _ in streams], [Belief() for _ in streams]
    for turn in range(max(map(len, streams))):
        told = [(number, stream[turn]) for number, stream in enumerate(streams) if turn < len(stream)]
        for number, one in told:
            follow([Heard(alone[number], one.type, typed(one), one.time, [])])
        follow(Heard(together[number], one.type, typed(one), one.time, []) for number, one in told)
    assert together == alone


def test_centuries_of_silence_and_values_out_of_this_world_break_nothing() -> None:
    for severities in ((), (4,), (1,)):
        one = Listener()
        one.hear("case.opened", START, severities, case="a", category="net", severity=1)
        one.hear("account.opened", START)
        one.says(START + 300 * 365 * DAY, -1.0, severities)
        for value in (0.0, 1e9, -1e9, 1e-4):
            found = one.hear("usage.measured", START + 300 * 365 * DAY, metric="m", value=value)
            assert sum(found) == pytest.approx(1, abs=1e-5)


def test_what_comes_more_than_a_day_late_leaves_it_alone_and_of_the_unknown_only_the_time_counts() -> None:
    one, other = Listener(), Listener()
    before = one.says(START, 0.8)
    assert one.says(START - LATE - 1, -1.0) == before
    assert one.hear("profile.updated", START) == pytest.approx(before, abs=1e-4)
    other.says(START, 0.8)
    later = START + 9 * DAY
    told = other.hear("journey.moved", later, journey="j", step="s", status="done")
    assert one.hear("profile.updated", later) == pytest.approx(told, abs=1e-4)
    assert one.says(START - LATE, -1.0) != before


def test_angry_words_speak_for_crisis_kind_ones_for_thriving_and_silence_for_neither() -> None:
    angry, kind = Listener(), Listener()
    for hour in range(4):
        angry.says(START + hour * HOUR, -0.9, (1,))
        kind.says(START + hour * 20 * HOUR, 0.8)
    assert max(range(6), key=believed(angry.belief).__getitem__) == CRISIS
    assert max(range(6), key=believed(kind.belief).__getitem__) == THRIVING
    later = angry.hear("order.placed", START + 90 * DAY, amount=5)
    assert later[CRISIS] < 0.05


def test_many_messages_of_one_conversation_say_no_more_than_its_first() -> None:
    one, many, slow = Listener(), Listener(), Listener()
    one.says(START, -0.9)
    for n in range(30):
        many.says(START + n * MINUTE, -0.9)
        slow.says(START + n * 2 * HOUR, -0.9)
    assert believed(many.belief) == pytest.approx(believed(one.belief), abs=0.02)
    assert believed(slow.belief)[CRISIS] > believed(one.belief)[CRISIS] + 0.05


def test_the_fix_of_a_crisis_is_the_beginning_of_a_recovery() -> None:
    one = Listener()
    one.hear("case.opened", START, (1,), case="a", category="net", severity=1)
    for hour in range(1, 5):
        one.says(START + hour * HOUR, -0.8, (1,))
    solved = one.hear("case.resolved", START + 30 * HOUR, case="a", resolution_code="fixed")
    assert solved[RECOVERING] > 0.8


def test_use_counts_beside_the_customers_own_level() -> None:
    """Half of what is usual is bad, whatever is usual; of another metric nothing is known."""
    for usual in (1.0, 500.0):
        same, less, other = Listener(), Listener(), Listener()
        for day in range(20):
            for one in (same, less, other):
                one.hear("usage.measured", START + day * DAY, metric="m", value=usual)
        for day in range(20, 26):
            same.hear("usage.measured", START + day * DAY, metric="m", value=usual)
            less.hear("usage.measured", START + day * DAY, metric="m", value=usual / 3)
            other.hear("usage.measured", START + day * DAY, metric="n", value=usual / 3)
        assert believed(less.belief)[AT_RISK] > 0.8
        assert believed(same.belief)[AT_RISK] < 0.2
        assert believed(other.belief)[AT_RISK] < 0.2


def test_the_context_is_the_gravest_open_case() -> None:
    def case(severity: int, resolved_at: int = 0) -> Case:
        return Case("a", START, START, severity=severity, resolved_at=resolved_at)

    assert [context([case(grade)]) for grade in (1, 2, 3, 4)] == [2, 2, 1, 1]
    assert context([case(1, START)]) == context([]) == 0
    assert context([case(4), case(1)]) == 2


@given(st.sampled_from([0, 1, 2]), st.floats(0, LONGEST * MINUTE / DAY))
def test_the_exponential_is_that_of_scipy(open_cases: int, days: float) -> None:
    matrix = np.array(odds.PASSES[open_cases]) * days
    assert _exponential(matrix) == pytest.approx(expm(matrix), rel=1e-6, abs=1e-9)


def test_nothing_is_lost_between_the_stages() -> None:
    """Who leaves a stage goes to another in silence, with a signal, or stays with one that comes."""
    for open_cases in range(3):
        gone = np.array(odds.PASSES[open_cases]).sum(axis=0)
        come = sum(np.array(rates[open_cases]) for rates in odds.COMES.values())
        moved = sum(np.array(moves[open_cases]).sum(axis=0) for moves in odds.MOVES.values())
        assert gone + come + moved == pytest.approx(np.zeros(6), abs=2e-3 * float(come.max()))


@pytest.mark.parametrize("name", sorted({said for said in odds.SAYS if ":" in said}))
def test_each_word_of_the_odds_can_be_heard(name: str) -> None:
    kind, _, value = name.partition(":")
    data: dict[str, dict[str, Any]] = {
        "message": {"channel": "chat", "sentiment": int(value) / 8 - 1 if kind == "message" else 0},
        "interaction": {"interaction": "i", "channel": "phone", "handled_by": "human", "resolved": value == "solved"},
        "self_service": {
            "interaction": "i",
            "channel": "app",
            "handled_by": "self_service",
            "resolved": value == "solved",
        },
        "case": {"case": "a", "category": "b", "severity": int(value) if kind == "case" else 1},
        "resolved": {"case": "a", "resolution_code": value},
        "answer": {"contact": "a", "outcome": value},
        **{one: {"survey": "a", "instrument": one, "score": _score(one, value)} for one in ("nps", "csat", "ces")},
    }
    assert word(f"cx.{_KINDS[kind]}.v1", typed(signal(0, _KINDS[kind], START, data[kind]))) == name


_KINDS = {
    "message": "message.received", "interaction": "interaction.ended", "self_service": "interaction.ended",
    "case": "case.opened", "resolved": "case.resolved", "answer": "contact.answered",
    "nps": "survey.answered", "csat": "survey.answered", "ces": "survey.answered",
}  # fmt: skip


def _score(instrument: str, value: str) -> int:
    """The least score of a fifth of the scale."""
    low, high = SCORE_RANGES[instrument]
    return low + math.ceil(int(value) * (high - low) / 5) if value.isdigit() else low
