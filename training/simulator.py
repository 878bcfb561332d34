"""A seeded stream of simulated customers: CloudEvents in time order, and the hidden truth beside it.

Each customer has a latent stage (semi-Markov, training.latent) that drives what it and the company do. Memory is
a few hundred bytes a customer plus the signals of one step; the same arguments give the same bytes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import STAGES
from training import arrivals, rates
from training.casework import Casework
from training.everyday import Everyday
from training.latent import Change, Latent
from training.outreach import Outreach
from training.progress import Progress, silent
from training.world import Event, World

_STEP: Final = 6 * HOUR
_MANY_CUSTOMERS: Final = 50_000  # from here on steps of an hour, so that the signals of one fit into memory
_TRUTH_ROWS: Final = 10_000

Truth = dict[str, Any]


class Step(NamedTuple):
    """The signals of a few hours in time order, and the truth that became known in them.

    A truth is `{"customer", "stage", "since", "until", "ended"}` (one stretch in a latent stage; `ended` false where
    the simulation stopped first) or `{"customer", "closed_at"}` (the customer left)."""

    end_ms: int
    signals: tuple[Event, ...]
    truths: tuple[Truth, ...]


def simulate(
    customers: int, *, days: int, seed: int, start_ms: int, drift: rates.Drift = rates.NO_DRIFT
) -> Iterator[Step]:
    """Simulate `customers` for `days` from `start_ms` (a whole hour) on, some hours at a time."""
    if customers < 1 or days < 1 or start_ms % HOUR:
        asked = f"{customers} customers, {days} days, start {start_ms} ms"
        raise ValueError(f"simulate: at least one customer, one day and a start at a whole hour required, got {asked}")
    return _Simulation(customers, days, seed, start_ms, drift).steps()


def write_simulation(
    out: Path, truth: Path, *, customers: int, days: int, seed: int, start_ms: int, progress: Progress = silent
) -> int:
    """Write the signals and the truth as NDJSON; the number of signals. Progress in ms of simulated time."""
    encode = msgspec.json.Encoder().encode_lines
    written = 0
    with out.open("wb") as signals, truth.open("wb") as truths, _no_cycle_search():
        for step in simulate(customers, days=days, seed=seed, start_ms=start_ms):
            signals.write(encode(step.signals))
            truths.write(encode(step.truths))
            written += len(step.signals)
            progress(step.end_ms - start_ms, days * DAY)
    return written


@contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Python's search for reference cycles takes half of the time here, and a simulation makes none."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


class _Simulation:
    def __init__(self, customers: int, days: int, seed: int, start_ms: int, drift: rates.Drift) -> None:
        self._drift = drift
        self._random = np.random.default_rng(seed)
        self._begin, self._end = start_ms, start_ms + days * DAY
        self._latent = Latent(customers, self._begin, self._end, self._random)
        self._activity = self._random.beta(4.0, 1.5, customers)
        self._world = World(self._latent, seed)
        self._outreach = Outreach(self._world)
        self._cases = Casework(self._world, self._outreach.after_resolution)
        self._everyday = Everyday(self._world, self._random.lognormal(3.7, 0.6, customers).tolist(), drift)
        self._actions = [self._action(kind) for kind in rates.ARRIVALS]
        for customer in np.flatnonzero(self._latent.established).tolist():
            self._world.later(self._begin + int(self._world.random.random() * DAY), customer, self._everyday.introduce)

    def steps(self) -> Iterator[Step]:
        length = _STEP if len(self._activity) < _MANY_CUSTOMERS else HOUR
        for begin in range(self._begin, self._end, length):
            end = begin + length
            segments, changes = self._latent.advance(end)
            due = arrivals.draw(segments, begin, end, self._activity, self._random, self._drift)
            truths: list[Truth] = []
            self._play(due, changes, truths)
            self._world.run_until(end - 1)
            yield Step(end, self._world.take(), tuple(truths))
        yield from self._unfinished()

    def _play(self, due: list[tuple[int, int, int]], changes: list[Change], truths: list[Truth]) -> None:
        """Run the step's arrivals and changes, and what they cause, in time order; a change comes first."""
        world, actions = self._world, self._actions
        upcoming = iter(changes)
        change = next(upcoming, None)
        for t, customer, kind in due:
            while change is not None and change.t <= t:
                self._change(change, truths)
                change = next(upcoming, None)
            world.run_until(t)
            actions[kind](t, customer)
        while change is not None:
            self._change(change, truths)
            change = next(upcoming, None)

    def _change(self, change: Change, truths: list[Truth]) -> None:
        world = self._world
        world.run_until(change.t - 1)
        t, customer, before, after, since = change
        if before != rates.ABSENT:
            truths.append(_stretch(customer, before, since, t, ended=True))
        if before == rates.CRISIS and after != rates.ABSENT:
            self._cases.end_crisis(t, customer)
            self._everyday.thank(t, customer)
        world.stage[customer] = after
        if before == rates.ABSENT:
            self._everyday.open_account(t, customer)
        if after == rates.ABSENT:
            truths.append({"customer": f"c-{customer}", "closed_at": format_time(t)})
            self._everyday.close_account(t, customer, satisfied=before in (rates.STEADY, rates.THRIVING))
            self._cases.forget(customer)
        elif after == rates.CRISIS:
            self._cases.open_crisis(t, customer)
        elif after == rates.STRAINED:
            self._cases.report(t, customer)

    def _unfinished(self) -> Iterator[Step]:
        here = np.flatnonzero(self._latent.stage != rates.ABSENT)
        for first in range(0, len(here), _TRUTH_ROWS):
            rows = (
                _stretch(
                    customer, self._world.stage[customer], int(self._latent.since[customer]), self._end, ended=False
                )
                for customer in here[first : first + _TRUTH_ROWS].tolist()
            )
            yield Step(self._end, (), tuple(rows))

    def _action(self, kind: str) -> Callable[[int, int], None]:
        if kind == "case":
            return self._cases.report
        if kind in rates.CONTACT_KINDS:
            return lambda t, customer: self._outreach.contact(t, customer, kind)
        if kind == "relationship_survey":
            return lambda t, customer: self._outreach.survey(t, customer, "nps")
        return self._everyday.actions[kind]


def _stretch(customer: int, stage: int, since: int, until: int, *, ended: bool) -> Truth:
    return {
        "customer": f"c-{customer}",
        "stage": str(STAGES[stage]),
        "since": format_time(since),
        "until": format_time(until),
        "ended": ended,
    }
