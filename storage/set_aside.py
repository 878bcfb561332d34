"""What is set aside with a reason instead of coming into the log, as rows of its table of dead letters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from membrane.ports import NewSignal
from membrane.signals import MAX_SIGNAL_BYTES


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
            yield letter.reason, received_ms, letter.tenant, letter.position, letter.source, letter.id, payload
    for place, signal in enumerate(signals):
        if (signal.tenant, signal.customer) in gone:
            yield _of_somebody_erased(signal.tenant, signal.customer, place, signal.source, received_ms)


def _of_somebody_erased(tenant: str, customer: str, place: int, source: str, received_ms: int) -> tuple[Any, ...]:
    return "erased", received_ms, tenant, place, "" if customer in source else source, "", b""
