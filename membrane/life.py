"""The life of a principle: whether it counts at all, from when to when, and for which share of the customers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from membrane.document import DocumentReader
from membrane.ids import stable_id

EVERYBODY: Final = 100
"""The rollout, in percent, that leaves nobody out."""
LIFE_FIELDS: Final = ("status", "valid_from", "valid_to", "review_by", "approved_by", "rollout")
_PERCENT: Final = re.compile(r"(\d{1,3})%", re.ASCII)

Who = tuple[str, str]
"""A customer: tenant and id."""


class Status(StrEnum):
    """How far a principle has come: `draft` and `retired` are never evaluated, `shadow` is and answers nobody."""

    DRAFT = "draft"
    SHADOW = "shadow"
    LIVE = "live"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Life:
    """`valid_from` is in, `valid_to` out (epoch ms; None: there is no such end). `rollout`: percent of the customers.
    `review_by` (a date) and `approved_by` are for people: nothing is judged by them."""

    status: Status = Status.LIVE
    valid_from: int | None = None
    valid_to: int | None = None
    review_by: str = ""
    approved_by: str = ""
    rollout: int = EVERYBODY

    @property
    def bounded(self) -> bool:
        """Whether there are moments or customers for which it does not count."""
        return bool(self.edges) or self.rollout < EVERYBODY

    @property
    def edges(self) -> tuple[int, ...]:
        """The moments at which it begins and ends to count."""
        return tuple(edge for edge in (self.valid_from, self.valid_to) if edge is not None)

    def lasts_as_long(self, other: Life) -> bool:
        """Whether it begins no later and ends no sooner than another."""
        begins = self.valid_from is None or (other.valid_from is not None and self.valid_from <= other.valid_from)
        return begins and (self.valid_to is None or (other.valid_to is not None and self.valid_to >= other.valid_to))

    def covers(self, other: Life) -> bool:
        """Whether it certainly counts wherever another does, of a principle of another id: rollouts choose other
        customers for each."""
        alike = self.status in {Status.LIVE, other.status}
        return alike and self.rollout >= EVERYBODY and self.lasts_as_long(other)

    def meets(self, other: Life) -> bool:
        """Whether there is a moment at which both are in force."""
        apart = (self.valid_to, other.valid_from), (other.valid_to, self.valid_from)
        return self.status is other.status is Status.LIVE and not any(
            end is not None and begin is not None and end <= begin for end, begin in apart
        )

    def has_ended(self, t: int) -> bool:
        """Whether it counts for nobody any more at `t`."""
        return self.valid_to is not None and self.valid_to <= t

    def counts(self, principle: str, who: Who, t: int) -> bool:
        """Whether the principle of that id counts for a customer at `t`. Its share of the customers is the same in
        every process and replay; a greater one only adds to it."""
        begun = self.valid_from is None or self.valid_from <= t
        if not begun or self.has_ended(t):
            return False
        return self.rollout >= EVERYBODY or int(stable_id("rollout", principle, *who), 16) % 100 < self.rollout


ALWAYS: Final = Life()


def read_life(reader: DocumentReader, fields: dict[str, Any], path: str) -> Life:
    """The life in the fields of a principle; faults go to the reader."""
    at = {name: f"{path}.{name}" for name in LIFE_FIELDS}
    life = Life(
        status=Status(reader.choice(fields.get("status", "live"), at["status"], tuple(Status)) or "live"),
        valid_from=reader.moment(fields["valid_from"], at["valid_from"]) if "valid_from" in fields else None,
        valid_to=reader.moment(fields["valid_to"], at["valid_to"], day_over=True) if "valid_to" in fields else None,
        review_by=reader.date(fields["review_by"], at["review_by"]) if "review_by" in fields else "",
        approved_by=reader.text(fields["approved_by"], at["approved_by"]) if "approved_by" in fields else "",
        rollout=_rollout(reader, fields["rollout"], at["rollout"]) if "rollout" in fields else EVERYBODY,
    )
    if life.valid_from is not None and life.valid_to is not None and life.valid_to <= life.valid_from:
        reader.fault(at["valid_to"], "must be later than valid_from")
    return life


def _rollout(reader: DocumentReader, value: Any, path: str) -> int:
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[1]) <= EVERYBODY:
        reader.fault(path, "must be a share of the customers from 1% to 100%, such as 90%")
        return EVERYBODY
    return int(match[1])
