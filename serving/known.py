"""What can be known of a customer for a decision, and in which ways it falls short (`degraded`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from membrane.caps import Claim
from membrane.errors import MembraneError, RecordUnreadable
from membrane.layers import COMMON
from membrane.pauses import Pause
from membrane.ports import RecordKind, partition_of
from membrane.record import Record, decode
from membrane.settings import TenantSettings
from membrane.signals import read_stored
from membrane.view import LogConsent
from membrane.vocabulary import SOURCE_SILENT
from serving.claims import LiveClaims
from serving.erased import Erased
from serving.freshness import NOTHING_YET, Freshness, StreamState
from serving.pauses import Pauses
from serving.principle_sets import InForce, PrincipleSets
from serving.silence import Silence
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

STALE_SECONDS: Final = 60.0
VERY_STALE_SECONDS: Final = 15 * 60.0
CLAIMS_UNREADABLE: Final = "claims_unreadable"


@dataclass(slots=True)
class Known:
    """A customer's record (None: never seen, or unreadable), the moment from which time may change it (0: not known),
    the consents the log holds, the slots of caps that are claimed, how fresh the stream's work is (None: it never
    worked), the principles, settings and pauses in force, whether a source of cases or messages is silent, and whether
    the customer is erased."""

    record: Record | None = None
    due: int | None = 0
    consents: Sequence[LogConsent] = ()
    claims: Sequence[Claim] = ()
    state: StreamState = NOTHING_YET
    staleness_seconds: float | None = None
    in_force: InForce = field(default_factory=lambda: InForce(None))
    settings: TenantSettings = field(default_factory=TenantSettings)
    erased: bool = False
    pauses: tuple[Pause, ...] = ()
    degraded: list[str] = field(default_factory=list)
    service_silent: bool = False


class Knowledge:
    """Gathers it: all local reads. What cannot be read of a customer is a word in `degraded`, no error."""

    def __init__(
        self,
        log: LogReader,
        records: RecordReader,
        freshness: Freshness,
        principles: PrincipleSets,
        pauses: Pauses,
        claims: LiveClaims | None,
        silence: Silence | None = None,
    ) -> None:
        """Without `claims` there are none; without `silence` no source is ever silent."""
        self._claims = claims
        self._silence = silence
        self._log = log
        self._pauses = pauses
        self._erased = Erased(log)
        self._records = records
        self._freshness = freshness
        self._principles = principles

    def now(self) -> int:
        """The moment that decisions are for. Raises StoreUnavailable or RecordUnreadable."""
        return self._freshness.now()

    def is_erased(self, tenant: str, customer: str) -> bool:
        """Whether a customer is erased. Raises StoreUnavailable or RecordUnreadable."""
        return self._erased.holds(tenant, customer)

    def applied(self, tenant: str, customer: str) -> int:
        """The offset up to which the stream has applied the log of a customer's partition; 0 if that cannot be read."""
        try:
            return self._records.meta(partition_of(tenant, customer, self._records.directory.partitions)).next_offset
        except MembraneError:
            return 0

    def traceparent(self, record: Record) -> str:
        """The trace of the signal that wrote a record; "" if it came without, or something else wrote it."""
        partition = partition_of(record.tenant, record.customer, self._records.directory.partitions)
        try:
            for one in self._log.read(partition, record.version, 1):
                return read_stored(one.body).traceparent if one.kind is RecordKind.SIGNAL else ""
        except (MembraneError, msgspec.MsgspecError):
            pass
        return ""

    def of(self, tenant: str, customer: str, now: int, claims: Sequence[Claim] | None = None) -> Known:
        """What is known of one customer at `now`; `claims` where they have been read already."""
        known = Known()
        partition = partition_of(tenant, customer, self._records.directory.partitions)
        self._read_stream(known, partition)
        self._read_record(known, tenant, customer)
        try:
            known.erased = self.is_erased(tenant, customer)
            known.consents = self._log.consents(tenant, customer)
            known.pauses = self._pauses.of(tenant, customer, now)
        except MembraneError:
            known.degraded.append("consents_unreadable")
        try:
            if claims is None:
                claims = self._claims.of(tenant, customer, now) if self._claims else ()
            known.claims = claims
        except MembraneError:
            known.degraded.append(CLAIMS_UNREADABLE)
        known.in_force = self._principles.in_force(partition, known.state, tenant)
        known.settings = known.state.tenants.get(tenant, known.settings)
        quiet = self._silence.of(tenant, known.settings) if self._silence is not None else []
        if quiet:
            known.degraded.append(SOURCE_SILENT)
        known.service_silent = any(one.is_service for one in quiet)
        if known.in_force.principles is None:
            known.degraded.append("no_principles")
        elif known.in_force.last_good or COMMON in known.state.unreadable:
            known.degraded.append("principles_last_good")
        if known.in_force.principles is None or known.in_force.last_good:
            known.due = 0  # the stream judges by others
        return known

    def _read_stream(self, known: Known, partition: int) -> None:
        try:
            known.state = self._freshness.state(partition)
        except MembraneError:
            return  # the record lies in the same store: that it cannot be read is told there
        known.staleness_seconds = self._freshness.staleness_seconds(known.state)
        if known.staleness_seconds is None or known.staleness_seconds > VERY_STALE_SECONDS:
            known.degraded.append("very_stale")
        elif known.staleness_seconds > STALE_SECONDS:
            known.degraded.append("stale")
        if "stage_model" not in known.state.revisions:
            known.degraded.append("model_missing")

    def _read_record(self, known: Known, tenant: str, customer: str) -> None:
        try:
            stored, known.due = self._records.get_due(tenant, customer)
            known.record = None if stored is None else decode(stored)
            if known.record is not None and (known.record.tenant, known.record.customer) != (tenant, customer):
                raise RecordUnreadable("the record is another customer's")
        except MembraneError:
            known.record = None
            known.degraded.append("record_unreadable")
        if known.record is not None and known.record.tracker.model_invalid:
            known.degraded.append("model_invalid")
