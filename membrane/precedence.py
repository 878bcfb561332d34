"""Which verdict wins: one ordered table, strongest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from membrane.vocabulary import Verdict

STRONGEST_FIRST: Final = (Verdict.FORBID, Verdict.DEFER, Verdict.ALLOW)


def strongest(verdicts: Iterable[Verdict]) -> Verdict:
    """The strongest of the verdicts, in whatever order they come; nothing said is `allow`.

    >>> strongest([Verdict.ALLOW, Verdict.FORBID, Verdict.DEFER]).value
    'forbid'
    """
    given = tuple(verdicts)
    for verdict in STRONGEST_FIRST:  # no dictionary: the hash of an enumeration's member is worked out in Python
        if verdict in given:
            return verdict
    return Verdict.ALLOW


def weaker(verdict: Verdict, than: Verdict) -> bool:
    """Whether `verdict` leaves more open than `than`."""
    return place(verdict) > place(than)


def place(verdict: Verdict) -> int:
    """Where a verdict stands in the table: the smaller, the stronger."""
    return STRONGEST_FIRST.index(verdict)
