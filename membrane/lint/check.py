"""The whole check of a principle file: the faults of its load that are findings, or all that is found in what loads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from membrane.caps import Cap
from membrane.errors import Fault
from membrane.lint.contacts import lint_contacts
from membrane.lint.customers import Search
from membrane.lint.findings import Finding, Places, Witness, shows
from membrane.lint.numbers import unfounded
from membrane.lint.single import lint_alone, matching
from membrane.lint.together import lint_contradictions, lint_shadowed
from membrane.lint.whole import lint_gaps, lint_starvation
from membrane.principle_file import Draft
from membrane.principles import Principle
from membrane.quiet_hours import QuietHours
from membrane.record import Record
from membrane.scope import Slot, all_slots
from membrane.settings import TenantSettings
from membrane.vocabulary import FindingKind

_PLAIN: Final = TenantSettings()


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the order of the file, how many customers were tried for it, and whether those were all that
    there was to try: what is not found is not proven absent."""

    findings: list[Finding]
    tried: int
    complete: bool


def lint(
    draft: Draft,
    customers: Iterable[tuple[Record, int]] = (),
    settings: TenantSettings = _PLAIN,
    *,
    t: int | None = None,
) -> Report:
    """The findings of a draft, laid over what it extends: about its own principles, and about the set as a whole; of
    one with faults those faults that are of a kind of the check. `customers`, records with the moment at which each is
    looked at, say what the draft would cost the departments. What has ended by `t` (now, epoch ms)
    fills no gap and starves nobody."""
    search, places = Search(), Places(draft, t)
    if draft.faults:
        found = list(_faults(places, search))
    else:
        found = [*_all(places, search), *lint_contacts(places, customers, settings)]
    found.sort(key=lambda one: (one.line, one.column))
    return Report(found, search.tried, search.complete)


def _all(places: Places, search: Search) -> Iterator[Finding]:
    for one in filter(places.owns, places.principles.principles):
        yield from lint_alone(one, places, search)
        yield from _numbers(one, places, search)
    yield from lint_contradictions(places, search)
    yield from lint_gaps(places, search)
    yield from lint_starvation(places, search)
    yield from lint_shadowed(places, search)


def _numbers(principle: Principle, places: Places, search: Search) -> Iterator[Finding]:
    """Numbers of the texts, shown by a customer who is told them."""
    for language, number in unfounded(principle):
        customer = matching(principle, search)
        witness = None if customer is None else shows(customer, principle)
        path = places.path(principle, f"text.{language}")
        ids = [principle.id]
        yield places.finding(FindingKind.NUMBER, ids, path, witness, language=language, said=number.said)


def _faults(places: Places, search: Search) -> Iterator[Finding]:
    for fault in places.draft.faults:
        if fault.kind:
            yield _fault(fault, places, search)


def _fault(fault: Fault, places: Places, search: Search) -> Finding:
    """A fault of the load as a finding; a customer shows it where the principle's condition could be read."""
    rule = _rule_of(fault, places.draft)
    kind, slot = FindingKind(fault.kind), None
    if kind is FindingKind.GUARANTEE and rule is not None:
        slot = next(filter(rule.scope.covers, _guaranteed(places.draft)), None)
    witness: Witness | None = None
    if isinstance(rule, Principle) and all(one.field != places.path(rule, "when") for one in places.draft.faults):
        customer = matching(rule, search)
        witness = None if customer is None else shows(customer, rule, candidate=slot)
    ids = [fault.field if rule is None else rule.id or fault.field]
    what = "" if slot is None else f"{slot.domain}/{slot.kind}"
    return places.finding(kind, ids, fault.field, witness, what=what)


def _rule_of(fault: Fault, draft: Draft) -> Principle | Cap | QuietHours | None:
    """What a fault is in."""
    match = re.match(r"(principles|caps|quiet_hours)\[(\d+)\]", fault.field)
    if match is None:
        return None
    found = draft.principles
    parts: dict[str, Sequence[Principle | Cap | QuietHours]] = {
        "principles": found.principles,
        "caps": found.caps,
        "quiet_hours": found.quiet_hours,
    }
    return parts[match[1]][int(match[2])]


def _guaranteed(draft: Draft) -> Iterator[Slot]:
    return (slot for slot in all_slots() if any(one.scope.covers(slot) for one in draft.principles.guarantees))
