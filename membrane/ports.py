"""The ports: what the domain and its processes ask of stores and models. Adapters live in storage/ and models/.

Nothing here imports an adapter. Bytes of records are opaque to the stores; `membrane.record` gives them meaning.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "ERASED",
    "Commit",
    "Effect",
    "Erasure",
    "Learned",
    "LogRecord",
    "NewSignal",
    "PartitionMeta",
    "RecordKind",
    "Scorer",
    "SignalSource",
    "StateStore",
    "partition_of",
]


class RecordKind(IntEnum):
    """The kinds of records of the log; the numbers are stored."""

    SIGNAL = 1
    TICK = 2
    REVISION = 3
    ACT = 4
    ERASE = 5
    PAUSE = 6


def partition_of(tenant: str, customer: str, partitions: int) -> int:
    """The log partition of a customer: crc32(tenant NUL customer) modulo their number."""
    return zlib.crc32(f"{tenant}\0{customer}".encode()) % partitions


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of one log partition. `body` is JSON: for a SIGNAL a `membrane.signals.StoredSignal`, for a TICK
    `{"time": ms}`, for a REVISION `{"kind": "principles"|"stage_model"|"churn_model", "revision", "digest"}` (for
    "stage_challengers" and "churn_challengers" with `"challengers": [{"revision", "digest"}]`, all of them), for an
    ACT `{"act": "meet"|"waive", "tenant", "customer", "obligation", "time": ms, "by", "reason"}`, for a PAUSE
    a `membrane.pauses.PauseRecord`, for an ERASE an `Erasure`, or nothing: there was a record of an erased customer."""

    offset: int
    kind: RecordKind
    received_ms: int
    tenant: str
    customer: str
    body: bytes


ERASED: Final = "erased"
"""The kind of the effect that tells that a customer was erased, and not who."""


class Erasure(msgspec.Struct, frozen=True):
    """An ERASE record of the log: all that is known of a customer goes. `customer_key` is a hash of its names."""

    tenant: str
    customer_key: int
    time: int


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A checked signal on its way into the log. `body` is a JSON `StoredSignal`; `consents` are
    (channel index, domain index, granted, time_ms) that must be visible with it, and so must what follows from
    `opts_out_of`, the id of a contact whose channel and domain the customer closes. `contact` is a contact that was
    made: (its id, channel index, domain index). `is_service`: it is of a case or a message."""

    tenant: str
    customer: str
    source: str
    id: str
    time_ms: int
    body: bytes
    consents: tuple[tuple[int, int, bool, int], ...] = ()
    contact: tuple[str, int, int] | None = None
    opts_out_of: str | None = None
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """Something the stream tells the world: a stage change, an obligation's new state.

    `id` is the same in every replay: `<partition>-<offset>-<customer>-<n>`, or the obligation's id and state."""

    id: str
    offset: int
    kind: str
    tenant: str
    customer: str
    time_ms: int
    body: bytes


@dataclass(slots=True)
class Learned:
    """What one step of the stream has to learn from. An example is known by the offset of the log record whose vector
    it is; the numbers of labels grow with the log."""

    examples: list[tuple[int, str, str, int, int | None, bytes]] = field(default_factory=list)
    # (offset, tenant, customer, time, end of the horizon of churn that is waited for, `examples.Served`)
    labels: list[tuple[int, int, int, int, str, int, int, int, int]] = field(default_factory=list)
    # (number, the fields of a `record.Label`, offset of its example, and after which time this must lie)
    decided: list[int] = field(default_factory=list)  # offsets of examples whose horizon is waited for no more
    offset_bound: int = -1  # examples are dropped up to this offset,
    time_bound: int = -1  # and up to this time,
    labels_bound: int = -1  # and labels up to this number


@dataclass(slots=True)
class Commit:
    """What one step of the stream writes in ONE transaction of one partition's store."""

    records: list[tuple[str, str, bytes]] = field(default_factory=list)  # (tenant, customer, record bytes)
    due: list[tuple[str, str, int | None]] = field(
        default_factory=list
    )  # next due time of each written customer; alone for one whose record cannot be read
    effects: list[Effect] = field(default_factory=list)
    obligations: list[tuple[str, str, str, str, str, int, bytes]] = field(default_factory=list)
    # (obligation id, tenant, customer, state, owner, due_ms, JSON body): the latest state of each
    next_offset: int = 0  # the offset after the last record applied
    meta: bytes = b""  # PartitionMeta as JSON
    everybody_due: bool = False  # let every other customer of the partition be due at the next tick
    learned: Learned | None = None
    erased: list[tuple[str, str]] = field(default_factory=list)  # customers of whom nothing may be left


@dataclass(frozen=True, slots=True)
class PartitionMeta:
    """What a partition's store says of itself beside its records."""

    next_offset: int
    meta: bytes


class SignalSource(Protocol):
    """The read side of the log, for one partition at a time."""

    def read(self, partition: int, offset: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records of `partition` from `offset` on, in order; empty at the end."""

    def end(self, partition: int) -> int:
        """The offset that the next record will get."""


class StateStore(Protocol):
    """The store of one partition. Raises StoreUnavailable, AnotherWriter or StoreRefused, never for data."""

    def meta(self) -> PartitionMeta: ...

    def load(self, customers: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bytes, int | None]]:
        """Those of the customers that have a record: its bytes, and the next due time (0: it may be any time)."""

    def due_before(self, t: int, limit: int) -> list[tuple[str, str, int]]:
        """Customers whose next due time is <= t, and that time, by (due time, tenant, customer)."""

    def horizons(self, t: int) -> list[tuple[int, int, int]]:
        """The examples whose horizon ends at or before t: its end, their offset and time."""

    def named(self, customer_key: int) -> list[tuple[str, str]]:
        """The customers that have a record, and names of that hash."""

    def commit(self, commit: Commit) -> None:
        """All or nothing; refuses (AnotherWriter) when the epoch in the store is not ours any more."""


class Scorer(Protocol):
    """What infers. Pure: the same rows give the same outputs, whatever the batch they come in."""

    def score(self, rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Rows (n, features) -> stage probabilities (n, 6) in the order of STAGES and churn probabilities (n,)."""
