"""DELETE /v1/customers/{id}: all that is held of a customer goes, out of every file.

First the log: from then on nothing comes in any more. Then the stream, which forgets the customer when it meets the
ERASE record; then the other stores; at last the write-ahead logs, which still hold what was deleted.

What another process still has in hand comes into no store afterwards: the log asks in each transaction who is erased;
the decision log leaves out whom it was told of in the transaction that deleted; and a permit is granted under the lock
of the claims after a look at who is erased that is at most 100 ms old, while the claims are cleaned 500 ms after.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Final, Literal

import msgspec

from membrane.errors import MembraneError
from membrane.ports import partition_of
from membrane.times import format_time
from serving.problems import not_found
from serving.services import Services
from storage import checkpoints, erasing

SETTLE_SECONDS: Final = 0.5
"""After so long every process knows of an erasure when it grants permits: longer than `serving.erased.KEPT_SECONDS`."""
STREAM_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_STREAM: Final = "the stream"
_TRIM: Final = "the trim or backup"


class Receipt(msgspec.Struct):
    """What was erased: nothing in it tells of whom. `removed`: by file, how many rows of each table went. `state` is
    `done` when no file holds anything any more, else `waiting_for` says what has to run or end, and the request is to
    be made again. `partition` and `offset` are the place of the record of the log that stays as a proof."""

    state: Literal["done", "pending"]
    erased_at: str
    partition: int
    offset: int
    removed: dict[str, dict[str, int]]
    waiting_for: list[str]


async def erase(services: Services, tenant: str, customer: str) -> Receipt:
    """Erases a customer, and waits some seconds for it to be done. Problem 404 for one of whom nothing is held, and who
    was never erased."""
    names, directory = (tenant, customer), services.directory
    partition = partition_of(*names, directory.partitions)
    records = directory.records_path(partition)
    held = await services.cold(_held, services, names, records)
    removed, stone = await services.cold(services.log.erase, *names, services.freshness.now(), services.config.now_ms())
    counts = {directory.log_path.name: removed, records.name: held}
    passed, _ = await asyncio.gather(_passed(services, partition, stone.offset), asyncio.sleep(SETTLE_SECONDS))
    waiting = [] if passed else [_STREAM]
    flushed = await services.cold(services.decisions.flush)
    for path in erasing.other_stores(directory):
        counts[path.name] = await services.cold(erasing.erase_from, path, *names)
    checkpoint = f"checkpoint/{records.name}"
    try:
        from_checkpoint = await services.cold(checkpoints.erase, directory, partition, *names)
        counts[checkpoint] = from_checkpoint or {}
        waiting += [_TRIM] if from_checkpoint is None else []
    except MembraneError:
        waiting.append(checkpoint)
    files = (directory.log_path, records, *erasing.other_stores(directory))
    unclean = {path.name for path in files if not await services.cold(_is_clean, path, names)}
    waiting += sorted(unclean if flushed else unclean | {directory.decisions_path.name})
    return Receipt(
        state="pending" if waiting else "done",
        erased_at=format_time(stone.time_ms),
        partition=partition,
        offset=stone.offset,
        removed={file: rows for file, rows in counts.items() if rows},
        waiting_for=waiting,
    )


def _held(services: Services, names: tuple[str, str], records: Path) -> erasing.Removed:
    """What the stream's store holds of a customer. Problem 404 when nobody holds anything."""
    held = erasing.count_rows(records, *names)
    known = held or services.log.erasure(*names) is not None or services.log.timeline(*names, None, 1)
    if not known:
        flushed, directory = services.decisions.flush(), services.directory
        checkpoint = directory.checkpoint_path(partition_of(*names, directory.partitions))
        files = (directory.log_path, *erasing.other_stores(directory), checkpoint)
        if flushed and not any(erasing.count_rows(path, *names) for path in files if path.is_file()):
            raise not_found("customer")
    return held


async def _passed(services: Services, partition: int, offset: int) -> bool:
    """Whether the stream comes past an offset within some seconds."""
    end = monotonic() + STREAM_SECONDS
    while monotonic() < end:
        try:
            if (await services.cold(services.records.meta, partition)).next_offset > offset:
                return True
        except MembraneError:
            pass
        await asyncio.sleep(_POLL_SECONDS)
    return False


def _is_clean(path: Path, names: tuple[str, str]) -> bool:
    """Whether a store holds nothing of a customer, not even in its write-ahead log."""
    try:
        erasing.purge(path)
        return not erasing.count_rows(path, *names)
    except MembraneError:
        return False
