"""What a judge sees: a customer at a moment, with facts read once, and a candidate made ready to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct

from membrane.arbitration import Contender
from membrane.caps import Cap, CapState, Claim, cap_state
from membrane.decisions import Candidate
from membrane.dictionary import FACTS, FactSource, Value
from membrane.facts import NOTHING, About, SharedFacts
from membrane.life import Who
from membrane.pauses import Pause, edges, of_principles
from membrane.principles import Etiquette, Principle, Timing
from membrane.quiet_hours import QuietHours
from membrane.record import BREACHED, OPEN, Contact, Record
from membrane.scope import Slot
from membrane.settings import TenantSettings, zone_of

_NOTHING_PAUSED: Final[frozenset[str]] = frozenset()
_LASTING: Final = frozenset(fact.name for fact in FACTS if fact.timed == "no")


class View(Protocol):
    """A customer as seen at moment `t`; `record` is None for one never seen."""

    @property
    def t(self) -> int: ...

    @property
    def record(self) -> Record | None: ...

    @property
    def claims(self) -> Sequence[Claim]:
        """The slots of contact caps that are held for this customer."""

    @property
    def who(self) -> Who:
        """Tenant and id, of one never seen as well."""

    @property
    def service_silent(self) -> bool:
        """Whether a source of cases or messages is silent."""

    @property
    def pauses(self) -> Sequence[Pause]:
        """The tenant's pauses, and the customer's."""

    @property
    def as_of(self) -> int | None:
        """The clock of the record as it was stored."""

    def at(self, t: int) -> View:
        """The customer at a later moment: due times up to it have fired on a copy."""

    def foresee(self, t: int) -> View:
        """The customer at a later moment as far as facts go: stage and lifecycle have moved, obligations are as they
        are now. Cheaper than `at`."""

    def facts(self, about: About = NOTHING, narrow: tuple[str, str] | None = None) -> FactSource:
        """The facts for a request; with `narrow` = (scope, entity) those of cases, problems, products and surveys as
        if only that entity were there."""

    def consent(self, channel: int, domain: int) -> str:
        """granted, denied or none."""

    def next_due(self) -> int | None:
        """The next moment > t at which the record itself changes by time."""


class ChangedFacts(SharedFacts):
    """The facts with some of them changed."""

    def __init__(self, source: FactSource, changes: Mapping[str, Value]) -> None:
        self._source = source
        get = source.get
        self.get = lambda name: changes[name] if name in changes else get(name)


class Asked(Struct, frozen=True):
    """A candidate made ready to be judged: `place` in the request; `at` is when it would go out; `may_be_owed`:
    something owed could be met by its kind, `met_by` as `PrincipleSet.met_by`. `slot` and `etiquette` are None for an
    unknown domain."""

    place: int
    candidate: Candidate
    contender: Contender
    slot: Slot | None
    etiquette: Etiquette | None
    about: About
    at: int
    may_be_owed: bool
    met_by: Mapping[str, frozenset[str]]


class Sight:
    """A view whose facts are read once, for all candidates judged at its moment."""

    def __init__(
        self,
        view: View,
        settings: TenantSettings,
        known: dict[str, Value] | None = None,
        asked_at: int | None = None,
    ) -> None:
        """`asked_at`: the moment of asking, at which claims must be alive, where it is not the moment judged."""
        self.view = view
        self.t = view.t
        record = view.record
        self._contacts: list[Contact] = record.state.contacts if record else []
        self._contacts_lost: dict[int, int] = record.state.contacts_lost if record else {}
        alive = self.t if asked_at is None else asked_at
        self._claims = [one for one in view.claims if alive < one.until] if view.claims else ()
        self.owed = [one for one in record.obligations if one.state in {OPEN, BREACHED}] if record else []
        given = view.pauses
        self.pauses: Sequence[Pause] = [one for one in given if one.stands(view.t)] if given else ()
        self.paused = frozenset(one.name for one in of_principles(self.pauses)) if given else _NOTHING_PAUSED
        self._pause_edges: Sequence[int] = edges(given) if given else ()
        self._record = record
        self._settings = settings
        self._shared: dict[str, Value] = known or {}
        self._facts: dict[int, SharedFacts] = {}
        self._changes: dict[str, int | None] = {}
        self._timings: dict[tuple[Timing, int], int | None] = {}
        self._caps: dict[str, CapState] = {}

    def later(self, t: int, *, exactly: bool, asked_at: int) -> Sight:
        """The customer at a later moment; unless `exactly`, what is owed is as it is now. Facts that only signals
        change are not read again."""
        known = {name: value for name, value in self._shared.items() if name in _LASTING}
        return Sight(self.view.at(t) if exactly else self.view.foresee(t), self._settings, known, asked_at)

    def facts(self, asked: Asked) -> SharedFacts:
        """The facts for a candidate."""
        found = self._facts.get(asked.place)
        if found is None:
            found = self._facts[asked.place] = SharedFacts(self.view.facts(asked.about), self._shared)
        return found

    def counts(self, principle: Principle) -> bool:
        """Whether a principle counts for this customer at this moment. What is locked cannot be paused."""
        paused = principle.id in self.paused and not principle.locked
        return not paused and principle.counts(self.view.who, self.t)

    def next_change(self, timing: Timing, asked: Asked) -> int | None:
        """The earliest moment at which conditions of this timing may change, or whether they count."""
        key = (timing, asked.place)
        if key not in self._timings:
            facts = self.facts(asked)
            changes = [self._next_change(name, facts) for name in timing.changing]
            if timing.on_position:
                changes.append(facts.next_move(timing.matters))
            self._timings[key] = earliest(
                [*changes, *timing.edges, *timing.age_moments(facts), *self._pause_edges], self.t
            )
        return self._timings[key]

    def _next_change(self, name: str, facts: FactSource) -> int | None:
        if name not in self._changes:
            self._changes[name] = facts.next_change(name)
        return self._changes[name]

    def cap_state(self, cap: Cap) -> CapState:
        """How full a cap is."""
        found = self._caps.get(cap.id)
        if found is None:
            found = self._caps[cap.id] = cap_state(cap, self._contacts, self.t, self._contacts_lost, self._claims)
        return found

    def quiet_change(self, quiet: QuietHours) -> int | None:
        """When quiet hours begin or end for this customer, worked out once."""
        if quiet.id not in self._changes:
            self._changes[quiet.id] = quiet.next_change(self.zone, self.t)
        return self._changes[quiet.id]

    @cached_property
    def next_due(self) -> int | None:
        """`View.next_due`, asked once."""
        return self.view.next_due()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The customer's time zone, else the tenant's."""
        own = self._record.state.profile.timezone if self._record else None
        return (zone_of(own[0]) if own else None) or zone_of(self._settings.timezone) or ZoneInfo("UTC")


def earliest(moments: Iterable[int | None], after: int) -> int | None:
    """The earliest of the moments later than `after`."""
    found: int | None = None
    for moment in moments:
        if moment is not None and moment > after and (found is None or moment < found):
            found = moment
    return found
