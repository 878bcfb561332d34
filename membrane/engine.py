"""The engine: what the records of the log do to one customer's record. Pure; the stream and serving share it.

A signal goes through two halves, so that a model can score the rows of many customers at once in between:
`receive` fires the due times that came first and folds the signal, `judge` takes the score, moves the stage and opens
and settles obligations. `advance` fires due times alone: for a tick, and on serving's copy for "now".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from msgspec import structs

from membrane import obligations
from membrane.belief import Heard, follow
from membrane.due import deadlines, first_after, moments
from membrane.facts import RecordFacts
from membrane.fold import Folded, fold
from membrane.lapse import Lapse, read_lapse
from membrane.pauses import Pause, edges, of_principles
from membrane.principles import PrincipleSet
from membrane.record import MET, WAIVED, Cause, Obligation, Record, State
from membrane.settings import TenantSettings
from membrane.signals import Data, StoredSignal
from membrane.stages import ADVISORY, Limits, limits_of
from membrane.tracker import DUE, Score, StageChange, episode_ends, estimate, evaluate, start

KEPT_OVERDUE: Final = 16


@dataclass(frozen=True, slots=True)
class Rules:
    """What a customer is judged by: the principles in force (None: none could be loaded), the tenant's settings, the
    churn risk from which a customer is at risk, the time before which history causes no effect, and the tenant's
    pauses; `limits` and the lapse rule follow from these."""

    principles: PrincipleSet | None
    settings: TenantSettings = field(default_factory=TenantSettings)
    churn_threshold: float = ADVISORY
    go_live: int = 0
    pauses: tuple[Pause, ...] = ()
    limits: Limits = field(init=False, compare=False)
    lapse: Lapse | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", limits_of(self.settings, self.churn_threshold))
        object.__setattr__(self, "lapse", read_lapse(self.settings.lapse) if self.settings.lapse else None)


def rules_for(
    principles: PrincipleSet | None,
    settings: TenantSettings,
    pauses: Iterable[Pause] = (),
    *,
    churn_is_advisory: bool,
    go_live: int,
) -> Rules:
    """What a tenant's customers are judged by; `go_live` is for tenants that set none of their own."""
    threshold = ADVISORY if churn_is_advisory else settings.churn_threshold
    return Rules(principles, settings, threshold, settings.go_live or go_live, tuple(pauses))


@dataclass(frozen=True, slots=True)
class Happening:
    """What the world may want to hear: a stage change, or an obligation as it is then, at an event time; `by` and
    `reason` are the words of the person who closed it."""

    kind: Literal["stage", "obligation"]
    at: int
    what: StageChange | Obligation
    backfill: bool
    by: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Received:
    """A signal folded, on its way to be judged."""

    record: Record
    signal: StoredSignal
    data: Data | None
    folded: Folded
    still: bool  # neither the signal nor the time that has passed changes anything that the customer is judged by
    happened: list[Happening]
    known: frozenset[int] | None  # the deadlines before the signal; None if it can set none at or before the clock


def new_record(tenant: str, customer: str, t: int) -> Record:
    """The record of a customer first seen at t."""
    return Record(tenant, customer, -1, 0, -1, State(), start(t))


def receive(
    record: Record,
    signal: StoredSignal,
    data: Data | None,
    last_tick: int,
    rules: Rules,
    *,
    fired_until: int = 0,
    due: int | None = 0,
) -> Received:
    """Fire what was due before the signal, then fold it. `due` is `next_due` of the record as it is, if known: before
    it there is nothing to fire (0: it is not known). `last_tick` is the partition's, `fired_until` as in
    `advance`."""
    clock = max(record.clock, last_tick, signal.time)
    is_due = record.clock > 0 and due is not None and due <= clock
    happened = _fire(record, clock, rules, fired_until) if is_due else []
    late = signal.time < clock or isinstance(getattr(data, "eta", None), str)
    known = frozenset(_deadlines(record, rules) if record.clock else ()) if late else None
    folded = fold(record.state, signal, data, clock, rules.settings.currency)
    still = folded is Folded.NOTHING and record.clock > 0 and not is_due and not record.overdue
    record.clock = clock
    return Received(record, signal, data, folded, still, happened, known)


def listen(news: Iterable[Received]) -> None:
    """Let the beliefs of customers follow what is news to each of them: all at once, before each is judged by a score
    that is `advisory`."""
    follow(
        Heard(one.record.tracker.belief, one.signal.type, one.data, one.signal.time, one.record.state.cases)
        for one in news
    )


def judge(received: Received, score: Score, rules: Rules) -> list[Happening]:
    """Take the score of the folded row (behind `listen` where it is advisory), move the stage, settle and open
    obligations; all that happened, in order."""
    record, signal, happened = received.record, received.signal, received.happened
    settled = obligations.settle(record, signal.type, received.data, signal.time, rules.principles)
    if received.still and not settled:
        return happened
    if received.folded is Folded.NEWS:
        estimate(record.tracker, score, record.clock)
    known = received.known
    if known is not None:
        _put_off(record, deadlines(record.state), known)
    cause = Cause(signal.source, signal.id, signal.type)
    moved = _evaluate(record, record.clock, signal.time, cause, rules, happened)
    happened.extend(_told(owed, signal.time, rules) for owed in settled)
    if known is None:
        _require(record, record.clock, signal.time, rules, happened)
        return happened
    if moved:  # what the ages of the new stage make due is news, even where the old stage began at the same time
        known = frozenset()
    _put_off(record, _deadlines(record, rules), known)
    _put_off(record, _terms_since(signal.time, rules), frozenset())
    _require(record, _before_overdue(record), signal.time, rules, happened)
    _put_off(record, _deadlines(record, rules), known)
    return happened


def advance(
    record: Record, t: int, rules: Rules, *, fired_until: int = 0, revised: bool = False
) -> list[Happening] | None:
    """Let time pass until t, as a tick at t does: due times <= t fire in order, each judged at its own time.

    `fired_until`: the due times up to then have fired already (the partition's last tick). `revised`: the rules are
    newer than that tick, so that the customer is also judged once at t: what already holds is owed from then on, and
    nothing from before there were such rules.
    Changes `record` in place; None if nothing of it changed (then `clock` stays as well).
    """
    before = structs.replace(record.tracker, crisis_cases=dict(record.tracker.crisis_cases))
    waited, unopened = bool(record.overdue), record.unopened
    happened = _fire_overdue(record, rules, fired_until if revised else 0) if waited else []
    happened += _fire(record, t, rules, fired_until)
    if revised:
        now = max(record.clock, t)
        _judge_due(record, now, now, rules, happened)
    if not happened and not waited and record.tracker == before and record.unopened == unopened:
        return None
    record.clock = max(record.clock, t)
    return happened


def act(
    record: Record,
    obligation: str,
    state: int,
    t: int,
    rules: Rules,
    *,
    by: str | None = None,
    reason: str | None = None,
) -> list[Happening] | None:
    """A person met or waived an obligation (`state` MET or WAIVED) at t; None if it is unknown or already closed."""
    for owed in record.obligations:
        if owed.obligation == obligation and owed.state not in (MET, WAIVED):
            owed.state, owed.closed_at = state, t
            return [replace(_told(owed, t, rules), by=by, reason=reason)]
    return None


def next_due(record: Record, rules: Rules, t: int) -> int | None:
    """The first moment > t at which time alone may change the record; what waits for a tick comes first."""
    if record.overdue:
        return record.overdue[0]
    return first_after(_moments(record, rules, t), t)


def _moments(record: Record, rules: Rules, t: int) -> Iterable[int]:
    """The moments at which time alone may change the record; of those of changing facts the next after `t`."""
    found = moments(record.state, record.tracker)
    found += _owed_moments(record, rules, t)
    return found


def _owed_moments(record: Record, rules: Rules, t: int) -> list[int]:
    found: list[int] = []
    if rules.principles is not None:
        if record.obligations:  # without them there is no ledger either
            found.extend(obligations.due_moments(record, rules.principles))
        if not obligations.asks_nothing(rules.principles, record):
            found.extend(obligations.require_moments(rules.principles, RecordFacts(record, t, rules.settings)))
            found.extend(edge for edge in edges(of_principles(rules.pauses)) if edge > t)
    return found


def _deadlines(record: Record, rules: Rules) -> list[int]:
    ends = episode_ends(record.tracker)
    return [*deadlines(record.state), *(() if ends is None else (ends,)), *_owed_moments(record, rules, record.clock)]


def _terms_since(t: int, rules: Rules) -> list[int]:
    """The moments after a late signal's at which principles that make something owed begin or end to count."""
    if rules.principles is None:
        return []
    return [edge for edge in (*rules.principles.require_edges, *edges(of_principles(rules.pauses))) if edge > t]


def _put_off(record: Record, found: Iterable[int], known: frozenset[int]) -> None:
    """Deadlines that this signal set at or before the clock wait for the next tick (law 4)."""
    late = {moment for moment in found if 0 < moment <= record.clock and moment not in known}
    if late:
        record.overdue = sorted(late.union(record.overdue))[-KEPT_OVERDUE:]


def _before_overdue(record: Record) -> int:
    return min(record.clock, record.overdue[0] - 1) if record.overdue else record.clock


def _fire(record: Record, t: int, rules: Rules, fired_until: int) -> list[Happening]:
    happened: list[Happening] = []
    cursor = max(record.clock, fired_until)
    while (due := first_after(_moments(record, rules, cursor), cursor)) is not None and due <= t:
        _judge_due(record, due, due, rules, happened)
        cursor = due
    return happened


def _fire_overdue(record: Record, rules: Rules, in_force_since: int) -> list[Happening]:
    """Judge what waited, each at its own time; the stage by all that is known by now. Nothing is owed for a moment
    before there were such rules."""
    happened: list[Happening] = []
    while record.overdue:
        due = record.overdue.pop(0)
        known = frozenset(_deadlines(record, rules))
        _judge_due(record, record.clock, due, rules, happened, in_force_since)
        _put_off(record, _deadlines(record, rules), known)
    return happened


def _judge_due(
    record: Record, t: int, due: int, rules: Rules, happened: list[Happening], in_force_since: int = 0
) -> None:
    _evaluate(record, t, due, Cause(type=DUE), rules, happened)
    happened.extend(_told(owed, due, rules) for owed in obligations.breach(record, due))
    if due >= in_force_since:
        _require(record, due, due, rules, happened)


def _evaluate(record: Record, t: int, at: int, cause: Cause, rules: Rules, happened: list[Happening]) -> bool:
    change = evaluate(
        record.tracker,
        record.state,
        t=t,
        at=at,
        cause=cause,
        waiting=record.overdue,
        limits=rules.limits,
    )
    if change is not None:
        happened.append(Happening("stage", change.at, change, change.at < rules.go_live))
    return change is not None


def _require(record: Record, t: int, at: int, rules: Rules, happened: list[Happening]) -> None:
    if rules.principles is None or at < rules.go_live:
        return
    opened = obligations.required(rules.principles, record, rules.settings, t=t, at=at, pauses=rules.pauses)
    happened.extend(_told(owed, at, rules) for owed in opened)


def _told(owed: Obligation, at: int, rules: Rules) -> Happening:
    return Happening("obligation", at, structs.replace(owed), at < rules.go_live)
