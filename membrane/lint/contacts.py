"""What a set would have cost the departments: contacts of the last 30 days that it would refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from membrane.dictionary import BY_NAME, FactSource
from membrane.engine import Rules
from membrane.expressions import CASES
from membrane.facts import About
from membrane.given import Given
from membrane.lint.findings import Finding, Places, shows
from membrane.principles import Principle, PrincipleSet
from membrane.record import Record
from membrane.scope import Slot, slot_of
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR
from membrane.view import View
from membrane.vocabulary import CHANNELS, DOMAINS, FindingKind

LOOKED_BACK: Final = 30 * DAY
LEAST_CONTACTS: Final = 20
"""A department that made fewer says nothing."""
MOST_REFUSED: Final = 0.5
"""The share of a department's contacts from which so much is too much."""
_NAMED: Final = 3
"""So many principles are named."""


@dataclass(slots=True)
class _Department:
    """The contacts of one department, those refused by each principle, and who was refused first."""

    made: int = 0
    refused: int = 0
    by: Counter[str] = field(default_factory=Counter)
    shown: dict[str, tuple[Principle, Given, Slot]] = field(default_factory=dict)


def lint_contacts(
    places: Places, customers: Iterable[tuple[Record, int]], settings: TenantSettings
) -> Iterator[Finding]:
    """Departments of whose contacts the principles would refuse too many. Each customer is a record with the moment at
    which it is looked at: contacts are judged by what is known of the customer then, caps and quiet hours apart."""
    for domain, department in sorted(_departments(places.principles, customers, settings).items()):
        if department.made >= LEAST_CONTACTS and department.refused >= MOST_REFUSED * department.made:
            yield _over_blocked(domain, department, places)


def _departments(
    principles: PrincipleSet, customers: Iterable[tuple[Record, int]], settings: TenantSettings
) -> dict[str, _Department]:
    departments: dict[str, _Department] = {}
    rules = Rules(principles, settings)
    for record, t in customers:
        recent = [contact for contact in record.state.contacts if t - LOOKED_BACK < contact.made_at <= t]
        if not recent:
            continue
        view = View(record, t, rules)
        for contact in recent:
            slot = slot_of(DOMAINS[contact.domain], contact.kind, CHANNELS[contact.channel], "outbound")
            if slot is not None:
                facts = view.facts(About(slot.channel, view.consent(contact.channel, contact.domain)))
                _count(departments.setdefault(slot.domain, _Department()), principles, slot, facts)
    return departments


def _count(department: _Department, principles: PrincipleSet, slot: Slot, facts: FactSource) -> None:
    refusing = [one for one in principles.etiquette(slot).blocking if one.matches(facts)]
    department.made += 1
    department.refused += bool(refusing)
    for one in refusing:
        department.by[one.id] += 1
        if one.id not in department.shown:
            department.shown[one.id] = (one, _given(one, facts), slot)


def _given(principle: Principle, facts: FactSource) -> Given:
    """What the principle read of a customer; ages in whole hours, where that changes nothing."""
    reads = principle.condition.reads
    cases = tuple(replace(case, case="") for case in facts.cases()) if CASES in reads else ()
    exact = Given({name: facts.get(name) for name in sorted(reads - {CASES})}, cases)
    rounded = Given(
        {name: _hours(int(value)) if _is_age(name) else value for name, value in exact.values.items()},
        tuple(replace(case, age_ms=_hours(case.age_ms)) for case in cases),
    )
    return rounded if principle.matches(rounded) else exact


def _is_age(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].type == "duration"


def _hours(ms: int) -> int:
    return ms // HOUR * HOUR


def _over_blocked(domain: str, department: _Department, places: Places) -> Finding:
    most = [name for name, _ in sorted(department.by.items(), key=lambda one: (-one[1], one[0]))[:_NAMED]]
    principle, given, slot = department.shown[most[0]]
    return places.finding(
        FindingKind.OVER_BLOCK,
        most,
        places.first_path([principle]),
        shows(given, principle, candidate=slot),
        domain=domain,
        made=department.made,
        refused=department.refused,
        share=round(100 * department.refused / department.made),
    )
