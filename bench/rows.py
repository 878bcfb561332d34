"""What a benchmark gives: rows of must, aim and measured, with the control beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bound:
    """A must or an aim: the figure may be at most (`<=`, `<`) or must be at least (`>=`) so much."""

    sign: str
    figure: float

    def holds(self, measured: float) -> bool:
        return {"<=": measured <= self.figure, "<": measured < self.figure, ">=": measured >= self.figure}[self.sign]

    def __str__(self) -> str:
        return f"{self.sign} {self.figure:,g}"


@dataclass(frozen=True)
class Row:
    """One figure. `n` is what it was taken from, `control` the same figure of the bare route in the same windows."""

    what: str
    unit: str
    measured: float
    n: str
    must: Bound | None = None
    aim: Bound | None = None
    control: float | None = None
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.must is not None and not self.must.holds(self.measured):
            return "must missed"
        if self.aim is not None and self.aim.holds(self.measured):
            return "aim"
        return "must" if self.must is not None else "reported"

    def as_json(self) -> dict[str, Any]:
        bounds = {name: str(bound) if bound else None for name, bound in (("must", self.must), ("aim", self.aim))}
        return {**asdict(self), **bounds, "verdict": self.verdict}


def at_most(figure: float) -> Bound:
    return Bound("<=", figure)


def below(figure: float) -> Bound:
    return Bound("<", figure)


def at_least(figure: float) -> Bound:
    return Bound(">=", figure)
