"""Which verdict wins: one ordered table, strongest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from membrane.vocabulary import Verdict

STRONGEST_FIRST: Final = (Verdict.FORBID, Verdict.DEFER, Verdict.ALLOW)
RANK: Final = {verdict: len(STRONGEST_FIRST) - place for place, verdict in enumerate(STRONGEST_FIRST)}
"""The higher, the stronger."""


def strongest(verdicts: Iterable[Verdict]) -> Verdict:
    """The strongest of the verdicts, in whatever order they come; nothing said is `allow`.

    >>> strongest([Verdict.ALLOW, Verdict.FORBID, Verdict.DEFER]).value
    'forbid'
    """
    return max(verdicts, key=RANK.__getitem__, default=Verdict.ALLOW)


def weaker(verdict: Verdict, than: Verdict) -> bool:
    """Whether `verdict` leaves more open than `than`."""
    return RANK[verdict] < RANK[than]
