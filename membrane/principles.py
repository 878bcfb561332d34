"""Principles: rules of etiquette, each a condition with an effect, a scope and the text shown as the reason.

A `PrincipleSet` is one revision of a principle file, made by `membrane.principle_file.read_principles`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from membrane.caps import Cap
from membrane.conditions import Condition
from membrane.dictionary import BY_NAME, FEATURE_PREFIX, ON_LIFECYCLE, ON_STAGE, FactSource, Position
from membrane.expressions import CASE_AGE, AgeBound, Dependence
from membrane.given import Given
from membrane.levers import Levers, factor
from membrane.life import ALWAYS, Life, Status, Who
from membrane.quiet_hours import QuietHours
from membrane.scope import Scope, Slot
from membrane.vocabulary import OBLIGATION_KINDS, InteractionClass, Verdict

NEVER_CAPPED: Final = frozenset({InteractionClass.HELP, InteractionClass.DUTY})
"""What no cap holds back; it counts in one all the same."""
OWNERS: Final = ("marketing", "sales", "service", "billing", "legal", "insight", "operations")
MONEY_KINDS: Final = frozenset({"free_service", "service_credit"})
BREAKER: Final = 1_000
"""How many obligations a principle may open within an hour where it does not say."""
MODEL_FACTS: Final = frozenset({"risk.churn"})
"""Facts that only a model can give. `stage.p_crisis` is none of them: rules alone say 1 or 0."""


class Effect(StrEnum):
    """What a principle does when its condition holds."""

    FORBID = "forbid"
    DEFER = "defer"
    MODIFY = "modify"
    REQUIRE = "require"


@dataclass(frozen=True, slots=True)
class Promise:
    """What a `require` principle makes the company owe: what, who, within `due_ms`, and how often. `once_per` and
    `every_ms` exclude each other; `at_most` is (count, window in ms); `met_by` names the kinds of contacts or credits
    that meet it in place of the usual ones. When it is breached it becomes that of `escalate_to`; where more than
    `breaker` are opened within an hour, they are held."""

    kind: str
    owner: str
    due_ms: int
    once_per: str = ""
    every_ms: int = 0
    at_most: tuple[int, int] | None = None
    approval: str = ""
    met_by: frozenset[str] = frozenset()
    escalate_to: str = ""
    breaker: int = BREAKER


@dataclass(frozen=True, slots=True)
class InlineTest:
    """A test in the file: with these facts (None: when the evaluation fails) the principle matches or not."""

    path: str
    given: Given | None
    matches: bool


@dataclass(frozen=True)
class Principle:
    """One rule. `changes` is what a `modify` sets, `promise` what a `require` makes owed, `life` says when it counts.
    `locked`: a tenant's own file may not loosen it."""

    id: str
    owner: str
    text: dict[str, str]
    scope: Scope
    condition: Condition
    effect: Effect
    changes: dict[str, Any] = field(default_factory=dict)
    promise: Promise | None = None
    tests: tuple[InlineTest, ...] = ()
    life: Life = ALWAYS
    locked: bool = False

    @cached_property
    def bounded(self) -> bool:
        """Whether there are moments or customers for which it does not count."""
        return self.life.bounded

    def counts(self, who: Who, t: int) -> bool:
        """Whether it counts for a customer at `t`."""
        return not self.bounded or self.life.counts(self.id, who, t)

    @cached_property
    def timing(self) -> Timing:
        """How time alone may change whether it matches."""
        return timing_of((self,))

    @cached_property
    def verdict(self) -> Verdict:
        """What it says of a candidate when its condition holds."""
        return {Effect.FORBID: Verdict.FORBID, Effect.DEFER: Verdict.DEFER}.get(self.effect, Verdict.ALLOW)

    @property
    def on_error(self) -> bool:
        """Whether it counts as matching when its condition fails: the safe side. Money and changes of manner wait."""
        if self.effect is Effect.REQUIRE:
            return self.promise is not None and self.promise.kind not in MONEY_KINDS
        return self.effect is not Effect.MODIFY

    def may_hold_in(self, stage: str) -> bool:
        """Whether the condition may hold in a stage; where not, it need not be evaluated."""
        stages = self.condition.position.stages
        return stages is None or stage in stages

    def matches(self, facts: FactSource) -> bool:
        """Whether the condition holds for these facts, or fails where failing counts as holding."""
        found = self.condition.evaluate(facts)
        return self.on_error if found is None else found


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Something that no principle, cap or quiet hour may keep from the customer."""

    id: str
    scope: Scope
    text: dict[str, str]


GUARANTEES: Final = (
    Guarantee(
        "never-silence-safety",
        Scope(domains=frozenset({"legal"})),
        {
            "es": "Los avisos legales y de seguridad siempre llegan.",
            "en": "Legal and safety notices always get through.",
        },
    ),
    Guarantee(
        "never-silence-help",
        Scope(
            domains=frozenset({"service"}),
            kinds=frozenset({"ticket_reply", "outage_notice", "security_notice", "appointment"}),
        ),
        {
            "es": "Responder a quien pidió ayuda nunca se bloquea.",
            "en": "Answering someone who asked for help is never blocked.",
        },
    ),
)
"""In force for every tenant, whether or not its file repeats them."""


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """How time alone may change some conditions: facts that name their own next change (`on_position`: through a move
    of stage or lifecycle), ages against literals. A feature that is an age is among the former only where it is not
    just compared with literals. `edges`: the moments at which some of the principles begin or end to count."""

    changing: tuple[str, ...]
    on_position: tuple[Dependence, ...]
    ages: tuple[AgeBound, ...]
    edges: tuple[int, ...] = ()

    def matters(self, before: Position, after: Position) -> bool:
        """Whether a move of stage or lifecycle may change one of the conditions."""
        return any(one.may_change(before, after) for one in self.on_position)

    def age_moments(self, facts: FactSource) -> Iterator[int]:
        """The moments, past or to come, at which a comparison of an age with a literal may change."""
        for bound in self.ages:
            if bound.fact == CASE_AGE:
                anchors: list[int | None] = [facts.t - case.age_ms for case in facts.cases()]
            else:
                anchors = [facts.anchor(bound.fact)]
            for anchor in anchors:
                if anchor is not None:
                    yield from (anchor + after for after in bound.moments_ms)


def timing_of(principles: Iterable[Principle]) -> Timing:
    """The timing of the conditions of some principles, each thing once."""
    given = tuple(principles)
    conditions = [one.condition for one in given]
    reads = {name for condition in conditions for name in condition.changing} - ON_STAGE - ON_LIFECYCLE
    positions = {one.position: None for one in conditions if one.position.on_stage or one.position.on_lifecycle}
    ages = {bound: None for condition in conditions for bound in condition.ages}
    edges = {edge for one in given for edge in one.life.edges}
    return Timing(tuple(sorted(filter(_changes_by_itself, reads))), tuple(positions), tuple(ages), tuple(sorted(edges)))


ByStage = dict[str, tuple[Principle, ...]]
"""Principles by the stage that they may hold in, each time in their order."""


def _by_stage(principles: Iterable[Principle]) -> ByStage:
    given = tuple(principles)
    stages = map(str, BY_NAME[STAGE_NAME].values)
    return {stage: tuple(one for one in given if one.may_hold_in(stage)) for stage in stages}


@dataclass(frozen=True, slots=True)
class Etiquette:
    """What applies to the candidates of one slot: `blocking` forbids (first) and defers, `modifying` changes the
    manner of what is allowed; each with its timing. `reading`: what blocks, by fact read. `needs_model`: some of it
    reads a fact that only a model gives. `on_trial`: what is in shadow; of what is guaranteed, nothing that blocks."""

    guaranteed: bool
    blocking: tuple[Principle, ...]
    blocking_in: ByStage
    modifying: tuple[Principle, ...]
    modifying_in: ByStage
    caps: tuple[Cap, ...]
    quiet_hours: tuple[QuietHours, ...]
    forbidding_timing: Timing
    blocking_timing: Timing
    modifying_timing: Timing
    reading: dict[str, ByStage]
    needs_model: bool
    on_trial: ByStage


@dataclass(frozen=True)
class PrincipleSet:
    """One revision of a tenant's etiquette; immutable. `digest` is the hex digest of the file it came from,
    `principles` are all that the file has, whatever their status. `extends`: it is a tenant's own, to be laid over the
    one in force for everybody; `over` is the name of the one that it lies over."""

    pack: str
    revision: str
    digest: str
    guarantees: tuple[Guarantee, ...]
    principles: tuple[Principle, ...]
    caps: tuple[Cap, ...]
    quiet_hours: tuple[QuietHours, ...]
    levers: Levers = field(default_factory=dict)
    extends: str = ""
    over: str = ""
    _by_slot: dict[Slot, Etiquette] = field(default_factory=dict, init=False, repr=False, compare=False)
    _calm: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_stage: dict[str, tuple[tuple[Principle, ...], Timing]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """Revision and digest, as answers name it: `2026-11-22.1+1a2b3c4d`, with what it lies over behind it."""
        own = f"{self.revision}+{self.digest[:8]}"
        return f"{own} over {self.over}" if self.over else own

    def requires_in(self, stage: str) -> tuple[tuple[Principle, ...], Timing]:
        """The principles that may make something owed in a stage, and how time alone may change what they say."""
        found = self._by_stage.get(stage)
        if found is None:
            rules = tuple(one for one in self.requires if one.may_hold_in(stage))
            found = self._by_stage[stage] = (rules, timing_of(rules))
        return found

    def asks_nothing_of_the_calm(self, stage: str) -> bool:
        """Whether nothing can be owed in a stage to a customer without open cases, bad answers and enough cases for a
        relapse: the conditions read nothing but these and the stage, and none holds without them."""
        found = self._calm.get(stage)
        if found is None:
            rules, calm = self.requires_in(stage)[0], Given({STAGE_NAME: stage})
            found = all(one.condition.reads <= _FACTS_OF_TROUBLE and not one.matches(calm) for one in rules)
            self._calm[stage] = found
        return found

    def having(self, status: Status) -> tuple[Principle, ...]:
        """The principles of a status, in the order of the file."""
        return tuple(one for one in self.principles if one.life.status is status)

    @cached_property
    def requires(self) -> tuple[Principle, ...]:
        """The principles that make something owed."""
        return tuple(one for one in self.having(Status.LIVE) if one.effect is Effect.REQUIRE)

    @cached_property
    def met_by(self) -> dict[str, frozenset[str]]:
        """The kinds that meet what a principle makes owed, where it names them; also of one that has retired, for what
        is owed stays so."""
        return {one.id: one.promise.met_by for one in self.principles if one.promise and one.promise.met_by}

    @cached_property
    def meeting(self) -> frozenset[str]:
        """The kinds of candidates that may meet something owed."""
        return frozenset(OBLIGATION_KINDS).union(*self.met_by.values())

    @cached_property
    def _breakers(self) -> dict[str, int]:
        return {one.id: one.promise.breaker for one in self.principles if one.promise}

    def breaker(self, principle: str) -> int:
        """How many obligations of a principle, whatever its status, may be opened within an hour before they are held;
        the default for one that the set does not have."""
        return self._breakers.get(principle, BREAKER)

    @cached_property
    def require_edges(self) -> tuple[int, ...]:
        """The moments at which some of these begin or end to count."""
        return timing_of(self.requires).edges

    @cached_property
    def on_trial(self) -> tuple[Principle, ...]:
        """The principles in shadow."""
        return self.having(Status.SHADOW)

    def lever(self, domain: str, kind: str) -> float:
        """What the score of a candidate is multiplied by."""
        return factor(self.levers, domain, kind)

    def etiquette(self, slot: Slot) -> Etiquette:
        """What applies to a slot. Kept once found: there are only as many as the vocabulary has."""
        found = self._by_slot.get(slot)
        if found is None:
            found = self._by_slot[slot] = self._etiquette(slot)
        return found

    def _etiquette(self, slot: Slot) -> Etiquette:
        covering = [one for one in self.having(Status.LIVE) if one.scope.covers(slot)]
        guaranteed = any(one.scope.covers(slot) for one in self.guarantees)
        forbidding = [one for one in covering if one.effect is Effect.FORBID]
        deferring = [one for one in covering if one.effect is Effect.DEFER]
        blocking = () if guaranteed else (*forbidding, *deferring)
        modifying = [one for one in covering if one.effect is Effect.MODIFY]
        may_be_capped = not guaranteed and slot.cls not in NEVER_CAPPED
        tried = [one for one in self.on_trial if one.effect is not Effect.REQUIRE and one.scope.covers(slot)]
        reads = {name for one in blocking for name in one.condition.reads}
        return Etiquette(
            guaranteed=guaranteed,
            blocking=blocking,
            blocking_in=_by_stage(blocking),
            modifying=tuple(modifying),
            modifying_in=_by_stage(modifying),
            caps=tuple(cap for cap in self.caps if cap.scope.covers(slot) and may_be_capped),
            quiet_hours=tuple(quiet for quiet in self.quiet_hours if quiet.scope.covers(slot) and not guaranteed),
            forbidding_timing=timing_of(forbidding),
            blocking_timing=timing_of(blocking),
            modifying_timing=timing_of(modifying),
            reading={name: _by_stage(one for one in blocking if name in one.condition.reads) for name in reads},
            needs_model=not MODEL_FACTS.isdisjoint(reads),
            on_trial=_by_stage(one for one in tried if not guaranteed or one.effect is Effect.MODIFY),
        )


STAGE_NAME: Final = "stage.name"
_FACTS_OF_TROUBLE: Final = frozenset(
    {STAGE_NAME, "risk.relapse", "problem.recurrences", "survey.low_unanswered", "cases"}
    | {name for name in BY_NAME if name.startswith("case.")}
)


def _changes_by_itself(name: str) -> bool:
    return name.startswith(FEATURE_PREFIX) or (name in BY_NAME and BY_NAME[name].timed == "changes")


_REVISION: Final = re.compile(r"(\d{4}-\d\d-\d\d)\.(\d{1,6})")


def parse_revision(revision: str) -> tuple[str, int]:
    """The date and number of a revision `YYYY-MM-DD.N`; ValueError for any other text."""
    match = _REVISION.fullmatch(revision)
    if match is None:
        raise ValueError(f"a revision must be YYYY-MM-DD.N, came {revision!r}")
    date.fromisoformat(match[1])
    return match[1], int(match[2])


def compare_revisions(a: str, b: str) -> int:
    """-1, 0 or 1 as revision `a` is older than, the same as or newer than `b`, by (date, number).

    >>> compare_revisions("2026-11-22.9", "2026-11-22.10")
    -1
    """
    first, second = parse_revision(a), parse_revision(b)
    return (first > second) - (first < second)


def next_revision(latest: str, today: str) -> str:
    """The first revision of today (YYYY-MM-DD) that is newer than the latest one, or of that one's day if it is later.

    >>> next_revision("2026-11-22.9", "2026-11-23"), next_revision("2026-11-23.9", "2026-11-23")
    ('2026-11-23.1', '2026-11-23.10')
    """
    day, number = parse_revision(latest)
    return f"{today}.1" if day < today else f"{day}.{number + 1}"
