"""What is missing or too much in the set as a whole: gaps in a crisis, departments that may contact nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from membrane.dictionary import Value
from membrane.given import Given
from membrane.life import Status
from membrane.lint.customers import Search, space_of
from membrane.lint.findings import Finding, Places, shows
from membrane.lint.plausible import completed, plausible
from membrane.lint.together import slots_of
from membrane.principles import Effect, Principle
from membrane.scope import KINDS_OF, Scope, Slot, all_slots
from membrane.vocabulary import FindingKind, InteractionClass, Stage
from membrane.wording import any_of, word

TROUBLED: Final = (Stage.CRISIS, Stage.STRAINED, Stage.RECOVERING)
_STEPS: Final = 12
"""Facts that are changed, one after the other, to find a customer who may be contacted."""


# ---- gaps ---------------------------------------------------------------------------------------------------------


def lint_gaps(places: Places, search: Search) -> Iterator[Finding]:
    """Stages of trouble in which nothing is said of a class of interactions."""
    for cls in InteractionClass:
        slots = slots_of(Scope(classes=frozenset({cls})))
        found = places.lasting
        if any(slots & slots_of(guarantee.scope) for guarantee in found.guarantees):
            continue
        live = found.having(Status.LIVE)
        speaking = [one for one in live if one.effect is not Effect.REQUIRE and slots & slots_of(one.scope)]
        silent = [stage for stage in TROUBLED if not any(_may_match(one, stage, search) for one in speaking)]
        if silent:
            yield _gap(cls, silent, speaking, places)


def _may_match(principle: Principle, stage: Stage, search: Search) -> bool:
    if not principle.may_hold_in(stage):
        return False

    def matches(customer: Given) -> bool:
        return plausible({**customer.values, "stage.name": str(stage)}) and principle.matches(customer)

    return not search.none(space_of([principle], {"stage.name": (str(stage),)}), matches)


def _gap(cls: InteractionClass, stages: list[Stage], speaking: list[Principle], places: Places) -> Finding:
    customer = Given(completed({"stage.name": str(stages[0])}))
    return places.finding(
        FindingKind.GAP,
        [one.id for one in speaking],
        places.first_path(speaking),
        shows(customer, *speaking, candidate=next(slot for slot in all_slots() if slot.cls is cls)),
        cls=cls,
        stages_en=any_of([word("stage.name", stage, "en") for stage in stages], "en"),
        stages_es=any_of([word("stage.name", stage, "es") for stage in stages], "es"),
    )


# ---- starvation ---------------------------------------------------------------------------------------------------


def lint_starvation(places: Places, search: Search) -> Iterator[Finding]:
    """Departments for which no customer was found whom they may contact at all."""
    for domain in KINDS_OF:
        slots = [slot for slot in all_slots() if slot.domain == domain and slot.direction == "outbound"]
        if not any(_may_contact(slot, places, search) for slot in slots) and search.complete:
            yield _starved(domain, slots[0], places)


def _may_contact(slot: Slot, places: Places, search: Search) -> bool:
    """Whether there is a customer for whom no principle blocks the slot: the calm one, or one who differs in the facts
    by which the principles block."""
    etiquette = places.lasting.etiquette(slot)
    if any(cap.at_most == 0 for cap in etiquette.caps):
        return False
    customer = _calm(slot)
    blocking = _blocking(etiquette.blocking, customer, search)
    for _ in range(_STEPS):
        if not blocking:
            return True
        near = [(one, _blocking(etiquette.blocking, one, search)) for one in _varied(customer, blocking[0], search)]
        customer, fewer = min(near, key=lambda one: len(one[1]), default=(customer, blocking))
        if len(fewer) >= len(blocking):
            return False
        blocking = fewer
    return False


def _blocking(principles: Iterable[Principle], customer: Given, search: Search) -> list[Principle]:
    return [one for one in principles if not search.spend() or one.matches(customer)]


def _varied(customer: Given, blocking: Principle, search: Search) -> Iterator[Given]:
    """The customer with other values of the facts that a principle reads."""
    channel = customer.values["request.channel"]
    for one in search.each(space_of([blocking])):
        values: dict[str, Value] = {**customer.values, **one.values, "request.channel": channel}
        if plausible(values):
            yield replace(customer, values=values, open_cases=one.open_cases)


def _calm(slot: Slot) -> Given:
    return Given(completed({"consent.state": "granted", "request.channel": slot.channel}))


def _starved(domain: str, slot: Slot, places: Places) -> Finding:
    customer = _calm(slot)
    etiquette = places.lasting.etiquette(slot)
    blocking = [one for one in etiquette.blocking if one.matches(customer)]
    caps = [cap.id for cap in etiquette.caps if cap.at_most == 0]
    path = places.first_path(blocking, "caps")
    return places.finding(
        FindingKind.STARVATION,
        [*(one.id for one in blocking), *caps],
        path,
        shows(customer, *blocking, candidate=slot),
        domain=domain,
    )
