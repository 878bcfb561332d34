"""Pauses: somebody's word that a domain, a principle or whatever persuades a customer waits until a moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from membrane.ids import stable_id
from membrane.scope import Slot
from membrane.vocabulary import KINDS, InteractionClass

What = Literal["domain", "principle", "customer"]

_NEVER_PAUSED: Final = frozenset({InteractionClass.HELP, InteractionClass.DUTY})
_SNOOZED: Final = frozenset({InteractionClass.PERSUASION, InteractionClass.SURVEY})
PAUSABLE: Final = tuple(domain for domain, classes in KINDS.items() if not _NEVER_PAUSED.issuperset(classes))
"""The domains of which there is something that may be paused."""


class Pause(Struct, frozen=True):
    """For [since, until) in epoch ms: of a domain all that goes out but help and duty is deferred, a principle counts
    for nobody of the tenant, a customer is neither persuaded nor asked for opinions. `by` and `why` say whose word it
    is and what for."""

    id: str
    tenant: str
    what: What
    name: str
    since: int
    until: int
    by: str
    why: str

    @property
    def words(self) -> tuple[str, str, str, int, str, str]:
        """What is said, whenever it was said."""
        return self.tenant, self.what, self.name, self.until, self.by, self.why

    def stands(self, t: int) -> bool:
        """Whether it is in force at `t`."""
        return self.since <= t < self.until

    def holds_back(self, slot: Slot) -> bool:
        """Whether candidates of a slot are deferred while it stands."""
        if self.what == "customer":
            return slot.cls in _SNOOZED
        of_domain = self.what == "domain" and slot.domain == self.name and slot.direction == "outbound"
        return of_domain and slot.cls not in _NEVER_PAUSED


class PauseRecord(Struct):
    """A PAUSE record of the log: that a pause begins, or at `time` ends before its time. `by` and `why` are of the word
    that is recorded."""

    act: Literal["pause", "resume"]
    time: int
    by: str
    why: str
    pause: Pause


def named(pause: Pause, known: Iterable[Pause]) -> Pause:
    """A pause that begins, with its id: of its words, and how many of the `known` ones, which were ever begun, have the
    same. So one that is begun anew is another, and two who begin it at the same moment begin one."""
    beginning = sum(one.words == pause.words for one in known)
    return replace(pause, id=stable_id("pause", *pause.words, beginning))


def paused_until(pauses: Iterable[Pause], principle: str, t: int) -> int:
    """Until when a principle is paused at `t`; 0 if it is not."""
    return max(
        (one.until for one in pauses if one.what == "principle" and one.name == principle and one.stands(t)), default=0
    )


def edges(pauses: Iterable[Pause]) -> list[int]:
    """The moments at which they begin and end."""
    return [moment for one in pauses for moment in (one.since, one.until)]


def of_principles(pauses: Iterable[Pause]) -> list[Pause]:
    """Those that pause a principle."""
    return [one for one in pauses if one.what == "principle"]
