"""What is set aside with a reason instead of coming into the log, as rows of its table of dead letters.

A number is never given twice, also when the letters that had the highest ones are gone: whoever has read a letter means
that one by its number, and no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from membrane.ports import NewSignal
from membrane.signals import MAX_SIGNAL_BYTES
from storage.log_meta import number, set_number
from storage.schema import for_partition
from storage.sqlite import select

_LAST: Final = "last_letter"
_INSERT: Final = "INSERT INTO dead_letters VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DROP: Final = "DELETE FROM dead_letters WHERE seq = ? AND received_ms = ? AND source = ? AND id = ?"
_POISON: Final = """
SELECT 'poison', ?, tenant, offset, '', '', body, ? FROM $log WHERE offset = ?
AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE partition = ? AND position = offset)
"""


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A signal to set aside: why, its position in its batch, and what can be said of it. Payloads are cut at 64 KiB; of
    an erased customer's neither the payload nor the id is kept."""

    reason: str
    tenant: str
    customer: str
    position: int
    source: str
    id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A signal set aside. `position` is its index in the batch it came in, or the offset in `partition` (poison)."""

    seq: int
    reason: str
    received_ms: int
    tenant: str
    position: int
    source: str
    id: str
    payload: bytes
    partition: int | None


def insert(connection: apsw.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keeps rows (of `rows_of`, say) under new numbers, in the running transaction."""
    if rows:
        greatest = select(connection, "SELECT coalesce(max(seq), 0) FROM dead_letters")[0][0]
        last = max(greatest, number(connection, _LAST) or 0)
        connection.executemany(_INSERT, [(seq, *row) for seq, row in enumerate(rows, last + 1)])
        set_number(connection, _LAST, last + len(rows))


def insert_poison(connection: apsw.Connection, partition: int, offset: int, now_ms: int) -> None:
    """Keeps the record at an offset, unless it is kept already, in the running transaction."""
    insert(connection, select(connection, for_partition(_POISON, partition), (now_ms, partition, offset, partition)))


def drop(connection: apsw.Connection, letters: Sequence[DeadLetter]) -> None:
    """Forgets just these letters, in the running transaction."""
    connection.executemany(_DROP, [(one.seq, one.received_ms, one.source, one.id) for one in letters])


def rows_of(
    letters: Sequence[NewDeadLetter],
    signals: Sequence[NewSignal],
    received_ms: int,
    gone: Collection[tuple[str, str]],
) -> Iterator[tuple[Any, ...]]:
    """The rows of what one request sets aside: its letters, and those of its signals whose customers are `gone`, which
    means erased. Of these it is kept who sends still, unless that would tell of whom."""
    for letter in letters:
        if (letter.tenant, letter.customer) in gone:
            yield _of_somebody_erased(letter.tenant, letter.customer, letter.position, letter.source, received_ms)
        else:
            payload = letter.payload[:MAX_SIGNAL_BYTES]
            yield letter.reason, received_ms, letter.tenant, letter.position, letter.source, letter.id, payload, None
    for place, signal in enumerate(signals):
        if (signal.tenant, signal.customer) in gone:
            yield _of_somebody_erased(signal.tenant, signal.customer, place, signal.source, received_ms)


def _of_somebody_erased(tenant: str, customer: str, place: int, source: str, received_ms: int) -> tuple[Any, ...]:
    return "erased", received_ms, tenant, place, "" if customer in source else source, "", b"", None
