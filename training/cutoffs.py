"""What was known of each customer at a cutoff, and what became of them: rows to learn from out of a file of signals.

Signals earlier than a cutoff go through the fold that serves; a row is the features at the cutoff. Its label comes from
what happens from the cutoff on until the horizon ends: the account is closed, or the lapse rule holds. So nothing that
makes a label is in a row.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from membrane.errors import UsageError
from membrane.features import FEATURE_NAMES, features
from membrane.fold import fold
from membrane.lapse import Lapse
from membrane.record import State
from membrane.signals import AccountClosed, CheckedSignal, LabelGiven
from membrane.times import DAY, format_duration, format_time, parse_time
from membrane.vocabulary import STAGES
from training.labels import Labels
from training.linear import Rows
from training.progress import Progress, silent
from training.signal_file import SignalFile

Integers = npt.NDArray[np.int64]

SLACK_MS: Final = DAY
"""A file may end by so much before the last horizon does: not every last day has a signal at its last moment."""


@dataclass(frozen=True, slots=True)
class Question:
    """At each cutoff (epoch ms, ascending): does the customer leave within the horizon? The last cutoff is the test
    part. UsageError where what an earlier one learns from happens after the last cutoff, or the horizon is shorter than
    the silence that the lapse rule asks for."""

    cutoffs: tuple[int, ...]
    horizon_ms: int
    lapse: Lapse | None = None

    def __post_init__(self) -> None:
        if self.lapse is not None and self.lapse.ms > self.horizon_ms:
            needed, came = format_duration(self.lapse.ms), format_duration(self.horizon_ms)
            raise UsageError(f"--horizon: at least the {needed} of --lapse were required, came {came}")
        *earlier, last = self.cutoffs
        for cutoff in earlier:
            if self.end(cutoff) > last:
                raise UsageError(
                    f"--cutoff {format_time(cutoff)}: a horizon that ends by the last cutoff, {format_time(last)}, was "
                    f"required, it ends {format_time(self.end(cutoff))}: the test part would be learned from"
                )

    def end(self, cutoff: int) -> int:
        """The first moment behind the horizon of a cutoff."""
        return cutoff + self.horizon_ms


class Snapshots(NamedTuple):
    """Rows (n, features) as served; whose and of which moment (epoch ms); the label and when it was known for sure."""

    rows: Rows
    customers: npt.NDArray[np.str_]
    times: Integers
    labels: Labels
    known_at: Integers

    def where(self, kept: npt.NDArray[np.bool_]) -> Snapshots:
        """Some of them."""
        rows, customers, times, labels, known_at = self
        return Snapshots(rows[kept], customers[kept], times[kept], labels[kept], known_at[kept])


def churn_snapshots(file: SignalFile, question: Question, progress: Progress = silent) -> Snapshots:
    """A row for each customer that was known and not closed at each cutoff; label 1 for who left.

    Progress in signals. UsageError unless the file reaches from before the first cutoff to the end of the horizons."""
    _require_reach(file, question)
    states: defaultdict[str, State] = defaultdict(State)
    taken, watches, waiting = _Taken(), list[_Watch](), list(question.cutoffs)
    for signal in file.signals(before=question.end(question.cutoffs[-1]), progress=progress):
        t, customer = signal.stored.time, signal.stored.customer
        while waiting and waiting[0] <= t:
            watches.append(_watch(states, waiting.pop(0), question, taken))
        for watch in watches:
            watch.see(signal)
        if waiting:
            fold(states[customer], signal.stored, signal.typed, t)
    watches += [_watch(states, cutoff, question, taken) for cutoff in waiting]
    outcomes = [watch.outcome(customer) for watch in watches for customer in watch.customers]
    return taken.snapshots(outcomes)


def stage_snapshots(file: SignalFile, progress: Progress = silent) -> Snapshots:
    """A row for each `label.given` of a stage: what was known before the moment that it is about. A label about a
    customer of whom nothing was known then is left out.

    Progress in signals, over two readings of the file. UsageError where there are no such labels."""
    asked = _stage_labels(file, progress)
    states: defaultdict[str, State] = defaultdict(State)
    taken, outcomes = _Taken(), list[_Outcome]()
    for signal in file.signals(customers=asked, progress=progress):
        customer, t = signal.stored.customer, signal.stored.time
        while asked[customer] and asked[customer][0].about <= t:
            label = asked[customer].pop(0)
            if states[customer].signals:
                taken.add(states[customer], customer, label.about)
                outcomes.append(_Outcome(label.stage, label.given))
        fold(states[customer], signal.stored, signal.typed, t)
    return taken.snapshots(outcomes)


class _Outcome(NamedTuple):
    label: int
    known_at: int


class _StageLabel(NamedTuple):
    about: int
    given: int
    stage: int


@dataclass(slots=True)
class _Taken:
    """The rows so far."""

    rows: array[float] = field(default_factory=lambda: array("f"))
    customers: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def add(self, state: State, customer: str, t: int) -> None:
        """The row of a customer at t."""
        self.rows.extend(features(state, t))
        self.customers.append(customer)
        self.times.append(t)

    def snapshots(self, outcomes: list[_Outcome]) -> Snapshots:
        """All of them, with one outcome each."""
        rows = np.array(self.rows, np.float32).reshape(-1, len(FEATURE_NAMES))
        labels, known_at = np.array(outcomes, np.int64).reshape(-1, 2).T
        return Snapshots(rows, np.array(self.customers, np.str_), np.array(self.times, np.int64), labels, known_at)


@dataclass(slots=True)
class _Watch:
    """What becomes of customers from a cutoff on."""

    cutoff: int
    end: int
    lapse: Lapse | None
    customers: list[str]
    left: dict[str, int] = field(default_factory=dict)
    """Whoever left, and when that was known."""
    heard: dict[str, int] = field(default_factory=dict)
    """The latest signal that the lapse rule asks for."""

    def see(self, signal: CheckedSignal) -> None:
        """A signal of the cutoff's time or later."""
        t, customer = signal.stored.time, signal.stored.customer
        if t >= self.end:
            return
        if isinstance(signal.typed, AccountClosed):
            self.left.setdefault(customer, t)
        elif self.lapse is not None and signal.stored.type in self.lapse.types:
            lapsed_at = self._lapsed_at(customer, t - 1, self.lapse)
            if lapsed_at is not None:
                self.left.setdefault(customer, lapsed_at)
            self.heard[customer] = t

    def outcome(self, customer: str) -> _Outcome:
        """What it comes to when the horizon has ended."""
        lapsed_at = self._lapsed_at(customer, self.end - 1, self.lapse) if self.lapse is not None else None
        left_at = self.left.get(customer, lapsed_at)
        return _Outcome(0, self.end) if left_at is None else _Outcome(1, left_at)

    def _lapsed_at(self, customer: str, until: int, lapse: Lapse) -> int | None:
        """The moment at which the rule's silence was full, counted from the cutoff at the earliest."""
        since = self.heard.get(customer, self.cutoff - 1)
        return since + lapse.ms if lapse.lapsed((), since, until) else None


def _watch(states: dict[str, State], cutoff: int, question: Question, taken: _Taken) -> _Watch:
    """Take the rows of a cutoff."""
    known = [customer for customer, state in states.items() if not _closed(state)]
    for customer in known:
        taken.add(states[customer], customer, cutoff)
    return _Watch(cutoff, question.end(cutoff), question.lapse, known)


def _closed(state: State) -> bool:
    return bool(state.closed_at) and state.closed_at >= state.opened_at


def _stage_labels(file: SignalFile, progress: Progress) -> dict[str, list[_StageLabel]]:
    """The labels of stages by customer, each customer's in the order of what they are about."""
    found: defaultdict[str, list[_StageLabel]] = defaultdict(list)
    for signal in file.signals(progress=progress):
        said, given = signal.typed, signal.stored.time
        if isinstance(said, LabelGiven) and said.target == "stage" and said.value in STAGES:
            about = min(parse_time(said.about_time), given) if said.about_time else given
            found[signal.stored.customer].append(_StageLabel(about, given, STAGES.index(str(said.value))))
    if not found:
        raise UsageError(f"{file.path}: label.given signals of the target stage were required, there are none")
    return {customer: sorted(labels) for customer, labels in found.items()}


def _require_reach(file: SignalFile, question: Question) -> None:
    first, last = question.cutoffs[0], question.cutoffs[-1]
    if file.first_time >= first:
        raise UsageError(
            f"--cutoff {format_time(first)}: signals from before it were required, {file.path} begins "
            f"{format_time(file.first_time)}"
        )
    if file.last_time < question.end(last) - SLACK_MS:
        raise UsageError(
            f"--cutoff {format_time(last)}: signals until the end of its horizon, {format_time(question.end(last))}, "
            f"were required, {file.path} ends {format_time(file.last_time)}"
        )
