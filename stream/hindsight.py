"""Hindsight: customers as they were at some point of the log, made again in memory by the stream's own steps.

Only what concerns these customers is applied: their records of the log, ticks and revisions. By law 1, and because
customers have nothing to do with each other, what comes out is byte for byte what the stream wrote then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from membrane.errors import RecordUnreadable, StoreUnavailable, UsageError
from membrane.ports import Commit, LogRecord, PartitionMeta, RecordKind, partition_of
from membrane.record import Record, decode
from membrane.settings import TenantSettings
from membrane.signals import Data, StoredSignal
from membrane.view import Progress, View
from storage import checkpoints
from storage.checkpoints import NOTHING, Start
from storage.log_reader import LogReader
from stream.block import Customer, Decoded, DecodedSignal, decode_signal
from stream.library import FileLibrary
from stream.steps import PartitionSteps

READ_AT_ONCE: Final = 2_000
CONTACT_MADE: Final = "cx.contact.made.v1"
_CONTACT_MADE: Final = CONTACT_MADE.encode()
_FOR_ALL: Final = frozenset({RecordKind.TICK, RecordKind.REVISION, RecordKind.PAUSE})

Witness = Callable[[StoredSignal, Data | None, View], None]
"""Is shown a signal and its customer just before it."""


def contacts_made(log: LogReader, partition: int, tenant: str, since: int, until: int) -> dict[int, Customer]:
    """The contacts made to a tenant's customers after `since` and up to `until` (event time, ms), by their offset."""
    found: dict[int, Customer] = {}
    offset = 0
    while records := log.read(partition, offset, READ_AT_ONCE):
        for record in records:
            if record.tenant == tenant and _CONTACT_MADE in record.body:
                signal = decode_signal(record).signal
                if signal is not None and signal.type == CONTACT_MADE and since < signal.time <= until:
                    found[record.offset] = (tenant, record.customer)
        offset = records[-1].offset + 1
    return found


class HeldRecords:
    """A `membrane.ports.StateStore` in memory, of records and due times alone."""

    def __init__(self, start: Start = NOTHING) -> None:
        self._records = {customer: body for customer, (body, _) in start.records.items()}
        self._due = {customer: due for customer, (_, due) in start.records.items()}
        self._queue = [(due, *customer) for customer, due in self._due.items() if due is not None]
        heapify(self._queue)
        self._meta = start.meta

    def meta(self) -> PartitionMeta:
        """As of the last commit."""
        return self._meta

    def load(self, customers: Iterable[Customer]) -> dict[Customer, tuple[bytes, int | None]]:
        """Those of the customers that have a record."""
        return {one: (self._records[one], self._due[one]) for one in customers if one in self._records}

    def due_before(self, t: int, limit: int) -> list[tuple[str, str, int]]:
        """Customers whose next due time is <= t, by (due time, tenant, customer). Entries of the queue that a commit
        has overtaken are dropped on the way."""
        found: list[tuple[int, str, str]] = []
        while self._queue and self._queue[0][0] <= t and len(found) < limit:
            entry = heappop(self._queue)
            if self._due[entry[1:]] == entry[0] and entry not in found[-1:]:
                found.append(entry)
        for entry in found:
            heappush(self._queue, entry)
        return [(tenant, customer, due) for due, tenant, customer in found]

    def horizons(self, t: int) -> list[tuple[int, int, int]]:
        """None: nothing is learned in hindsight."""
        return []

    def named(self, customer_key: int) -> list[Customer]:
        """Nobody: of an erased customer the log holds nothing to look back at."""
        return []

    def commit(self, commit: Commit) -> None:
        """Takes over records, due times and the meta; effects are nobody's business here."""
        if commit.everybody_due:
            self._due = dict.fromkeys(self._due, 0)
            self._queue = [(0, *customer) for customer in self._due]
            heapify(self._queue)
        for tenant, customer, body in commit.records:
            self._records[tenant, customer] = body
        for tenant, customer, due in commit.due:
            self._due[tenant, customer] = due
            if due is not None:
                heappush(self._queue, (due, tenant, customer))
        self._meta = PartitionMeta(commit.next_offset, commit.meta)


class Hindsight:
    """Looks back into the log of a data directory. Raises what the log raises, StoreUnavailable where it is trimmed
    meanwhile, and StoreRefused for a principle file or a model that it names and that is not there."""

    def __init__(self, log: LogReader, settings: TenantSettings) -> None:
        self._log = log
        self._settings = settings
        self._library = FileLibrary(log.directory.principles_path, log.directory.models_path)

    def record_at(self, tenant: str, customer: str, version: int) -> Record:
        """A customer's record of that version. RecordUnreadable if the log does not give it; UsageError if it was
        trimmed since."""
        partition = partition_of(tenant, customer, self._log.directory.partitions)
        start = checkpoints.start_of(self._log.directory, partition, {(tenant, customer)})
        if version < start.meta.next_offset:
            raise UsageError(
                f"the record of version {version} was required, the log of partition {partition} was trimmed up to "
                f"offset {start.meta.next_offset}: it cannot be made again"
            )
        store = self._again(partition, start, {(tenant, customer)}, version + 1)
        held = store.load([(tenant, customer)])
        if held:
            record = decode(held[tenant, customer][0])
            if record.version == version:
                return record
        raise RecordUnreadable(
            f"the record of version {version} was required, partition {partition} of the log has none"
        )

    def look(self, partition: int, signals: Mapping[int, Customer], witness: Witness) -> None:
        """Shows the witness the signals at these offsets of a partition, each with its customer just before it."""
        customers = set(signals.values())
        start = checkpoints.start_of(self._log.directory, partition, customers)
        shown = {offset for offset in signals if offset >= start.meta.next_offset}
        if shown:
            self._again(partition, start, customers, max(shown) + 1, shown, witness)

    def _again(
        self,
        partition: int,
        start: Start,
        customers: Collection[Customer],
        until: int,
        shown: Collection[int] = (),
        witness: Witness | None = None,
    ) -> HeldRecords:
        """Applies the log from `start` up to `until`; the witness is shown the signals at the offsets `shown`."""
        store = HeldRecords(start)
        steps = PartitionSteps(partition, store, self._library, self._settings)
        steps.skipped = frozenset(self._log.poisoned(partition))
        while steps.next_offset < until:
            records = self._log.read(partition, steps.next_offset, min(READ_AT_ONCE, until - steps.next_offset))
            self._check_begin(partition, start.meta.next_offset)
            if not records:
                break
            end = records[-1].offset + 1
            mine = [one for one in records if one.kind in _FOR_ALL or (one.tenant, one.customer) in customers]
            while steps.next_offset < end:
                mine = [one for one in mine if one.offset >= steps.next_offset]
                count = at_once(mine, shown)
                decoded = [decode_signal(one) if one.kind is RecordKind.SIGNAL else one for one in mine[:count]]
                if witness is not None:
                    _show(decoded, shown, steps, store, witness)
                next_offset = mine[count].offset if count < len(mine) else end
                steps.write(steps.apply(Decoded(partition, next_offset, decoded, at_end=False), 0))
                steps.dropped.clear()
                if steps.missing is not None:
                    raise steps.missing
        return store

    def _check_begin(self, partition: int, offset: int) -> None:
        """StoreUnavailable unless the log still holds all that follows the offset. What it was trimmed up to is written
        before anything goes, so to be asked after reading: revisions stay, and would hide what is missing."""
        trimmed = self._log.directory.trimmed(partition)
        if trimmed > offset:
            raise StoreUnavailable(
                f"the log of partition {partition} from offset {offset} on was required, it begins at {trimmed}: it was"
                " trimmed meanwhile: try again; where that does not help, its checkpoint is lost: see `membrane doctor`"
            )


def at_once(records: Sequence[LogRecord], shown: Collection[int]) -> int:
    """How many of the records may be applied together, so that what is stored before them is, of every signal that is
    shown, its customer just before it: at least one."""
    touched: set[Customer] = set()
    for number, record in enumerate(records):
        customer = (record.tenant, record.customer)
        if record.offset in shown and (customer in touched or _NOBODY in touched):
            return number
        touched.add(customer)
    return len(records)


_NOBODY: Final = ("", "")
"""Whom a tick or a revision is for: everybody."""


def _show(
    records: Iterable[DecodedSignal | LogRecord],
    shown: Collection[int],
    steps: PartitionSteps,
    store: HeldRecords,
    witness: Witness,
) -> None:
    for entry in records:
        if isinstance(entry, DecodedSignal) and entry.signal is not None and entry.offset in shown:
            witness(entry.signal, entry.data, _view(entry.customer, entry.signal.time, steps, store))


def _view(customer: Customer, t: int, steps: PartitionSteps, store: HeldRecords) -> View:
    """The customer when the stream has come so far, at `t` or the clock that the signal would meet."""
    meta, held = steps.meta, store.load([customer]).get(customer)
    rules = steps.rules_of(customer[0])
    if held is None:
        return View(None, t, rules, who=customer)
    record = decode(held[0])
    progress = Progress(meta.fired_until, meta.revised, held[1])
    return View(record, max(t, record.clock, meta.last_tick), rules, progress=progress)
