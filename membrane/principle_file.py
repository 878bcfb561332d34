"""From a parsed principle document to a `PrincipleSet`, or to every fault the document has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any, Final

from membrane.caps import Cap
from membrane.conditions import Condition, compile_condition
from membrane.contacts import KEPT_CONTACTS
from membrane.document import DocumentReader, Positions
from membrane.errors import Fault, InvalidPrinciples
from membrane.layers import layered, loosening
from membrane.levers import read_lever
from membrane.life import EVERYBODY, LIFE_FIELDS, read_life
from membrane.principle_tests import read_tests
from membrane.principles import (
    BREAKER,
    GUARANTEES,
    MONEY_KINDS,
    OWNERS,
    Effect,
    Guarantee,
    Principle,
    PrincipleSet,
    Promise,
    parse_revision,
)
from membrane.quiet_hours import QuietHours
from membrane.scope import ALL_KINDS, DIRECTIONS, Scope, Slot, all_slots
from membrane.vocabulary import CHANNELS, KINDS, OBLIGATION_KINDS, ONCE_PER, FindingKind, InteractionClass
from membrane.wording import QUIET_DAY, cap_text, quiet_text

MAX_CAP: Final = KEPT_CONTACTS
"""A record keeps no more contacts: a greater cap could not be told from a full one."""
MAX_ITEMS: Final = 500
MAX_BREAKER: Final = 1_000_000
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXTENDED: Final = "default"
"""What a tenant's own file extends: the set that is in force for everybody."""
NAMED: Final = ("guarantees", "principles", "caps", "quiet_hours")
"""The parts whose items have ids."""
_PRINCIPLE_FIELDS: Final = ("applies", "set", "obligation", "tests", "locked", *LIFE_FIELDS)
_SCOPE_FIELDS: Final = {
    "domains": tuple(KINDS),
    "kinds": ALL_KINDS,
    "not_kinds": ALL_KINDS,
    "channels": CHANNELS,
    "directions": DIRECTIONS,
    "classes": tuple(InteractionClass),
}
_NONE: Final = {"es": "-", "en": "-"}  # for a text that is missing, which is a fault of its own
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TIME_OF_DAY: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Draft:
    """What was read of a document: the set (what is faulty reads as empty, a faulty condition as `true`), every fault
    in the order of the file, where each value stands, and what a document that extends is laid over, if that is
    known."""

    principles: PrincipleSet
    faults: list[Fault]
    positions: Positions
    base: PrincipleSet | None = None

    @property
    def whole(self) -> PrincipleSet:
        """The set as it would be in force: laid over what it extends."""
        return self.principles if self.base is None else layered(self.base, self.principles)


def read_principles(
    document: Any,
    positions: Positions,
    *,
    digest: str,
    file: str = "",
    features: Iterable[str] = (),
    base: PrincipleSet | None = None,
) -> PrincipleSet:
    """The principle set of a parsed document. `positions` maps paths to (line, column); `features` are the names that
    `features.<name>` may take; `base` is what a document that extends must go with. InvalidPrinciples lists every
    fault."""
    draft = read_draft(document, positions, digest=digest, file=file, features=features, base=base)
    if draft.faults:
        raise InvalidPrinciples(draft.faults)
    return draft.principles


def read_draft(
    document: Any,
    positions: Positions,
    *,
    digest: str,
    file: str = "",
    features: Iterable[str] = (),
    base: PrincipleSet | None = None,
) -> Draft:
    """The same, faulty or not."""
    reader = _FileReader(positions, file, tuple(features))
    found = reader.principle_set(document, digest, base)
    faults = sorted(reader.faults, key=lambda fault: (fault.line, fault.column))
    return Draft(found, faults, positions, base if found.extends else None)


class _FileReader(DocumentReader):
    """Reads the parts of a principle file."""

    def __init__(self, positions: Positions, file: str, features: tuple[str, ...]) -> None:
        super().__init__(positions, file)
        self._features = features
        self._ids: set[str] = set()
        self._guaranteed: list[Slot] = []
        self._holidays: dict[str, frozenset[date]] = {}

    def principle_set(self, document: Any, digest: str, base: PrincipleSet | None) -> PrincipleSet:
        optional = ("extends", "guarantees", "principles", "caps", "quiet_hours", "holidays", "levers")
        fields = self.mapping(document, "", ("pack", "revision"), optional)
        extends = self.choice(fields["extends"], "extends", (EXTENDED,)) if "extends" in fields else ""
        fixed = base.guarantees if extends and base is not None else GUARANTEES
        given = tuple(self._guarantee(item, path) for path, item in self._part(fields, "guarantees"))
        guarantees = (*fixed, *(one for one in given if one.id not in {other.id for other in fixed}))
        self._holidays = self._calendars(fields.get("holidays", {}), "holidays")
        self._guaranteed = [slot for slot in all_slots() if any(one.scope.covers(slot) for one in guarantees)]
        found = PrincipleSet(
            pack=self.text(fields.get("pack", "?"), "pack"),
            revision=self._revision(fields.get("revision", "1970-01-01.0")),
            digest=digest,
            guarantees=guarantees,
            principles=tuple(self._principle(item, path) for path, item in self._part(fields, "principles")),
            caps=tuple(self._cap(item, path) for path, item in self._part(fields, "caps")),
            quiet_hours=tuple(self._quiet(item, path) for path, item in self._part(fields, "quiet_hours")),
            levers=self._levers(fields),
            extends=extends,
        )
        if extends and base is not None:
            self._check_layer(base, replace(found, guarantees=given))
        return found

    def _check_layer(self, base: PrincipleSet, own: PrincipleSet) -> None:
        """What is laid over a set keeps its names apart from that set's, and loosens nothing that is locked there."""
        for part, number, problem in loosening(base, own):
            self.fault(f"{part}[{number}]", problem)
        names = {one.id: part for part in NAMED for one in getattr(base, part)}
        for part in NAMED:
            for number, one in enumerate(getattr(own, part)):
                if names.get(one.id, part) != part:
                    self.fault(f"{part}[{number}].id", f"'{one.id}' is one of the {names[one.id]} of {base.pack}")

    def _part(self, fields: dict[str, Any], name: str) -> list[tuple[str, Any]]:
        items = self.items(fields.get(name, []), name)
        if len(items) > MAX_ITEMS:
            self.fault(name, f"must have at most {MAX_ITEMS} items, came {len(items)}")
        return items[:MAX_ITEMS]

    def _revision(self, value: Any) -> str:
        try:
            parse_revision(str(value))
        except ValueError:
            self.fault("revision", "must be YYYY-MM-DD.N, such as 2026-11-22.1")
        return str(value)

    def _guarantee(self, value: Any, path: str) -> Guarantee:
        fields = self.mapping(value, path, ("id", "domains", "text"), _SCOPE_FIELDS)
        return Guarantee(
            self._id(fields, path), self._scope(fields, path), self.texts(fields.get("text", _NONE), f"{path}.text")
        )

    def _principle(self, value: Any, path: str) -> Principle:
        required = ("id", "owner", "text", "when", "effect")
        fields = self.mapping(value, path, required, _PRINCIPLE_FIELDS)
        effect = self._effect(fields, path)
        applies = self.mapping(fields.get("applies", {}), f"{path}.applies", (), _SCOPE_FIELDS)
        scope = self._scope(applies, f"{path}.applies")
        if effect in {Effect.FORBID, Effect.DEFER}:
            self._protect(scope, path)
        found = Principle(
            id=self._id(fields, path),
            owner=self.choice(fields.get("owner", OWNERS[0]), f"{path}.owner", OWNERS),
            text=self.texts(fields.get("text", _NONE), f"{path}.text"),
            scope=scope,
            condition=self._condition(fields.get("when", "true"), f"{path}.when"),
            effect=effect,
            changes=self._changes(fields.get("set", {}), f"{path}.set"),
            promise=self._promise(fields["obligation"], f"{path}.obligation") if "obligation" in fields else None,
            tests=read_tests(self, fields.get("tests", []), f"{path}.tests", self._features),
            life=read_life(self, fields, path),
            locked=self._locked(fields, path),
        )
        self._check_rollout(found, f"{path}.rollout")
        return found

    def _check_rollout(self, found: Principle, path: str) -> None:
        """What law, safety or a debt of money asks for is no trial: it counts for every customer alike."""
        if found.life.rollout == EVERYBODY:
            return
        if found.owner == "legal":
            self.fault(path, "a principle of legal counts for every customer: leave it out")
        elif found.promise is not None:
            if found.promise.kind in MONEY_KINDS:
                self.fault(path, f"what costs money ('{found.promise.kind}') is owed to every customer: leave it out")
        elif any(found.scope.covers(slot) for slot in all_slots() if slot.cls is InteractionClass.DUTY):
            self.fault(path, "reaches legal and safety notices, which are alike for every customer: narrow its domains")

    def _effect(self, fields: dict[str, Any], path: str) -> Effect:
        """The effect, with what it needs beside it and nothing that belongs to another."""
        effect = Effect(self.choice(fields.get("effect", "forbid"), f"{path}.effect", tuple(Effect)) or "forbid")
        for field, owner in (("set", Effect.MODIFY), ("obligation", Effect.REQUIRE)):
            if effect is owner and field not in fields:
                self.fault(path, f"the effect '{effect}' needs the field '{field}'")
            if effect is not owner and field in fields:
                self.fault(f"{path}.{field}", f"goes with the effect '{owner}', not with '{effect}'")
        if effect is Effect.REQUIRE and "applies" in fields:
            self.fault(f"{path}.applies", "an obligation is owed whatever is asked: 'require' takes no scope")
        return effect

    def _condition(self, value: Any, path: str) -> Condition:
        found = compile_condition(self.text(value, path) or "true", self._features)
        if isinstance(found, Condition):
            return found
        for fault in found:
            problem = f"{fault.problem} (line {fault.line}, column {fault.column} of the condition)"
            self.fault(path, problem, line=fault.line, column=fault.column)
        return _always()

    def _changes(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return {str(name): change for name, change in value.items()}
        self.fault(path, "must be a mapping of what to change")
        return {}

    def _levers(self, fields: dict[str, Any]) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for path, item in self._part(fields, "levers"):
            what, percent = read_lever(self, item, path)
            if what in found:
                self.fault(path, f"{'/'.join(filter(None, what))} has a lever in this file already")
            found[what] = percent
        return found

    def _promise(self, value: Any, path: str) -> Promise:
        optional = ("once_per", "every", "at_most", "approval", "met_by", "escalate_to", "breaker")
        fields = self.mapping(value, path, ("kind", "owner", "due"), optional)
        if ("once_per" in fields) == ("every" in fields):
            self.fault(path, "needs one of 'once_per' and 'every'")
        return Promise(
            kind=self.choice(fields.get("kind", OBLIGATION_KINDS[0]), f"{path}.kind", OBLIGATION_KINDS),
            owner=self.choice(fields.get("owner", OWNERS[0]), f"{path}.owner", OWNERS),
            due_ms=self.duration(fields.get("due", "1h"), f"{path}.due"),
            once_per=self.choice(fields["once_per"], f"{path}.once_per", ONCE_PER) if "once_per" in fields else "",
            every_ms=self.duration(fields["every"], f"{path}.every") if "every" in fields else 0,
            at_most=self._at_most(fields["at_most"], f"{path}.at_most") if "at_most" in fields else None,
            approval=self.choice(fields["approval"], f"{path}.approval", ("human",)) if "approval" in fields else "",
            met_by=self.choices(fields["met_by"], f"{path}.met_by", ALL_KINDS) if "met_by" in fields else frozenset(),
            escalate_to=self._escalate_to(fields, f"{path}.escalate_to"),
            breaker=self.count(fields.get("breaker", BREAKER), f"{path}.breaker", low=1, high=MAX_BREAKER),
        )

    def _escalate_to(self, fields: dict[str, Any], path: str) -> str:
        """Another department than the one that owes it first."""
        if "escalate_to" not in fields:
            return ""
        found = self.choice(fields["escalate_to"], path, OWNERS)
        if found and found == fields.get("owner"):
            self.fault(path, f"must be another than the owner, came '{found}'")
        return found

    def _at_most(self, value: Any, path: str) -> tuple[int, int]:
        """`{3: 8760h}`: three in any 8760 hours."""
        if not isinstance(value, dict) or len(value) != 1:
            self.fault(path, "must be one count with its window, such as {3: 8760h}")
            return 1, 1
        [(count, window)] = value.items()
        plain = int(count) if isinstance(count, str) and count.isdecimal() else count
        return self.count(plain, path, low=1, high=24), self.duration(window, f"{path}.{count}")

    def _cap(self, value: Any, path: str) -> Cap:
        fields = self.mapping(value, path, ("id", "at_most", "per"), ("text", "locked", *_SCOPE_FIELDS))
        scope = self._scope(fields, path)
        self._protect(scope, path)
        at_most = self.count(fields.get("at_most", 1), f"{path}.at_most", low=0, high=MAX_CAP)
        per = fields.get("per", "1h")
        text = self.texts(fields["text"], f"{path}.text") if "text" in fields else cap_text(at_most, str(per))
        per_ms = self.duration(per, f"{path}.per")
        return Cap(self._id(fields, path), scope, at_most, per_ms, text, self._locked(fields, path))

    def _quiet(self, value: Any, path: str) -> QuietHours:
        when = ("from", "to", "all_day", "days", "holidays")
        fields = self.mapping(value, path, ("id",), (*when, "text", "locked", *_SCOPE_FIELDS))
        scope = self._scope(fields, path)
        self._protect(scope, path)
        start, end = self._from_to(fields, path)
        days = self.choices(fields["days"], f"{path}.days", WEEKDAYS) if "days" in fields else ()
        plain = quiet_text(f"{start:%H:%M}", f"{end:%H:%M}") if start != end else QUIET_DAY
        return QuietHours(
            self._id(fields, path),
            scope,
            start,
            end,
            self.texts(fields["text"], f"{path}.text") if "text" in fields else plain,
            frozenset(WEEKDAYS.index(day) for day in days if day),
            self._named_holidays(fields, path),
            self._locked(fields, path),
        )

    def _from_to(self, fields: dict[str, Any], path: str) -> tuple[time, time]:
        """Both at midnight for whole days."""
        if "all_day" in fields:
            if fields["all_day"] is not True or "from" in fields or "to" in fields:
                self.fault(f"{path}.all_day", "must be true, and stand without 'from' and 'to'")
            return time(), time()
        for name in ("from", "to"):
            if name not in fields:
                self.fault(path, f"misses the field '{name}' (or all_day: true)")
        start = self._time(fields.get("from", "00:00"), f"{path}.from")
        end = self._time(fields.get("to", "00:01"), f"{path}.to")
        if start == end:
            self.fault(path, "quiet hours must end at another time than they begin (all_day: true for whole days)")
        return start, end

    def _named_holidays(self, fields: dict[str, Any], path: str) -> frozenset[date]:
        if "holidays" not in fields:
            return frozenset()
        name = self.choice(fields["holidays"], f"{path}.holidays", self._holidays)
        return self._holidays.get(name, frozenset())

    def _calendars(self, value: Any, path: str) -> dict[str, frozenset[date]]:
        """Lists of days off by name."""
        calendars = self.mapping(value, path, optional=value if isinstance(value, dict) else ())
        return {
            str(name): frozenset(self._day_off(item, at) for at, item in self.items(days, f"{path}.{name}", least=1))
            for name, days in calendars.items()
        }

    def _day_off(self, value: Any, path: str) -> date:
        text = self.date(value, path)
        return date.fromisoformat(text) if text else date.min

    def _locked(self, fields: dict[str, Any], path: str) -> bool:
        value = fields.get("locked", False)
        if not isinstance(value, bool):
            self.fault(f"{path}.locked", "must be true or false")
        return value is True

    def _time(self, value: Any, path: str) -> time:
        match = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self.fault(path, 'must be a time of day such as "21:00"')
            return time()
        return time(int(match[1]), int(match[2]))

    def _scope(self, fields: dict[str, Any], path: str) -> Scope:
        return Scope(
            **{
                name: self.choices(fields[name], f"{path}.{name}", choices)
                for name, choices in _SCOPE_FIELDS.items()
                if name in fields
            }
        )

    def _protect(self, scope: Scope, path: str) -> None:
        """Nothing that blocks may reach what is guaranteed."""
        touched = next((slot for slot in self._guaranteed if scope.covers(slot)), None)
        if touched is not None:
            what = f"{touched.domain}/{touched.kind}"
            problem = f"touches a guarantee ({what}): narrow its domains or kinds, or name it in not_kinds"
            self.fault(path, problem, kind=FindingKind.GUARANTEE)

    def _id(self, fields: dict[str, Any], path: str) -> str:
        if "id" not in fields:
            return ""
        found = self.text(fields["id"], f"{path}.id")
        if found and not _ID.fullmatch(found):
            self.fault(f"{path}.id", "must be lower-case letters, digits, - and _, at most 64, a letter or digit first")
        if found in self._ids:
            self.fault(f"{path}.id", f"'{found}' stands for something else in this file already")
        self._ids.add(found)
        return found


def _always() -> Condition:
    """Stands in for a faulty condition, so that the rest of the file is read."""
    found = compile_condition("true")
    if not isinstance(found, Condition):
        raise TypeError("the condition 'true' must compile")
    return found
