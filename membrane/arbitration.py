"""Arbitration: of several allowed candidates that persuade, one is chosen; the others wait."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


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
    """propensity x value x context x lever; what is not given counts as 1."""
    given = (1.0 if propensity is None else propensity) * (1.0 if value is None else value)
    return given * (1.0 if context is None else context) * lever


def group_of(choose: str, domain: str) -> str | None:
    """Whom a candidate of this domain competes with; None: nobody."""
    return {"per_domain": domain, "one": "", "none": None}[choose]


def winner(contenders: Iterable[Contender]) -> str | None:
    """The id of the one chosen, whatever the order they come in; None of nobody."""
    best = min(contenders, key=lambda one: one.rank, default=None)
    return None if best is None else best.candidate
