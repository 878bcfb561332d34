"""Simulated customers as the service would see them: rows, the truth, and what the tracker makes of model outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from membrane.engine import Rules, judge, listen, new_record, receive
from membrane.features import features
from membrane.fold import Folded
from membrane.record import Record
from membrane.signals import Data, StoredSignal, check
from membrane.times import DAY, HOUR, parse_time
from membrane.tracker import Score, p_crisis, probabilities
from membrane.vocabulary import STAGES
from training.labels import UNLABELLED, Labels, TruthTable
from training.rates import NO_DRIFT, Drift
from training.simulator import Truth, simulate
from training.world import Event

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

START: Final = parse_time("2026-01-01T00:00:00Z")
WARM_UP_DAYS: Final = 30
_RULES: Final = Rules(None)
_TENANT: Final = "default"


class Crisis(NamedTuple):
    """One crisis of the truth, half-open (epoch ms)."""

    customer: int
    begin: int
    end: int

    @property
    def hours(self) -> float:
        """How long it lasted."""
        return (self.end - self.begin) / HOUR


class Tracked(NamedTuple):
    """What is served at each row: the stage in force, the filtered probabilities (n, 6) and that of crisis."""

    stage: Labels
    probabilities: Floats
    p_crisis: Floats


class Log(NamedTuple):
    """The signals of one customer in time order, as sent and as checked."""

    events: list[Event]
    signals: list[tuple[StoredSignal, Data | None]]


@dataclass(frozen=True)
class Part:
    """Customers of one seed, one row for each of their signals that is news, customer by customer in time order.

    `counted` are the rows after the warm-up of which the truth is known."""

    seed: int
    days: int
    logs: list[Log]
    rows: Rows
    customers: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    truth: Labels
    counted: npt.NDArray[np.bool_]
    rules: Labels
    crises: list[Crisis]
    calm_days: float
    customer_months: float

    @property
    def n(self) -> str:
        """What a figure was taken from."""
        return (
            f"{len(self.logs):,} customers, {self.days} days, {int(self.counted.sum()):,} rows, "
            f"{len(self.crises):,} crises, seed {self.seed}"
        )


def simulated(customers: int, days: int, seed: int, drift: Drift = NO_DRIFT) -> Part:
    """Simulate, fold and join with the truth."""
    events: defaultdict[str, list[Event]] = defaultdict(list)
    truths: list[Truth] = []
    for step in simulate(customers, days=days, seed=seed, start_ms=START, drift=drift):
        truths += step.truths
        for event in step.signals:
            events[event["subject"]].append(event)
    encode = msgspec.json.Encoder().encode
    logs = []
    for own in events.values():
        checked = [check(encode(event), _TENANT) for event in own]
        logs.append(Log(own, [(one.stored, one.typed) for one in checked]))
    end, warm = START + days * DAY, START + WARM_UP_DAYS * DAY
    found = list(_served(logs))
    times = np.array([t for _, t, _, _ in found], np.int64)
    owner = np.array([customer for customer, _, _, _ in found], np.int64)
    names = list(events)
    number = {name: index for index, name in enumerate(names)}
    truth = TruthTable(truths, end).stages([names[customer] for customer in owner.tolist()], times.tolist())
    stretches = [one for one in truths if "stage" in one and parse_time(one["until"]) > warm]
    spans = [(max(warm, parse_time(one["since"])), parse_time(one["until"]), one) for one in stretches]
    crises = [
        Crisis(number[one["customer"]], since, until)
        for since, until, one in spans
        if one["stage"] == "crisis" and since > warm
    ]
    calm = sum(until - since for since, until, one in spans if one["stage"] != "crisis") / DAY
    return Part(
        seed=seed, days=days, logs=logs, rows=np.array([row for _, _, row, _ in found], np.float32),
        customers=owner, times=times, truth=truth, counted=(times >= warm) & (truth != UNLABELLED),
        rules=np.array([stage for _, _, _, stage in found], np.int64), crises=crises, calm_days=calm,
        customer_months=sum(until - since for since, until, _ in spans) / DAY / 30,
    )  # fmt: skip


def _served(logs: list[Log]) -> Iterator[tuple[int, int, list[float], int]]:
    """(customer, time, row, stage by rules only) of each signal that is news."""
    for customer, log in enumerate(logs):
        for record, _ in _judged(log, repeat(Score())):
            yield customer, record.clock, features(record.state, record.clock), record.tracker.stage


def _judged(log: Log, scores: Iterator[Score]) -> Iterator[tuple[Record, Score]]:
    """The customer's record after each signal that is news, judged with the next score."""
    record = new_record(_TENANT, log.signals[0][0].customer, log.signals[0][0].time)
    for signal, data in log.signals:
        received = receive(record, signal, data, 0, _RULES)
        news = received.folded is Folded.NEWS
        score = next(scores) if news else Score()
        if news and score.advisory:
            listen([received])
        judge(received, score, _RULES)
        if news:
            yield record, score


def tracked(part: Part, scores: Floats, *, advisory: bool = True) -> Tracked:
    """What is served when a model answers these probabilities (n, 6) at the rows; `advisory`: one that learned from
    simulated customers."""
    answers = iter([Score(tuple(row), advisory=advisory) for row in scores.tolist()])
    found = [
        (record.tracker.stage, probabilities(record.tracker), p_crisis(record.tracker))
        for log in part.logs
        for record, _ in _judged(log, answers)
    ]
    return Tracked(
        np.array([stage for stage, _, _ in found], np.int64),
        np.array([filtered for _, filtered, _ in found]).reshape(-1, len(STAGES)),
        np.array([crisis for _, _, crisis in found]),
    )
