"""Arbitration: of several allowed candidates that persuade, one is chosen; the others wait."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

_GREATEST: Final = sys.float_info.max


class Contender(Struct, frozen=True):
    """A candidate that may be chosen. `owed`: it fulfils an open obligation, and so goes before what is only wished."""

    candidate: str
    score: float
    owed: bool = False

    @property
    def rank(self) -> tuple[bool, float, str]:
        """The smaller goes first: what is owed, then the highest score, then the smallest id."""
        return not self.owed, -self.score, self.candidate


def score(propensity: float | None, value: float | None, context: float | None = None, lever: float = 1.0) -> float:
    """propensity x value x context x lever; what is not given counts as 1. What is beyond a float is the greatest one:
    no score is no number, which would let the order of the request choose.

    >>> score(None, 1e308, 1000.0, 0.0)
    0.0
    """
    given = (1.0 if propensity is None else propensity) * (1.0 if value is None else value)
    return _bounded(_bounded(given * (1.0 if context is None else context)) * lever)


def _bounded(number: float) -> float:
    return min(max(number, -_GREATEST), _GREATEST)


def group_of(choose: str, domain: str) -> str | None:
    """Whom a candidate of this domain competes with; None: nobody."""
    return {"per_domain": domain, "one": "", "none": None}[choose]


def winner(contenders: Iterable[Contender]) -> str | None:
    """The id of the one chosen, whatever the order they come in; None of nobody."""
    best = min(contenders, key=lambda one: one.rank, default=None)
    return None if best is None else best.candidate
