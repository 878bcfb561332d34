"""Pauses: begun, ended and listed over HTTP or in a data directory, and at hand for each decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, get_args

import msgspec

from membrane.layers import COMMON, own_kind
from membrane.pauses import PAUSABLE, Pause, PauseRecord, What, named
from membrane.principles import PrincipleSet
from membrane.signals import Text, Time
from membrane.times import DAY, format_time, parse_time
from serving.obligations import Word
from serving.principle_sets import PrincipleSets
from serving.problems import Problem, invalid_field, not_found, parsed
from storage.log import MAX_PAUSES, SignalLog
from storage.log_reader import LogReader

LONGEST_MS: Final = 400 * DAY
KEPT_MS: Final = 100
_WHATS: Final[tuple[What, ...]] = get_args(What)
_ENDED_FOR_MS: Final = DAY
"""So long a pause that has run out is still told to decisions: the stream may not have passed its end yet."""


class PauseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be paused (exactly one), until when, who says so and why."""

    until: Time
    by: Word
    why: Word
    domain: Text | None = None
    principle: Text | None = None
    customer: Text | None = None


class Ended(msgspec.Struct):
    """An early end."""

    at: str
    by: str
    why: str


class PauseAnswer(msgspec.Struct):
    """A pause. `ended`: when, by whom and why it was ended early; null for one that was not."""

    pause: str
    what: str
    name: str
    since: str
    until: str
    by: str
    why: str
    ended: Ended | None


class PauseList(msgspec.Struct):
    """Pauses in the order in which they began."""

    pauses: list[PauseAnswer]


_request: Final = msgspec.json.Decoder(PauseRequest)


def parse_pause(body: bytes) -> PauseRequest:
    """The body of a request to pause. Problem 400 or 422."""
    return parsed(_request, body)


def begin(
    log: SignalLog, sets: PrincipleSets, asked: PauseRequest, tenant: str, at: int, received_ms: int
) -> PauseAnswer:
    """Records a pause from `at` on, fsynced; one that stands already and is asked for again stays as it is. Problem 422
    names the field at fault, 409: there are too many."""
    given = [what for what in _WHATS if getattr(asked, what) is not None]
    if len(given) != 1:
        raise invalid_field("", f"one of {', '.join(_WHATS)} is required")
    what, name = given[0], getattr(asked, given[0])
    problem = _cannot_be_paused(what, name, _in_force(log, sets, tenant))
    if problem:
        raise invalid_field(f"/{what}", problem)
    if what == "customer" and log.erasure(tenant, name) is not None:
        raise not_found("customer")
    until = _until(asked.until, at)
    pause = Pause("", tenant, what, name, at, until, asked.by, asked.why)
    known = log.pauses(0, tenant)
    standing = (one for one in known if one.act == "pause" and one.pause.until > at)
    same = next((one for one in standing if one.pause.words == pause.words), None)
    if same is not None:
        return shown(same)
    said = PauseRecord("pause", at, asked.by, asked.why, named(pause, (one.pause for one in known)))
    if not log.pause(said, received_ms):
        raise Problem(409, "conflict", f"{MAX_PAUSES} pauses stand already")
    return shown(said)


def end(log: SignalLog, pause: str, tenant: str, said_by: tuple[str, str], at: int, received_ms: int) -> PauseAnswer:
    """Records that a pause ends at `at`, fsynced; `said_by`: who says so, and why. One that has ended stays as it is.
    Problem 404 for none of this tenant."""
    found = next((one for one in log.pauses(0, tenant) if one.pause.id == pause), None)
    if found is None:
        raise not_found("pause")
    if found.act == "resume" or not found.pause.stands(at):
        return shown(found)
    said = PauseRecord("resume", at, *said_by, found.pause)
    log.pause(said, received_ms)
    return shown(said)


def listed(log: LogReader, tenant: str, at: int, *, everything: bool) -> PauseList:
    """A tenant's pauses that are in force at `at`, or all that there ever were."""
    if everything:
        return PauseList([shown(one) for one in log.pauses(0, tenant)])
    return PauseList([shown(one) for one in log.pauses(at, tenant) if one.act == "pause"])


def shown(said: PauseRecord) -> PauseAnswer:
    """A pause by the last word on it."""
    one = said.pause
    ended = Ended(format_time(said.time), said.by, said.why) if said.act == "resume" else None
    return PauseAnswer(
        one.id, one.what, one.name, format_time(one.since), format_time(one.until), one.by, one.why, ended
    )


class Pauses:
    """The pauses that a decision has to know, read again when they have changed, which is looked for every 100 ms. For
    the event loop's thread alone."""

    def __init__(self, log: LogReader, now_ms: Callable[[], int]) -> None:
        self._log = log
        self._now_ms = now_ms
        self._looked_at = 0
        self._change: int | None = None
        self._common: dict[str, tuple[Pause, ...]] = {}
        self._customers: dict[tuple[str, str], tuple[Pause, ...]] = {}

    def forget(self) -> None:
        """Looks again for the next decision: this process has changed them."""
        self._looked_at = 0

    def of(self, tenant: str, customer: str, t: int) -> tuple[Pause, ...]:
        """Those of a tenant's domains and principles and of the customer, which stand at `t` or have run out not long
        before. Raises StoreUnavailable or RecordUnreadable."""
        wall = self._now_ms()
        if not 0 <= wall - self._looked_at < KEPT_MS:
            change = self._log.pauses_change()
            if change != self._change:
                self._read(t)
            self._looked_at, self._change = wall, change
        if not self._common and not self._customers:
            return ()
        return self._common.get(tenant, ()) + self._customers.get((tenant, customer), ())

    def _read(self, t: int) -> None:
        self._common, self._customers = {}, {}
        for said in self._log.pauses(t - _ENDED_FOR_MS):
            one = said.pause
            if said.act == "resume":
                continue
            if one.what == "customer":
                key = one.tenant, one.name
                self._customers[key] = (*self._customers.get(key, ()), one)
            else:
                self._common[one.tenant] = (*self._common.get(one.tenant, ()), one)


def _until(text: str, at: int) -> int:
    try:
        until = parse_time(text)
    except ValueError:
        raise invalid_field("/until", "must be RFC 3339 with an offset, such as 2026-11-23T10:00:00Z") from None
    if not at < until <= at + LONGEST_MS:
        raise invalid_field("/until", "must be later than now, at most 400 days")
    return until


def _in_force(log: SignalLog, sets: PrincipleSets, tenant: str) -> PrincipleSet | None:
    latest = log.revisions()
    common, own = latest.get(COMMON), latest.get(own_kind(tenant))
    return None if common is None else sets.of_tenant(common["digest"], own and own["digest"])


def _cannot_be_paused(what: What, name: str, principles: PrincipleSet | None) -> str:
    """Why something cannot be paused; nothing if it can."""
    if what == "domain" and name not in PAUSABLE:
        return f"must be one of {', '.join(PAUSABLE)}: help and duty are never paused"
    if what == "customer" and "/" in name:
        return "must not contain '/'"
    if what != "principle":
        return ""
    if principles is not None and any(one.id == name for one in principles.guarantees):
        return "guarantees are never paused"
    found = [] if principles is None else [one for one in principles.principles if one.id == name]
    if not found:
        return "must be the id of a principle in force"
    return "this principle is locked: it cannot be paused" if found[0].locked else ""
