"""Judging one candidate at one moment: what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from membrane.caps import Cap
from membrane.deadline import Deadline
from membrane.decisions import Candidate
from membrane.defaults import default_verdict
from membrane.dictionary import FactSource, Value
from membrane.facts import CONSENT
from membrane.pauses import Pause
from membrane.precedence import place, strongest
from membrane.principles import ByStage, Etiquette, Principle
from membrane.quiet_hours import QuietHours, local
from membrane.record import Obligation
from membrane.scope import KINDS_OF, Slot
from membrane.settings import TenantSettings
from membrane.sight import Asked, ChangedFacts, Sight
from membrane.times import format_time
from membrane.vocabulary import InteractionClass, Lifecycle, Verdict
from membrane.wording import TEXTS

_ASKS_CONSENT: Final = frozenset({InteractionClass.PERSUASION, InteractionClass.SURVEY})
_NEVER_SEEN: Final = frozenset({"lifecycle", CONSENT})
_ONLY_CONSENT: Final = frozenset({CONSENT})
STAGE: Final = "stage.name"
_ONLYSTAGE: Final = frozenset({STAGE})

OPTED_OUT: Final = ("consent", "opted-out")
"""The source and id of what says that the customer does not want this."""
UNREADABLE: Final = "record_unreadable"
"""The cause that says nothing is known of the customer but consents."""


class Finding(Struct, frozen=True):
    """Something that speaks for a verdict. `reads` names the facts that it depends on, `shown` are
    facts of its own, `rule` is what found it."""

    verdict: Verdict
    source: str
    id: str
    text: Mapping[str, str]
    reads: frozenset[str] = frozenset()
    shown: Mapping[str, Any] = {}
    rule: Principle | Cap | QuietHours | Pause | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges candidates under a tenant's settings and what is degraded (causes of `membrane.defaults`); OutOfTime from
    any of it once the deadline has passed."""

    settings: TenantSettings
    causes: tuple[str, ...] = ()
    deadline: Deadline = field(default_factory=Deadline)

    def findings(self, asked: Asked, sight: Sight) -> list[Finding]:
        """What speaks for the verdict, strongest first; none says allow."""
        slot, etiquette = asked.slot, asked.etiquette
        if slot is None or etiquette is None:
            return [Finding(Verdict.FORBID, "default", "unknown-class", TEXTS["unknown-class"])]
        facts = sight.facts(asked)
        degraded = list(self._degraded(slot, etiquette, facts)) if self.causes else []
        if any(one.verdict is Verdict.ALLOW for one in degraded):
            return degraded  # care fails open: what cannot be trusted blocks nothing
        # "Cannot read" is not "no data": from a record that cannot be read nothing is concluded.
        matching = [] if UNREADABLE in self.causes else self._blocking(etiquette.blocking_in, sight, facts)
        found = [*self._consent(slot, facts), *matching, *degraded]
        if (etiquette.caps or etiquette.quiet_hours) and not fulfils(asked.candidate, sight.owed, asked.met_by):
            found += _full_caps(etiquette.caps, sight)
            if slot.direction == "outbound":
                found += _quiet(etiquette.quiet_hours, sight)
        if sight.pauses and not etiquette.guaranteed:
            found += _paused(slot, sight)
        if len(found) > 1:
            found.sort(key=_strongest_first)
        return found

    def surely_blocks(self, asked: Asked, sight: Sight) -> bool:
        """Whether it is plain without reading facts that something speaks against a candidate: quiet hours, or a full
        cap."""
        slot, etiquette = asked.slot, asked.etiquette
        if slot is None or etiquette is None or self.causes or fulfils(asked.candidate, sight.owed, asked.met_by):
            return False
        quiet = slot.direction == "outbound" and any(one.holds(sight.zone, sight.t) for one in etiquette.quiet_hours)
        return quiet or any(sight.cap_state(cap).full for cap in etiquette.caps)

    def changed_verdict(
        self, asked: Asked, sight: Sight, found: Iterable[Finding], changes: Mapping[str, Value]
    ) -> Verdict:
        """The verdict if some facts were others, given what was found with the facts as they are."""
        verdict = strongest([one.verdict for one in found if changes.keys().isdisjoint(one.reads)])
        slot, etiquette = asked.slot, asked.etiquette
        if slot is None or etiquette is None or verdict is Verdict.FORBID:
            return verdict
        facts = ChangedFacts(sight.facts(asked), changes)
        verdicts: list[Verdict] = [verdict]
        if not changes.keys().isdisjoint(_NEVER_SEEN):
            verdicts += [one.verdict for one in self._consent(slot, facts)]
        if STAGE in changes and self.causes:
            verdicts += [one.verdict for one in self._degraded(slot, etiquette, facts) if STAGE in one.reads]
        # The first that matches is the strongest: what forbids comes before what defers.
        for fact in changes.keys() & etiquette.reading.keys():
            verdicts += [one.verdict for one in islice(self._matching(etiquette.reading[fact], sight, facts), 1)]
        return strongest(verdicts)

    def modifying(self, asked: Asked, sight: Sight) -> list[Principle]:
        """The principles that change the manner of what is allowed."""
        if asked.etiquette is None or not asked.etiquette.modifying:
            return []
        return list(self._matching(asked.etiquette.modifying_in, sight, sight.facts(asked)))

    def on_trial(self, asked: Asked, sight: Sight) -> list[Principle]:
        """The principles in shadow that hold; none where no principle is heard."""
        slot, etiquette = asked.slot, asked.etiquette
        if slot is None or etiquette is None or UNREADABLE in self.causes:
            return []
        facts = sight.facts(asked)
        if any(one.verdict is Verdict.ALLOW for one in self._degraded(slot, etiquette, facts)):
            return []
        return list(self._matching(etiquette.on_trial, sight, facts))

    def _blocking(self, principles: ByStage, sight: Sight, facts: FactSource) -> list[Finding]:
        return [
            Finding(one.verdict, "principle", one.id, one.text, one.condition.reads, rule=one)
            for one in self._matching(principles, sight, facts)
        ]

    def _matching(self, principles: ByStage, sight: Sight, facts: FactSource) -> Iterator[Principle]:
        get, paused = facts.get, sight.paused
        for one in principles[str(get(STAGE))]:
            if (paused or one.bounded) and not sight.counts(one):
                continue
            holds = one.condition.compiled
            if holds is None:
                self.deadline.check()
                if one.matches(facts):
                    yield one
            elif holds(get):
                yield one

    def _degraded(self, slot: Slot, etiquette: Etiquette, facts: FactSource) -> Iterator[Finding]:
        stage = str(facts.get(STAGE))
        for cause in self.causes:
            verdict = default_verdict(slot.cls, slot.kind, cause, stage, needs_model=etiquette.needs_model)
            if verdict is not None:
                by_stage = cause == "stale" and slot.cls is InteractionClass.PERSUASION
                yield Finding(verdict, "degraded", cause, TEXTS[cause], _ONLYSTAGE if by_stage else frozenset())

    def _consent(self, slot: Slot, facts: FactSource) -> Iterator[Finding]:
        if slot.cls not in _ASKS_CONSENT:
            return
        consent = facts.get(CONSENT)
        if consent == "denied":
            yield Finding(Verdict.FORBID, *OPTED_OUT, TEXTS["opted-out"], _ONLY_CONSENT)
        elif consent != "granted" and facts.get("lifecycle") == Lifecycle.UNKNOWN and UNREADABLE not in self.causes:
            yield Finding(Verdict.FORBID, "default", "never-seen", TEXTS["never-seen"], _NEVER_SEEN)
        elif consent != "granted" and self.settings.consent == "opt_in":
            yield Finding(Verdict.FORBID, "consent", "opt-in-missing", TEXTS["opt-in-missing"], _ONLY_CONSENT)


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The strongest verdict among them."""
    return strongest([one.verdict for one in findings])


def fulfils(
    candidate: Candidate, owed: Iterable[Obligation], met_by: Mapping[str, frozenset[str]] = MappingProxyType({})
) -> bool:
    """Whether a candidate would do what is owed: a contact of that kind, or any service contact after a bad rating;
    where the principle names the kinds that do (`met_by`, by its id), one of these."""
    known = candidate.kind in KINDS_OF.get(candidate.domain, ())
    for one in owed:
        kinds = met_by.get(one.principle)
        follow_up = kinds is None and one.kind == "survey_follow_up" and candidate.domain == "service"
        if follow_up or (known and candidate.kind in (kinds or {one.kind})):
            return True
    return False


def _strongest_first(finding: Finding) -> int:
    return place(finding.verdict)


def _full_caps(caps: Iterable[Cap], sight: Sight) -> Iterator[Finding]:
    for cap in caps:
        state = sight.cap_state(cap)
        if state.full:
            shown = {"contacts": state.counted, "at_most": cap.at_most, "per_hours": cap.per_ms / 3_600_000}
            yield Finding(Verdict.DEFER, "cap", cap.id, cap.text, shown=shown, rule=cap)


def _paused(slot: Slot, sight: Sight) -> Iterator[Finding]:
    for one in sight.pauses:
        if one.holds_back(slot):
            shown = {"by": one.by, "why": one.why, "until": format_time(one.until)}
            yield Finding(Verdict.DEFER, "pause", one.id, TEXTS[f"paused-{one.what}"], shown=shown, rule=one)


def _quiet(quiet_hours: Iterable[QuietHours], sight: Sight) -> Iterator[Finding]:
    for quiet in quiet_hours:
        if quiet.holds(sight.zone, sight.t):
            shown = {"local_time": f"{local(sight.zone, sight.t):%H:%M}", "timezone": sight.zone.key}
            yield Finding(Verdict.DEFER, "quiet_hours", quiet.id, quiet.text, shown=shown, rule=quiet)
