"""Room for obligations: 24 of them as they are, and of the closed ones that had to go what is needed so that nothing is
owed twice.

What is owed never goes. Of the closed the needless go first and leave nothing: what is no money, is counted by no
`at_most` or `every` any more, and is about a case, problem, product, survey or episode that the record no longer knows.
Of the others that went up to 40 are kept in `Record.past`, counted money first. Where that has lost money, no more of
the window is opened: the safe side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from membrane.entities import entities
from membrane.ids import stable_id
from membrane.principles import MONEY_KINDS, PrincipleSet, Promise
from membrane.record import MET, WAIVED, Obligation, Past, Record
from membrane.times import DAY

KEPT: Final = 24
"""A record keeps this many obligations."""
KEPT_PAST: Final = 40
"""And of so many others that they were opened, and when. No `at_most` counts more than 24."""
_MONEY_FOR: Final = 365 * DAY
"""How long money counts where its principle names no window."""


def obligation_id(record: Record, principle: str, key: str) -> str:
    """The id of what a principle makes owed to this customer, once per `key`."""
    return stable_id(principle, record.tenant, record.customer, key)


def was_opened(record: Record, obligation: str) -> bool:
    """Whether an obligation was ever opened, as far as the record knows."""
    return any(one.obligation == obligation for one in record.obligations) or (
        bool(record.past) and any(one.obligation == int(obligation, 16) for one in record.past)
    )


def openings(record: Record, principle: str) -> Iterator[int]:
    """When the obligations of a principle were opened, as far as the record knows."""
    yield from (one.opened_at for one in record.obligations if one.principle == principle)
    if record.past:
        yield from (one.opened_at for one in record.past if one.principle == _key(principle))


def may_be_paid(record: Record, promise: Promise, at: int) -> bool:
    """Whether all money is known that speaks against owing (more of) it at `at`. Always true of what is no money."""
    return promise.kind not in MONEY_KINDS or record.forgotten_at <= at - _window(promise)


def make_room(record: Record, principles: PrincipleSet, t: int) -> bool:
    """Sees to it that the record has room for one more obligation at `t`; False if all that it has are still owed."""
    if len(record.obligations) < KEPT:
        return True
    closed = [one for one in record.obligations if one.state in {MET, WAIVED}]
    if not closed:
        return False
    need = _Need(record, principles, t)
    closed.sort(key=lambda one: (one.closed_at, one.opened_at, one.obligation))
    gone = next((one for one in closed if not need.needs(one)), None)
    record.obligations.remove(gone or closed[0])
    if gone is None:
        _remember(record, _past(closed[0]), need)
    return True


def _remember(record: Record, past: Past, need: _Need) -> None:
    kept = [*record.past, past]
    if len(kept) > KEPT_PAST:
        lost = min(kept, key=lambda one: (*need.rank(one), one.opened_at, one.obligation))
        kept.remove(lost)
        if lost.money:
            record.forgotten_at = max(record.forgotten_at, lost.opened_at)
    record.past = kept


class _Need:
    """What closed obligations are still needed for."""

    def __init__(self, record: Record, principles: PrincipleSet, t: int) -> None:
        self._record = record
        self._t = t
        self._promises = {rule.id: rule.promise for rule in principles.requires if rule.promise}
        self._windows = {_key(principle): _window(promise) for principle, promise in self._promises.items()}
        self._names: dict[str, frozenset[str]] = {}

    def needs(self, one: Obligation) -> bool:
        """Whether it is money, is counted, or is about something that the record still knows."""
        past = _past(one)
        return past.money or self._counted(past) or one.about in self._named(one.scope)

    def rank(self, past: Past) -> tuple[bool, bool, bool]:
        """What is needed more than other things: counted money, what is counted, what the record still knows."""
        counted = self._counted(past)
        return counted and past.money, counted, past.obligation in self._known

    def _counted(self, past: Past) -> bool:
        """Money of a principle that is not in force counts: it may come back into force."""
        window = self._windows.get(past.principle)
        return past.money if window is None else past.opened_at > self._t - window

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(
            int(obligation_id(self._record, principle, f"{promise.once_per}:{about}"), 16)
            for principle, promise in self._promises.items()
            for about in self._named(promise.once_per)
        )

    def _named(self, scope: str) -> frozenset[str]:
        if scope not in self._names:
            self._names[scope] = frozenset(_named(self._record, scope, self._t))
        return self._names[scope]


def _named(record: Record, scope: str, t: int) -> Iterable[str]:
    """What the record knows that obligations may (again) be about."""
    cases = record.state.cases
    if scope == "case":
        return (case.case for case in cases)
    if scope == "product":
        return (product for case in cases for product in (case.product, case.product_now))
    if scope == "survey":
        return (low.survey for low in record.state.low_scores)
    return entities(record, t, scope)


def _window(promise: Promise) -> int:
    """How long an obligation counts against another of its principle, 0 if not at all."""
    window = max(promise.at_most[1] if promise.at_most else 0, promise.every_ms)
    return window or (_MONEY_FOR if promise.kind in MONEY_KINDS else 0)


def _past(one: Obligation) -> Past:
    return Past(int(one.obligation, 16), _key(one.principle), one.opened_at, one.kind in MONEY_KINDS)


@lru_cache(maxsize=1024)
def _key(principle: str) -> int:
    return int(stable_id(principle), 16)
