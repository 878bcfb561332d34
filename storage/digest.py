"""The digest of a data directory: what every test of equality compares."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from membrane.ports import Effect
from storage.directory import DataDir
from storage.record_reader import PartitionSnapshot, RecordReader


class Digest(msgspec.Struct, frozen=True):
    """The answer of `membrane digest`: three hashes, and how far each partition has come."""

    customers: int
    records_sha256: str
    outbox_sha256: str
    examples_sha256: str
    offsets: list[int]


def digest(path: str | Path) -> Digest:
    """The digest over (key, record bytes) in key order, the outbox without its delivery state, and what there is to
    learn from: of all of them every field, and no number that depends on how many rows others have.

    Read-only, each partition at one moment, also beside a running writer. UsageError if there is no data directory;
    RecordUnreadable or StoreUnavailable if a store cannot be read.
    """
    reader = RecordReader(DataDir.existing(path))
    try:
        with ExitStack() as stack:
            partitions = range(reader.directory.partitions)
            snapshots = [stack.enter_context(reader.snapshot(partition)) for partition in partitions]
            customers, records = _hash_records(snapshots)
            offsets = [snapshot.meta.next_offset for snapshot in snapshots]
            return Digest(customers, records, _hash_outbox(snapshots), _hash_learned(snapshots), offsets)
    finally:
        reader.close()


def _hash_records(snapshots: list[PartitionSnapshot]) -> tuple[int, str]:
    hashed, customers = sha256(), 0
    for key, body in heapq.merge(*(snapshot.records() for snapshot in snapshots)):
        hashed.update(b"%d %d " % (key, len(body)))
        hashed.update(body)
        customers += 1
    return customers, hashed.hexdigest()


def _hash_outbox(snapshots: list[PartitionSnapshot]) -> str:
    hashed = sha256()
    for effect in _effects(snapshots):
        hashed.update(msgspec.json.encode(_fields(effect)))
    return hashed.hexdigest()


def _hash_learned(snapshots: list[PartitionSnapshot]) -> str:
    hashed = sha256()
    for snapshot in snapshots:
        for row in snapshot.learned():
            hashed.update(msgspec.json.encode(row))
    return hashed.hexdigest()


def _effects(snapshots: list[PartitionSnapshot]) -> Iterator[Effect]:
    for snapshot in snapshots:
        yield from snapshot.effects()


def _fields(effect: Effect) -> list[Any]:
    return [effect.id, effect.offset, effect.kind, effect.tenant, effect.customer, effect.time_ms, effect.body]
