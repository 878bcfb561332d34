"""Layers: a tenant's own file over the set that is in force for everybody. What is locked there may be tightened, never
loosened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Final, Protocol, TypeVar

from membrane.caps import Cap
from membrane.life import Life, Status
from membrane.principles import Effect, Principle, PrincipleSet, Promise
from membrane.quiet_hours import QuietHours
from membrane.scope import Scope, all_slots

COMMON: Final = "principles"
"""The kind of the revisions of the set in force for everybody."""


def own_kind(tenant: str) -> str:
    """The kind of the revisions of a tenant's own file."""
    return f"{COMMON}/{tenant}"


def own_tenants(kinds: Iterable[str]) -> list[str]:
    """The tenants with a file of their own, by the kinds of the revisions in force.

    >>> own_tenants(["principles", "principles/my-shop", "stage_model"])
    ['my-shop']
    """
    return [kind.removeprefix(own_kind("")) for kind in kinds if kind.startswith(own_kind(""))]


class _Part(Protocol):
    @property
    def id(self) -> str: ...


P = TypeVar("P", bound=_Part)


def layered(base: PrincipleSet, own: PrincipleSet) -> PrincipleSet:
    """The base with a tenant's own parts over it: one of the same id stands in the place of the base's. An own part
    that would loosen something locked counts for nothing, for the base may have changed since the file was checked."""
    loose = {(part, number) for part, number, _ in loosening(base, own)}

    def kept(part: str, given: Iterable[P]) -> list[P]:
        return [one for number, one in enumerate(given) if (part, number) not in loose]

    return replace(
        own,
        guarantees=_over(kept("guarantees", own.guarantees), base.guarantees),
        principles=_locked_over(base.principles, kept("principles", own.principles)),
        caps=_locked_over(base.caps, kept("caps", own.caps)),
        quiet_hours=_locked_over(base.quiet_hours, kept("quiet_hours", own.quiet_hours)),
        levers={**base.levers, **own.levers},
        over=base.name,
    )


def loosening(base: PrincipleSet, own: PrincipleSet) -> Iterator[tuple[str, int, str]]:
    """Each part of a tenant's own set that would loosen something locked in the base: (part of the file, number there,
    what is wrong)."""
    for part, number, name, problem in chain(
        _silenced(base, own),
        _contradicted(base, own),
        _compared("principles", base.principles, own.principles, _principle),
        _compared("caps", base.caps, own.caps, _cap),
        _compared("quiet_hours", base.quiet_hours, own.quiet_hours, _quiet),
    ):
        yield part, number, f"loosens '{name}', which is locked in {base.pack} {base.revision}: {problem}"


L = TypeVar("L", Principle, Cap, QuietHours)
Loose = Iterator[tuple[str, int, str, str]]


def _compared(part: str, base: Iterable[L], own: Iterable[L], problems: Callable[[L, L], Iterator[str]]) -> Loose:
    locked = {one.id: one for one in base if one.locked}
    for number, one in enumerate(own):
        if one.id in locked:
            yield from ((part, number, one.id, problem) for problem in problems(locked[one.id], one))


def _silenced(base: PrincipleSet, own: PrincipleSet) -> Loose:
    """What is locked and blocks, and new guarantees that would reach it."""
    parts: list[Principle | Cap | QuietHours] = [*base.caps, *base.quiet_hours]
    parts += [one for one in base.principles if one.effect in {Effect.FORBID, Effect.DEFER}]
    scopes = {one.id: one.scope for one in parts if one.locked}
    known = {one.id for one in base.guarantees}
    for number, guarantee in enumerate(own.guarantees):
        for name, scope in scopes.items() if guarantee.id not in known else ():
            if _meet(guarantee.scope, scope):
                yield "guarantees", number, name, "a guarantee would keep it from what it is about"


def _contradicted(base: PrincipleSet, own: PrincipleSet) -> Loose:
    """What is locked and sets something, and what of another id sets the same to another value for the same contacts.
    Whether both conditions can hold of one customer cannot be told, so it is not asked."""
    locked = [one for one in base.principles if one.locked and one.changes]
    for number, one in enumerate(own.principles):
        for other in locked if one.changes else ():
            keys = [key for key, value in other.changes.items() if one.changes.get(key, value) != value]
            if keys and one.id != other.id and one.life.meets(other.life) and _meet(one.scope, other.scope):
                problem = f"'{one.id}' sets {', '.join(keys)} to something else for what it is about"
                yield "principles", number, other.id, problem


def _meet(one: Scope, other: Scope) -> bool:
    return any(one.covers(slot) and other.covers(slot) for slot in all_slots())


def _locked_over(base: Iterable[L], own: Iterable[L]) -> tuple[L, ...]:
    """`_over`; what stands in the place of something locked is locked itself."""
    locked = {one.id for one in base if one.locked}
    return _over(base, [replace(one, locked=True) if one.id in locked else one for one in own])


def _over(base: Iterable[P], own: Iterable[P]) -> tuple[P, ...]:
    ours = {one.id: one for one in own}
    return (*[ours.pop(one.id, one) for one in base], *ours.values())


def _wider(own: Scope, base: Scope) -> bool:
    return all(own.covers(slot) for slot in all_slots() if base.covers(slot))


def _principle(base: Principle, own: Principle) -> Iterator[str]:
    if base.life.status is not Status.LIVE:
        return
    if own.condition.source.split() != base.condition.source.split():
        yield "its condition must stay as it is (put what is to be added into a principle of its own)"
    if own.effect is not base.effect and not (base.effect is Effect.DEFER and own.effect is Effect.FORBID):
        yield f"its effect must stay '{base.effect}'{' or become forbid' if base.effect is Effect.DEFER else ''}"
    if not _wider(own.scope, base.scope):
        yield "its scope must not become narrower"
    if not _lives_as_long(base.life, own.life):
        yield "it must stay live, as long and for as many customers"
    if any(own.changes.get(name) != value for name, value in base.changes.items()):
        yield "what it sets must stay (more may be added)"
    if base.promise is not None and own.promise is not None and not _keeps(base.promise, own.promise):
        yield "only an earlier due time, or no at_most, is stronger than what it makes owed"


def _lives_as_long(base: Life, own: Life) -> bool:
    return own.status is Status.LIVE and own.lasts_as_long(base) and own.rollout >= base.rollout


def _keeps(base: Promise, own: Promise) -> bool:
    same = replace(own, due_ms=base.due_ms, at_most=base.at_most) == base
    return same and own.due_ms <= base.due_ms and own.at_most in (None, base.at_most)


def _cap(base: Cap, own: Cap) -> Iterator[str]:
    if own.at_most > base.at_most or own.per_ms < base.per_ms:
        yield "it must not allow more contacts, nor in a shorter time"
    if not _wider(own.scope, base.scope):
        yield "its scope must not become narrower"


def _quiet(base: QuietHours, own: QuietHours) -> Iterator[str]:
    if not own.includes(base):
        yield "it must be quiet whenever it was"
    if not _wider(own.scope, base.scope):
        yield "its scope must not become narrower"
