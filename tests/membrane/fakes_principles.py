"""Principle files read with PyYAML, and customers given by their facts, for the tests of the domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from membrane.caps import PERMIT_MS, Claim
from membrane.decisions import Candidate, DecisionRequest
from membrane.dictionary import BY_NAME, ON_LIFECYCLE, ON_STAGE, CaseFacts, Matters, Value
from membrane.facts import NOTHING, About
from membrane.features import FEATURE_NAMES
from membrane.pauses import Pause
from membrane.principle_file import read_principles
from membrane.principles import PrincipleSet
from membrane.record import Contact, Obligation, Profile, Record, State, Tracker
from membrane.times import DAY, HOUR, format_time
from membrane.vocabulary import CHANNELS, DOMAINS, STAGES, Stage

NOON = 20_000 * DAY + 12 * HOUR
"""A moment in the tests: noon UTC of a day in 2024."""
PACK = Path("membrane/packs/default.yaml")
TEXT = {"es": "Porque sí.", "en": "Because."}


def read_yaml(text: str) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The document of a YAML text and where each value stands."""
    marks: dict[str, tuple[int, int]] = {}

    def note(node: yaml.Node, path: str) -> None:
        marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                note(value, f"{path}.{key.value}" if path else key.value)
        elif isinstance(node, yaml.SequenceNode):
            for place, value in enumerate(node.value):
                note(value, f"{path}[{place}]")

    note(yaml.compose(text, Loader=yaml.SafeLoader), "")
    return yaml.safe_load(text), marks


@cache
def default_pack() -> PrincipleSet:
    """The shipped pack."""
    text = (Path(__file__).parents[2] / PACK).read_text(encoding="utf-8")
    document, marks = read_yaml(text)
    return read_principles(document, marks, digest="0" * 64, file=str(PACK))


def principle(when: str, effect: str = "forbid", **fields: Any) -> dict[str, Any]:
    """One principle of a document, for marketing unless said otherwise."""
    plain = {"id": f"{effect}-it", "owner": "marketing", "text": TEXT, "when": when, "effect": effect}
    if effect in {"forbid", "defer"}:
        plain["applies"] = {"domains": ["marketing", "sales", "survey"]}
    return plain | fields


def principle_set(*principles: dict[str, Any], **parts: Any) -> PrincipleSet:
    """A set of such principles; ids are made to differ."""
    numbered = [one | {"id": f"{one['id']}-{place}"} for place, one in enumerate(principles)]
    document = {"pack": "test", "revision": "2026-11-22.1", "principles": numbered, **parts}
    return read_principles(document, {}, digest="ab" * 32, features=("contacts_7d", *FEATURE_NAMES))


@dataclasses.dataclass
class FakeFacts:
    """Facts by name; `anchors` say where ages start, `moments` when facts change (`values` takes functions of t)."""

    t: int
    values: dict[str, Value | Callable[[int], Value]]
    anchors: dict[str, int] = dataclasses.field(default_factory=dict)
    moments: dict[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    about: About = NOTHING
    open_cases: tuple[CaseFacts, ...] = ()

    def get(self, name: str) -> Value:
        given = {"consent.state": self.about.consent, "request.channel": self.about.channel}
        given["about.known"] = self.about.known  # type: ignore[assignment]
        if name in given:
            return given[name]
        value = self.values.get(name)
        if callable(value):
            return value(self.t)
        anchor = self.anchor(name)
        if value is None and anchor is not None:
            return max(self.t - anchor, 0)
        return value if value is not None else BY_NAME[name].unknown if name in BY_NAME else 0.0

    def anchor(self, name: str) -> int | None:
        if name == "about.age":
            return self.about.ended_at if self.about.known else None
        return self.anchors.get(name)

    def next_change(self, name: str) -> int | None:
        return min((moment for moment in self.moments.get(name, ()) if moment > self.t), default=None)

    def next_move(self, matters: Matters) -> int | None:
        found = [self.next_change(name) for name in ON_STAGE | ON_LIFECYCLE]
        return min((moment for moment in found if moment is not None), default=None)

    def cases(self) -> Sequence[CaseFacts]:
        return self.open_cases


@dataclasses.dataclass
class FakeView:
    """A customer given by facts; `values` may be functions of the moment, so that time alone can change them."""

    t: int = NOON
    record: Record | None = None
    values: dict[str, Value | Callable[[int], Value]] = dataclasses.field(default_factory=dict)
    anchors: dict[str, int] = dataclasses.field(default_factory=dict)
    moments: dict[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    consents: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    due: Sequence[int] = ()
    open_cases: tuple[CaseFacts, ...] = ()
    claims: Sequence[Claim] = ()
    who: tuple[str, str] = ("default", "c-1")
    pauses: Sequence[Pause] = ()
    service_silent: bool = False

    @property
    def as_of(self) -> int | None:
        return self.record.clock if self.record else None

    def at(self, t: int) -> FakeView:
        return dataclasses.replace(self, t=t)

    foresee = at

    def facts(self, about: About = NOTHING, narrow: tuple[str, str] | None = None) -> FakeFacts:
        return FakeFacts(self.t, self.values, self.anchors, self.moments, about, self.open_cases)

    def consent(self, channel: int, domain: int) -> str:
        return self.consents.get((CHANNELS[channel], DOMAINS[domain]), "none")

    def next_due(self) -> int | None:
        return min((moment for moment in self.due if moment > self.t), default=None)


def record(*contacts: Contact, owed: Sequence[Obligation] = (), timezone: str = "", **tracker: Any) -> Record:
    """A record of a steady customer with these contacts and obligations."""
    profile = Profile(timezone=(timezone, 1)) if timezone else Profile()
    state = State(contacts=list(contacts), profile=profile, first_at=NOON - 400 * DAY)
    plain = {"stage": STAGES.index(Stage.STEADY), "since": NOON - 100 * DAY}
    return Record("default", "c-1", 7, NOON - HOUR, 0, state, Tracker(**(plain | tracker)), list(owed))


def view(
    *contacts: Contact, owed: Sequence[Obligation] = (), timezone: str = "", t: int = NOON, **parts: Any
) -> FakeView:
    """A steady, active customer seen at noon."""
    values = {"lifecycle": "active", "stage.name": "steady"} | parts.pop("values", {})
    return FakeView(t, record(*contacts, owed=owed, timezone=timezone), values, **parts)


def contact(
    made_at: int,
    domain: str = "marketing",
    kind: str = "newsletter",
    channel: str = "email",
    permit: str = "",
    name: str = "",
) -> Contact:
    """A contact made at a moment."""
    return Contact(name or f"k-{made_at}", made_at, DOMAINS.index(domain), CHANNELS.index(channel), kind, permit)


def claim(made_at: int, until: int = 0, domain: str = "marketing", kind: str = "upsell", permit: str = "p1") -> Claim:
    """A claim on a contact by e-mail, which lives as long as a permit may."""
    return Claim(permit, made_at, DOMAINS.index(domain), CHANNELS.index("email"), kind, until or made_at + PERMIT_MS)


def candidate(domain: str = "marketing", kind: str = "upsell", channel: str = "email", **fields: Any) -> Candidate:
    """A candidate; its id says what it is."""
    return Candidate(fields.pop("id", f"{domain}-{kind}"), domain, kind, channel, **fields)


def request(*candidates: Candidate, at: int | None = None, **fields: Any) -> DecisionRequest:
    """A request for these candidates."""
    return DecisionRequest("c-1", list(candidates), at=None if at is None else format_time(at), **fields)
