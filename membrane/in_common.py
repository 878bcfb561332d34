"""What customers have in common who lately entered crisis, beside a sample of all customers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from membrane.record import Record
from membrane.tiles import IN_CHANNEL
from membrane.times import DAY
from membrane.vocabulary import CHANNELS

Of = Literal["product", "category", "channel"]
Trait = tuple[Of, str]

OF: Final[tuple[Of, ...]] = ("product", "category", "channel")
MOST_SHOWN: Final = 5
LEAST_CUSTOMERS: Final = 2
WINDOW_DAYS: Final = 1


class Shared(Struct):
    """Something `customers` of those who entered have in common: their share, that among others, and the `lift`, how
    many times the one is the other (each with half a customer added, so that nothing is divided by zero)."""

    name: str
    customers: int
    share: float
    base_share: float
    lift: float


def traits(record: Record) -> set[Trait]:
    """Products and categories of the cases that are open or were touched within a day of the customer's clock, and the
    channels on which the customer came within it."""
    since = record.clock - WINDOW_DAYS * DAY
    found: set[Trait] = set()
    for case in record.state.cases:
        if case.touched_at > since or case.open:
            found |= {("product", case.product_now or case.product), ("category", case.category_now or case.category)}
    for day, sums in record.state.tiles_1d.items():
        if day >= since // DAY:
            found |= {("channel", name) for place, name in enumerate(CHANNELS) if sums.get(IN_CHANNEL + place)}
    return {one for one in found if one[1]}


def in_common(entered: Sequence[Record], others: Sequence[Record]) -> dict[Of, list[Shared]]:
    """The traits that at least two of `entered` have, by product, category and channel: those with most lift first."""
    counts, base = _counted(entered), _counted(others)
    found: dict[Of, list[Shared]] = {of: [] for of in OF}
    for (of, name), count in counts.items():
        if count >= LEAST_CUSTOMERS:
            found[of].append(_shared(name, count, len(entered), base[of, name], len(others)))
    return {of: sorted(shared, key=_by_lift)[:MOST_SHOWN] for of, shared in found.items()}


def _counted(records: Iterable[Record]) -> Counter[Trait]:
    return Counter(one for record in records for one in traits(record))


def _shared(name: str, count: int, entered: int, of_others: int, others: int) -> Shared:
    lift = (count + 0.5) / (entered + 1) / ((of_others + 0.5) / (others + 1))
    return Shared(name, count, round(count / entered, 4), round(of_others / max(others, 1), 4), round(lift, 2))


def _by_lift(shared: Shared) -> tuple[float, int, str]:
    return -shared.lift, -shared.customers, shared.name
