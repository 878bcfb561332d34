"""Try before live: contacts that were made, judged under the principles in force and under a draft. Pure.

Each is judged alone and just before it happened: with the customer as it was, what was owed then, and the contacts
made until then, also those that the draft would have held back.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from msgspec import Struct

from membrane.decide import asked_for
from membrane.decisions import Candidate
from membrane.judging import Judge, verdict_of
from membrane.principles import PrincipleSet
from membrane.settings import TenantSettings
from membrane.sight import Sight, View
from membrane.signals import ContactMade
from membrane.times import format_time
from membrane.vocabulary import STAGES, Verdict

SHOWN: Final = 10
"""How many examples are kept of each kind."""
NO_STAGE: Final = "none"

Change = Literal["", "held_back", "let_through", "otherwise"]


class Ruling(Struct, frozen=True):
    """A verdict and the ids of what speaks for it, strongest first."""

    verdict: Verdict
    because: list[str]


class Example(Struct, frozen=True):
    """A contact whose verdict changes."""

    at: str
    customer: str
    domain: str
    kind: str
    channel: str
    campaign: str | None
    stage: str
    in_force: Ruling
    draft: Ruling


class Spared(Struct, frozen=True):
    """A customer to whom contacts were made that the draft would have held back."""

    customer: str
    contacts: int


class Changes(Struct):
    """Of so many contacts: allowed now and not by the draft, the other way round, deferred by one of them and
    forbidden by the other."""

    contacts: int = 0
    held_back: int = 0
    let_through: int = 0
    otherwise: int = 0

    def add(self, change: Change) -> None:
        """One more contact."""
        self.contacts += 1
        if change:
            setattr(self, change, getattr(self, change) + 1)


class Outcome(Struct):
    """What the draft would have changed. `by_principle` counts by what speaks against a contact (a principle, cap,
    quiet hours, consent): under the draft, or, where that lets it through, in force."""

    since: str
    until: str
    in_force: str
    draft: str
    customers: int
    total: Changes
    verdicts_in_force: dict[str, int]
    verdicts_draft: dict[str, int]
    by_department: dict[str, Changes]
    by_stage: dict[str, Changes]
    by_principle: dict[str, Changes]
    spared: list[Spared]
    held_back: list[Example]
    let_through: list[Example]


class Trial:
    """Judges contacts one by one; what it keeps grows with the customers alone."""

    def __init__(self, in_force: PrincipleSet, draft: PrincipleSet, settings: TenantSettings) -> None:
        self._sets = in_force, draft
        self._settings = settings
        self._judge = Judge(settings)
        self._customers: set[str] = set()
        self._spared: Counter[str] = Counter()
        self._verdicts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        self._total = Changes()
        self._by_department: dict[str, Changes] = {}
        self._by_stage: dict[str, Changes] = {}
        self._by_principle: dict[str, Changes] = {}
        self._examples: dict[Change, list[Example]] = {"held_back": [], "let_through": []}

    def add(self, customer: str, made: ContactMade, view: View) -> None:
        """Judges a contact by the view of its customer just before it."""
        before, after = (self.ruling(made, view, principles) for principles in self._sets)
        change = changed(before.verdict, after.verdict)
        stage = STAGES[view.record.tracker.stage] if view.record is not None else NO_STAGE
        self._customers.add(customer)
        for counter, ruling in zip(self._verdicts, (before, after), strict=True):
            counter[ruling.verdict] += 1
        self._total.add(change)
        self._by_department.setdefault(made.domain, Changes()).add(change)
        self._by_stage.setdefault(stage, Changes()).add(change)
        for name in (before if after.verdict is Verdict.ALLOW else after).because:
            self._by_principle.setdefault(name, Changes()).add(change)
        if change == "held_back":
            self._spared[customer] += 1
        if change in self._examples:
            at = format_time(view.t)
            told = (made.domain, made.kind, made.channel, made.campaign, stage, before, after)
            self._keep(self._examples[change], Example(at, customer, *told))

    def ruling(self, made: ContactMade, view: View, principles: PrincipleSet) -> Ruling:
        """What a set says of a contact, if nothing competes with it."""
        candidate = Candidate("", made.domain, made.kind, made.channel)
        sight = Sight(view, self._settings)
        found = self._judge.findings(asked_for(0, candidate, sight, principles, view.t), sight)
        verdict = verdict_of(found)
        return Ruling(verdict, [one.id for one in found if one.verdict is verdict])

    def outcome(self, since: int, until: int) -> Outcome:
        """What came of all of them; `since` and `until` say of when they were (ms)."""
        in_force, draft = self._sets
        spared = sorted(self._spared.items(), key=lambda entry: (-entry[1], entry[0]))
        return Outcome(
            since=format_time(since),
            until=format_time(until),
            in_force=in_force.name,
            draft=draft.name,
            customers=len(self._customers),
            total=self._total,
            verdicts_in_force=_in_order(self._verdicts[0]),
            verdicts_draft=_in_order(self._verdicts[1]),
            by_department=dict(sorted(self._by_department.items())),
            by_stage=dict(sorted(self._by_stage.items())),
            by_principle=dict(sorted(self._by_principle.items())),
            spared=[Spared(*entry) for entry in spared[:SHOWN]],
            held_back=_first(self._examples["held_back"]),
            let_through=_first(self._examples["let_through"]),
        )

    @staticmethod
    def _keep(examples: list[Example], one: Example) -> None:
        examples.append(one)
        if len(examples) >= 2 * SHOWN:
            examples[:] = _first(examples)


def changed(before: Verdict, after: Verdict) -> Change:
    """What becomes of a contact under the draft, "" if nothing else does.

    >>> changed(Verdict.ALLOW, Verdict.DEFER), changed(Verdict.DEFER, Verdict.FORBID)
    ('held_back', 'otherwise')
    """
    if before is after:
        return ""
    if before is Verdict.ALLOW:
        return "held_back"
    return "let_through" if after is Verdict.ALLOW else "otherwise"


def _in_order(counted: Counter[str]) -> dict[str, int]:
    return {str(verdict): counted[verdict] for verdict in Verdict}


def _first(examples: list[Example]) -> list[Example]:
    return sorted(examples, key=lambda one: (one.at, one.customer, one.domain, one.kind, one.channel))[:SHOWN]
