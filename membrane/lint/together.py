"""What is wrong with principles beside each other: one says nothing beside another, two cannot both be followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Final

from membrane.given import Given
from membrane.life import Status
from membrane.lint.customers import Search, space_of
from membrane.lint.findings import Finding, Places, shows
from membrane.lint.plausible import completed
from membrane.lint.single import matching
from membrane.precedence import place
from membrane.principles import Effect, Principle
from membrane.scope import Scope, Slot, all_slots
from membrane.vocabulary import FindingKind

_BLOCKING: Final = frozenset({Effect.FORBID, Effect.DEFER})
_SLOTS: Final = tuple(all_slots())


@lru_cache(maxsize=1024)
def slots_of(scope: Scope) -> int:
    """The slots that a scope covers, a bit for each."""
    return sum(1 << bit for bit, slot in enumerate(_SLOTS) if scope.covers(slot))


# ---- shadowed -----------------------------------------------------------------------------------------------------


def lint_shadowed(places: Places, search: Search) -> Iterator[Finding]:
    """Principles that change nothing, for another matches wherever they do and says at least as much."""
    principles = places.principles.principles
    for at, one in enumerate(principles):
        if one.life.status is Status.RETIRED:  # it says nothing that could be needless
            continue
        beside = [(n, other) for n, other in enumerate(principles) if n != at and places.owns(one, other)]
        others = [(n, other) for n, other in beside if _says_no_less(other, one)]
        if others and matching(one, search) is not None:
            over = (other for n, other in others if _covers(other, one, search, later=n > at))
            yield from (_shadow(one, other, places, search) for other in islice(over, 1))


def _covers(other: Principle, one: Principle, search: Search, *, later: bool) -> bool:
    """Whether one principle is needless beside another that says no less; of two that are the same the later one is."""
    if not _follows(other, one, search):
        return False
    return not (later and _says_no_less(one, other) and _follows(one, other, search))


def _shadow(one: Principle, other: Principle, places: Places, search: Search) -> Finding:
    both = search.first(space_of([one, other]), lambda customer: one.matches(customer) and other.matches(customer))
    return places.finding(
        FindingKind.SHADOWED,
        [one.id, other.id],
        places.first_path([one, other]),
        None if both is None else shows(both, one, other),
        first=one.id,
        second=other.id,
    )


def _says_no_less(one: Principle, than: Principle) -> bool:
    """Whether what a principle says, where it matches, leaves nothing for another to say, as long as that counts."""
    if not one.life.covers(than.life):
        return False
    if than.effect is Effect.REQUIRE or one.effect is Effect.REQUIRE:
        if one.promise is None or than.promise is None:
            return False
        return replace(one.promise, due_ms=0) == replace(than.promise, due_ms=0) and (
            one.promise.due_ms <= than.promise.due_ms
        )
    if slots_of(than.scope) & ~slots_of(one.scope):
        return False
    if than.effect is Effect.MODIFY:
        return one.effect is Effect.MODIFY and than.changes.items() <= one.changes.items()
    return one.effect in _BLOCKING and place(one.verdict) <= place(than.verdict)


def _follows(then: Principle, when: Principle, search: Search) -> bool:
    """Whether one principle certainly matches whenever another does."""
    return search.none(space_of([when, then]), lambda customer: when.matches(customer) and not then.matches(customer))


# ---- contradiction ------------------------------------------------------------------------------------------------


def lint_contradictions(places: Places, search: Search) -> Iterator[Finding]:
    """What is owed and blocked for the same reasons, and manners that exclude each other."""
    principles = places.principles
    for one in principles.requires:
        yield from _owed_and_blocked(one, places, search)
    modifying = [one for one in principles.principles if one.effect is Effect.MODIFY]
    for at, one in enumerate(modifying):
        for other in modifying[at + 1 :]:
            if places.owns(one, other) and one.life.meets(other.life):
                yield from _two_manners(one, other, places, search)


def _owed_and_blocked(one: Principle, places: Places, search: Search) -> Iterator[Finding]:
    """By nothing but the facts that make it owed, every way to do it is forbidden or deferred. What blocks by other
    facts is an exception, and no contradiction."""
    slots = _ways_to_meet(one)
    etiquettes = [(slot, _blocking_beside(one, slot, places)) for slot in slots]
    if not etiquettes or any(not blocking for _, blocking in etiquettes):
        return
    if not places.owns(one, *(rule for _, blocking in etiquettes for rule in blocking)):
        return

    def blocked(customer: Given) -> bool:
        return one.condition.evaluate(customer) is True and all(
            any(rule.matches(_asked(customer, slot)) for rule in blocking) for slot, blocking in etiquettes
        )

    found = search.first(space_of([one]), blocked)
    if found is None:
        return
    slot, blocking = etiquettes[0]
    given = _asked(found, slot)
    rules = [rule for rule in blocking if rule.matches(given)]
    yield places.finding(
        FindingKind.CONTRADICTION,
        [one.id, *(rule.id for rule in rules)],
        places.first_path([one, *rules]),
        shows(given, one, *rules, candidate=slot),
        en=f"what the first makes owed ({slot.domain}/{slot.kind}), the other keeps from being done",
        es=f"lo que el primero debe ({slot.domain}/{slot.kind}), el otro impide hacerlo",
    )


def _blocking_beside(one: Principle, slot: Slot, places: Places) -> list[Principle]:
    return [rule for rule in places.principles.etiquette(slot).blocking if one.life.meets(rule.life)]


def _ways_to_meet(principle: Principle) -> list[Slot]:
    promise = principle.promise
    if promise is None:
        return []
    kinds = promise.met_by or {promise.kind}
    any_service = promise.kind == "survey_follow_up" and not promise.met_by
    return [
        slot
        for slot in all_slots()
        if slot.direction == "outbound" and (slot.kind in kinds or (any_service and slot.domain == "service"))
    ]


def _asked(customer: Given, slot: Slot) -> Given:
    """A customer of whom only these facts, and what they imply, are known, with a candidate of the slot."""
    return replace(customer, values={**completed(customer.values), "request.channel": slot.channel})


def _two_manners(one: Principle, other: Principle, places: Places, search: Search) -> Iterator[Finding]:
    keys = [key for key in one.changes if key in other.changes and one.changes[key] != other.changes[key]]
    shared = slots_of(one.scope) & slots_of(other.scope)
    if not keys or not shared:
        return
    slot = next(slot for bit, slot in enumerate(_SLOTS) if shared >> bit & 1)
    both = search.first(space_of([one, other]), lambda customer: one.matches(customer) and other.matches(customer))
    if both is None:
        return
    yield places.finding(
        FindingKind.CONTRADICTION,
        [one.id, other.id],
        places.first_path([other, one]),
        shows(both, one, other, candidate=slot),
        en=f"they set {', '.join(keys)} to different values",
        es=f"dan valores distintos a {', '.join(keys)}",
    )
