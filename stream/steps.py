"""The steps of one partition: a block of the log in, one commit of the partition's store out.

The result depends on the log alone, not on how it is cut into blocks. Customers have nothing to do with each other, so
a stretch of signals and ticks is applied one round at a time (each customer up to its next signal that is news, behind
the ticks at which it was due before), and the rows of a round are scored in one model call. A revision, a pause and an
act end a stretch.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from membrane.engine import Happening, Received, Rules, act, advance, judge, listen, new_record, next_due, receive
from membrane.entries import Entry
from membrane.errors import RecordUnreadable, StoreRefused
from membrane.examples import is_kept, lapses_at
from membrane.features import features
from membrane.fold import Folded
from membrane.labelled import RULES
from membrane.ports import ERASED, Commit, Effect, Erasure, LogRecord, RecordKind, StateStore
from membrane.record import MET, OPEN, WAIVED, Obligation, Record, decode, encode
from membrane.settings import TenantSettings
from membrane.tracker import Score
from membrane.vocabulary import LIFECYCLES, STAGES
from models.scorer import unusable
from storage.keys import customer_key
from stream.block import Customer, Decoded, DecodedSignal
from stream.effects import ObligationRow, to_effect, to_row
from stream.in_force import InForce, Library
from stream.infer import Inferred, infer
from stream.learning import Gathered, ruled, settle
from stream.meta import Meta, carry_entries, copied, read_meta, write_meta
from stream.stretch import Passing, Stretch
from stream.switching import pause, revise

TICK_CUSTOMERS: Final = 5_000
"""At most so many customers are fired in one commit by one tick."""
UNREADABLE: Final = "record_unreadable"
_NO_SCORE: Final = Score()
_ACTS: Final = {"meet": MET, "waive": WAIVED}
_SWITCHES: Final = {RecordKind.REVISION: revise, RecordKind.PAUSE: pause}


class _Tick(msgspec.Struct):
    time: int


def tick_time(record: LogRecord) -> int | None:
    """The event time of a tick, None for one that cannot be decoded."""
    try:
        return msgspec.json.decode(record.body, type=_Tick).time
    except msgspec.MsgspecError:
        return None


class _Act(msgspec.Struct):
    act: str
    obligation: str
    time: int
    by: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Held:
    """A record in hand: what it was counted as, and whether it must be written."""

    record: Record
    stage: int = -1
    lifecycle: int = -1
    written: bytes = b""
    due: int | None = 0
    changed: bool = False


@dataclass(slots=True)
class _Work:
    """What one block gathers."""

    meta: Meta
    held: dict[Customer, _Held] = field(default_factory=dict)
    due: dict[Customer, int | None] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    obligations: dict[str, ObligationRow] = field(default_factory=dict)
    unreadable: set[Customer] = field(default_factory=set)
    erased: list[Customer] = field(default_factory=list)
    everybody_due: bool = False
    transitions: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    challenged: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    entered: list[Entry] = field(default_factory=list)
    gathered: Gathered = field(default_factory=Gathered)


@dataclass(frozen=True, slots=True)
class Applied:
    """A block's commit, the meta that holds once it is written, how often each stage change happened: (from, to,
    tenant, backfill) -> count, how many obligations each principle opened, and how many rows each challenger was given:
    (kind, revision, scored or failed) -> count."""

    commit: Commit
    meta: Meta
    transitions: Counter[tuple[str, str, str, bool]]
    opened: Counter[str]
    challenged: Counter[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record of the log that could not be applied, with the reason: it is counted and skipped, never raised."""

    offset: int
    reason: str


class PartitionSteps:
    """Applies the log to one partition's store. One per partition and process; holds no records between blocks."""

    def __init__(self, partition: int, store: StateStore, library: Library, settings: TenantSettings) -> None:
        self.partition = partition
        self.store = store
        self.skipped: frozenset[int] = frozenset()
        self.dropped: list[Dropped] = []
        self.missing: StoreRefused | None = None
        start = store.meta()
        self.next_offset = start.next_offset
        self.meta = read_meta(start.meta)
        self._in_force = InForce(library, settings)
        self.find_missing()

    def find_missing(self) -> bool:
        """Whether a block may be applied now. While what the log names is not there (`missing` says what), nothing
        behind it is: what came of it would depend on when the file comes back."""
        self.missing = None
        try:
            self._in_force.use(self.meta)
        except StoreRefused as missing:
            self.missing = missing
        return self.missing is None

    @property
    def rules(self) -> Rules:
        """What customers are judged by whose tenant sets nothing of its own."""
        return self._in_force.rules

    def rules_of(self, tenant: str) -> Rules:
        """What a tenant's customers are judged by."""
        return self._in_force.rules_of(tenant)

    def apply(self, block: Decoded, now_ms: int) -> Applied:
        """What a block does, still to be written; `now_ms` only says when the end of the log was seen. A block ends
        before a revision that is `missing`."""
        work, stretch = _Work(copied(self.meta)), Stretch()
        for record in block.records:
            if record.offset in self.skipped:
                continue
            if isinstance(record, DecodedSignal):
                stretch.signals.append((record, len(stretch.ticks)))
                continue
            if record.kind is RecordKind.TICK:
                self._add_tick(stretch, record)
                continue
            next_offset = self._stretch(work, stretch)
            if next_offset is None:
                next_offset = self._other(work, record)
            if next_offset is not None:
                return self._applied(work, next_offset)
            stretch = Stretch()
        next_offset = self._stretch(work, stretch)
        if next_offset is not None:
            return self._applied(work, next_offset)
        if block.at_end:
            work.meta.seen_end_ms = now_ms
        return self._applied(work, block.next_offset)

    def write(self, applied: Applied) -> None:
        """Commit what `apply` gave. Raises what the store raises; then nothing of it was written."""
        self.store.commit(applied.commit)
        self.meta, self.next_offset = applied.meta, applied.commit.next_offset

    def _add_tick(self, stretch: Stretch, record: LogRecord) -> None:
        t = tick_time(record)
        if t is None:
            self.dropped.append(Dropped(record.offset, "undecodable: a tick"))
        else:
            stretch.ticks.append((record.offset, t))

    def _stretch(self, work: _Work, stretch: Stretch) -> int | None:
        """Apply a stretch: all at once, or tick by tick where a tick may be due to more customers than one commit
        should hold. The offset to go on from, when the block must end inside it for now."""
        if not stretch.ticks:
            self._together(work, stretch, {})
            return None
        latest = max(t for _, t in stretch.ticks)
        due = self.store.due_before(latest, TICK_CUSTOMERS + 1 + len(work.due))
        stored = {(tenant, customer): t for tenant, customer, t in due if (tenant, customer) not in work.due}
        if not work.meta.revised and len(stored) <= TICK_CUSTOMERS:
            self._together(work, stretch, stored)
            return None
        for count, (offset, t) in enumerate(stretch.ticks):
            self._together(work, stretch.alone(count), {})
            next_offset = self._tick(work, offset, t)
            if next_offset is not None:
                return next_offset
        self._together(work, stretch.alone(len(stretch.ticks)), {})
        return None

    def _together(self, work: _Work, stretch: Stretch, stored: dict[Customer, int]) -> None:
        """Apply a stretch whose ticks find nobody due but the customers of `work` and the `stored` ones."""
        work.due.update(stored)
        self._load(work, {*stored, *(entry.customer for entry, _ in stretch.signals)})
        passing = Passing(stretch.ticks, work.meta)
        waiting: dict[Customer, deque[tuple[DecodedSignal, int]]] = {}
        for one in stretch.signals:
            waiting.setdefault(one[0].customer, deque()).append(one)
        queues = list(waiting.values())
        while queues:
            self._round(work, queues, passing)
            queues = [queue for queue in queues if queue]
        if stretch.ticks:
            for customer in sorted(one for one, due in work.due.items() if due is not None and due <= passing.latest):
                self._pass_ticks(work, customer, passing, len(stretch.ticks))
            work.meta.last_tick = work.meta.fired_until = passing.clocks[-1]
            work.gathered.ticks += stretch.ticks

    def _round(self, work: _Work, queues: list[deque[tuple[DecodedSignal, int]]], passing: Passing) -> None:
        """Bring each customer to its next signal that is news, and score the rows of these in one call."""
        news: list[tuple[int, _Held, Received]] = []
        for queue in queues:
            while queue:
                entry, ticks = queue.popleft()
                found = self._receive(work, entry, ticks, passing)
                if found is None:
                    continue
                if found[1].folded is Folded.NEWS:
                    news.append((entry.offset, *found))
                    break
                self._judge(work, entry.offset, *found, _NO_SCORE)
        rows = [features(held.record.state, held.record.clock) for _, held, _ in news]
        inferred = self._infer(work, rows)
        listen([one for (_, _, one), score in zip(news, inferred.scores, strict=True) if score.advisory])
        for number, (offset, held, received) in enumerate(news):
            stage, record, score = held.record.tracker.stage, held.record, inferred.scores[number]
            self._judge(work, offset, held, received, score)
            if is_kept(record, offset, received.signal.type, moved=record.tracker.stage != stage):
                revisions = self._in_force.revisions_of(record.tenant)
                by_rules = ruled(record, self.rules_of(record.tenant).limits)
                scores = {**inferred.of_row(number), RULES: by_rules}
                lapse = self.rules_of(record.tenant).lapse
                work.gathered.keep(record, offset, rows[number], scores, revisions, lapse)
                if lapse is not None:  # there is one more whose churn a silence may be
                    self._find_due(work, record)

    def _infer(self, work: _Work, rows: list[list[float]]) -> Inferred:
        challengers = self._in_force.challengers
        inferred = infer(self._in_force.scorer, rows, challengers)
        for one in challengers if rows else ():
            failed = int(unusable(inferred.given[one.revision]).sum())
            work.challenged[one.kind, one.revision, "scored"] += len(rows) - failed
            work.challenged[one.kind, one.revision, "failed"] += failed
        return inferred

    def _receive(
        self, work: _Work, entry: DecodedSignal, ticks: int, passing: Passing
    ) -> tuple[_Held, Received] | None:
        """Fold a signal, behind the ticks before it at which its customer was due; None if it had to be dropped."""
        if ticks:
            self._pass_ticks(work, entry.customer, passing, ticks)
        if entry.signal is None or entry.customer in work.unreadable:
            self.dropped.append(Dropped(entry.offset, entry.fault or UNREADABLE))
            return None
        held = self._held(work, entry.customer, entry.signal.time)
        last_tick, rules = passing.clocks[ticks], self.rules_of(entry.customer[0])
        work.gathered.hear(held.record, entry, max(held.record.clock, last_tick, entry.signal.time), rules.lapse)
        received = receive(
            held.record,
            entry.signal,
            entry.data,
            last_tick,
            rules,
            fired_until=passing.fired[ticks],
            due=work.due.get(entry.customer, held.due),
        )
        return held, received

    def _judge(self, work: _Work, offset: int, held: _Held, received: Received, score: Score) -> None:
        rules = self.rules_of(held.record.tenant)
        happened = judge(received, score, rules)
        self._touched(work, held, offset, happened, still=received.still and rules.lapse is None)

    def _pass_ticks(self, work: _Work, customer: Customer, passing: Passing, until: int) -> None:
        """Let a customer pass the ticks up to number `until`: those at which it is due fire."""
        while (due := work.due.get(customer)) is not None and due <= passing.latest:
            number = passing.next_due(customer, due, until)
            if number is None:
                break
            offset, t = passing.ticks[number]
            self._fire(work, customer, offset, t, passing.fired[number])
        passing.reached[customer] = until

    def _fire(self, work: _Work, customer: Customer, offset: int, t: int, fired_until: int) -> None:
        """What a tick at `offset` does to a customer that is due."""
        held = work.held.get(customer)
        if held is None:  # until `rebuild` it is due no more, or it would be in the way of the others for ever
            work.due[customer] = None
            self.dropped.append(Dropped(offset, f"{UNREADABLE}: a customer that was due"))
            return
        record, rules = held.record, self.rules_of(customer[0])
        happened = advance(record, t, rules, fired_until=fired_until, revised=work.meta.revised)
        if work.gathered.pass_time(record, offset, max(record.clock, t), rules.lapse):
            record.clock, happened = max(record.clock, t), happened or []
        if happened is not None:
            self._touched(work, held, offset, happened)
        work.due[customer] = _next_due(record, rules, t if happened is None else record.clock)

    def _other(self, work: _Work, record: LogRecord) -> int | None:
        """Apply a record that is neither signal nor tick. The offset to go on from, when the block must end here."""
        try:
            if record.kind in _SWITCHES:
                return self._switch(work, record)
            if record.kind is RecordKind.ACT:
                self._act(work, record, msgspec.json.decode(record.body, type=_Act))
            elif record.kind is RecordKind.ERASE and record.body:
                self._erase(work, record.offset, msgspec.json.decode(record.body, type=Erasure))
        except msgspec.MsgspecError as error:
            self.dropped.append(Dropped(record.offset, f"undecodable: {error}"))
        return None

    def _tick(self, work: _Work, offset: int, t: int) -> int | None:
        """Fire what is due at t. Where that is more than one commit should hold, what came before the tick is written
        first, then some of the customers at a time, the tick itself last."""
        due = self.store.due_before(t, TICK_CUSTOMERS + 1 + len(work.due))
        stored = [(tenant, customer) for tenant, customer, _ in due if (tenant, customer) not in work.due]
        too_many = len(stored) > TICK_CUSTOMERS
        if too_many and work.due:
            return offset
        work.meta.last_tick = max(work.meta.last_tick, t)
        stored = stored[:TICK_CUSTOMERS]
        moved = [customer for customer, due in work.due.items() if due is not None and due <= t]
        self._load(work, set(stored))
        for customer in sorted({*stored, *moved}):
            self._fire(work, customer, offset, t, work.meta.fired_until)
        if too_many:
            return offset
        work.meta.fired_until, work.meta.revised = work.meta.last_tick, False
        work.gathered.ticks.append((offset, t))
        return None

    def _switch(self, work: _Work, record: LogRecord) -> int | None:
        """Go on by what the record puts in force. By other principles something may be owed already, so everybody is
        judged on the next tick. The offset itself when what it names is missing: there the block must end."""
        switched = _SWITCHES[record.kind](self._in_force, work.meta, record.offset, record.body)
        work.meta = switched.meta
        if switched.missing is not None:
            self.missing = switched.missing
            return record.offset
        if not switched.rules_changed:
            return None
        work.everybody_due = True
        work.due = {customer: 0 if customer in work.held else None for customer in work.due}
        return record.offset + 1

    def _act(self, work: _Work, record: LogRecord, asked: _Act) -> None:
        customer = (record.tenant, record.customer)
        self._load(work, {customer})
        held = work.held.get(customer)
        state, rules = _ACTS.get(asked.act), self.rules_of(record.tenant)
        happened = None
        if held and state:
            said = {"by": asked.by, "reason": asked.reason}
            happened = act(held.record, asked.obligation, state, asked.time, rules, **said)
        if held is None or happened is None:
            self.dropped.append(Dropped(record.offset, "act: the obligation is unknown or closed"))
            return
        self._touched(work, held, record.offset, happened)

    def _erase(self, work: _Work, offset: int, erasure: Erasure) -> None:
        """Forget a customer, and tell that somebody was: the log holds nothing of it any more, before or behind."""
        names = {*self.store.named(erasure.customer_key), *(one for one in work.held if _is(one, erasure))}
        self._load(work, names)
        for customer in sorted(names):
            held = work.held.pop(customer, None)
            if held is not None:
                _count(work.meta, held, gone=True)
            work.due.pop(customer, None)
            work.unreadable.discard(customer)
            work.effects = [one for one in work.effects if (one.tenant, one.customer) != customer]
            work.obligations = {key: row for key, row in work.obligations.items() if row[1:3] != customer}
            work.erased.append(customer)
        identity = f"{self.partition}-{offset}-erased"
        work.effects.append(Effect(identity, offset, ERASED, erasure.tenant, "", erasure.time, b"{}"))

    def _load(self, work: _Work, customers: Iterable[Customer]) -> None:
        missing = [customer for customer in customers if customer not in work.held]
        for customer, (body, due) in self.store.load(missing).items():
            try:
                record = decode(body)
            except RecordUnreadable:  # its signals are dropped and counted until `rebuild`; the rest goes on
                work.unreadable.add(customer)
                continue
            work.held[customer] = _Held(record, record.tracker.stage, record.tracker.lifecycle, body, due)

    def _held(self, work: _Work, customer: Customer, t: int) -> _Held:
        held = work.held.get(customer)
        if held is None:
            held = work.held[customer] = _Held(new_record(*customer, t))
        return held

    def _touched(
        self, work: _Work, held: _Held, offset: int, happened: Sequence[Happening], *, still: bool = False
    ) -> None:
        """Note what the log record at `offset` did to a customer, before anything else changes it."""
        record = held.record
        for number, happening in enumerate(happened):
            work.effects.append(to_effect(self.partition, offset, number, record, happening))
            what = happening.what
            if isinstance(what, Obligation):
                work.obligations[what.obligation] = to_row(record, what, happening)
                work.opened[what.principle] += what.state == OPEN
            else:
                work.transitions[STAGES[what.before], STAGES[what.after], record.tenant, happening.backfill] += 1
                if what.entered_crisis and not happening.backfill:
                    work.entered.append((offset, record.tenant, max(record.clock, work.meta.last_tick)))
        record.version = offset
        record.revision = work.meta.revision_offset
        held.changed = True
        if still and not happened:
            work.due.setdefault((record.tenant, record.customer), held.due)
        else:
            self._find_due(work, record)

    def _find_due(self, work: _Work, record: Record) -> None:
        due = 0 if work.meta.revised else _next_due(record, self.rules_of(record.tenant), record.clock)
        work.due[record.tenant, record.customer] = due

    def _applied(self, work: _Work, next_offset: int) -> Applied:
        return Applied(self._gather(work, next_offset), work.meta, work.transitions, work.opened, work.challenged)

    def _gather(self, work: _Work, next_offset: int) -> Commit:
        commit = Commit(effects=work.effects, obligations=list(work.obligations.values()))
        commit.everybody_due, commit.next_offset, commit.erased = work.everybody_due, next_offset, work.erased
        for customer, due in work.due.items():
            held = work.held.get(customer)
            commit.due.append((*customer, due))
            if held is not None:
                commit.records.append((*customer, encode(held.record) if held.changed else held.written))
                if held.changed:
                    _count(work.meta, held)
        commit.learned = settle(work.gathered, work.meta, self.store.horizons)
        carry_entries(work.meta, work.entered, self.meta.last_tick)
        commit.meta = write_meta(work.meta)
        return commit


def _next_due(record: Record, rules: Rules, t: int) -> int | None:
    """The first moment > t at which time alone may change the record, or shows that the customer has lapsed."""
    due, full = next_due(record, rules, t), lapses_at(record.kept, rules.lapse)
    if full is None:
        return due
    seen = max(full, t) + 1
    return seen if due is None else min(due, seen)


def _is(customer: Customer, erasure: Erasure) -> bool:
    return customer[0] == erasure.tenant and customer_key(*customer) == erasure.customer_key


def _count(meta: Meta, held: _Held, *, gone: bool = False) -> None:
    """Count a customer where it is now and no more where it was counted; one that is gone is nowhere."""
    tracker, tenant = held.record.tracker, held.record.tenant
    for counts, names, before, after in (
        (meta.stages, STAGES, held.stage, tracker.stage),
        (meta.lifecycles, LIFECYCLES, held.lifecycle, tracker.lifecycle),
    ):
        if before == after and not gone:
            continue
        customers = counts.setdefault(tenant, {})
        if not gone:
            customers[names[after]] = customers.get(names[after], 0) + 1
        if before >= 0:
            left = customers.get(names[before], 0) - 1
            if left > 0:
                customers[names[before]] = left
            else:
                customers.pop(names[before], None)
        if not customers:
            del counts[tenant]
