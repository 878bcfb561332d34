"""Random sets of principles and random customers, with an oracle that shares no code with the decision.

A condition is made as a text and as a function of the facts at once; a customer's facts change at moments known
beforehand. So the oracle can say what is true at any moment, and which moments there are to look at.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from membrane.decisions import About, Candidate
from membrane.dictionary import FACTS, CaseFacts, Fact, Value
from membrane.expressions import Node
from membrane.facts import About as Known
from membrane.principle_file import read_principles
from membrane.principles import PrincipleSet
from membrane.times import DAY, HOUR, format_time, parse_time
from membrane.vocabulary import CASE_STATUSES, DOMAINS, LIFECYCLES
from tests.membrane.fakes_principles import NOON, TEXT, FakeFacts, FakeView, candidate, contact, record

HOURS: Final = (1, 12, 48, 72, 240)
QUARTERS: Final = (0.25, 1.0, 2.5, 10.0)
HORIZON: Final = 12 * DAY
FEATURES: Final = ("contacts_in_7d", "tone_mean_7d", "orders_30d")
FEATURE_AGES: Final = ("silence", "tenure")
_KNOWN: Final = tuple(one for one in LIFECYCLES if one != "unknown")
_WORDS: Final = ("net", "bill", "network")
_CANDIDATES: Final = (
    ("marketing", "upsell", "email"),
    ("marketing", "newsletter", "sms"),
    ("sales", "upgrade", "phone"),
    ("survey", "nps", "sms"),
    ("billing", "invoice", "letter"),
)
_DOMAINS: Final = ("marketing", "sales", "survey", "billing")
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_RECKON: Final[dict[str, Callable[[Any, Any], Any]]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


class Person(FakeView):
    """A customer whose open cases grow older, too."""

    def facts(self, *given: Any, **named: Any) -> FakeFacts:
        found = super().facts(*given, **named)
        passed = self.t - NOON
        found.open_cases = tuple(dataclasses.replace(one, age_ms=one.age_ms + passed) for one in self.open_cases)
        return found


class Made(NamedTuple):
    """An expression as a text and as what it says of facts."""

    text: str
    of: Callable[[FakeFacts], Any]


class Rule(NamedTuple):
    """A principle as the oracle sees it."""

    id: str
    effect: str
    domains: tuple[str, ...]
    when: Made


class Plan(NamedTuple):
    """A set of principles, and what the oracle needs to know of it."""

    document: dict[str, Any]
    rules: tuple[Rule, ...]
    caps: tuple[dict[str, Any], ...]
    quiet: tuple[dict[str, Any], ...]

    def compiled(self, random: Random | None = None) -> PrincipleSet:
        """The set as the decision sees it; every list in another order with `random`."""
        document = dict(self.document)
        if random is not None:
            for part in ("principles", "caps", "quiet_hours"):
                document[part] = random.sample(document[part], len(document[part]))
        return read_principles(document, {}, digest="ab" * 32, features=(*FEATURES, *FEATURE_AGES))


# ---- customers -----------------------------------------------------------------------------------------------------


def person(random: Random) -> tuple[Person, list[Candidate]]:
    """A customer, and what is asked about them."""
    values: dict[str, Value | Callable[[int], Value]] = {}
    moments: dict[str, Sequence[int]] = {}
    anchors = {fact.name: _before(random) for fact in FACTS if fact.timed == "age" and fact.name != "about.age"}
    for fact in FACTS:
        if fact.timed != "age" and fact.name != "lifecycle":
            steps = random.random() < 0.5 and fact.timed == "changes"
            values[fact.name], moments[fact.name] = _course(random, lambda fact=fact: value(random, fact), steps)
    known = random.random() < 0.8  # time makes nobody known or unknown
    values["lifecycle"], moments["lifecycle"] = (
        _course(random, lambda: random.choice(_KNOWN), random.random() < 0.3) if known else ("unknown", ())
    )
    for name in FEATURES:
        said = lambda: random.choice((-0.5, 0.0, 0.25, 1.0, 3.0))  # noqa: E731 - one way to say it thrice
        values[f"features.{name}"], moments[f"features.{name}"] = _course(random, said, random.random() < 0.3)
    for name in FEATURE_AGES:
        since = anchors[f"features.{name}"] = _before(random)
        values[f"features.{name}"] = lambda t, since=since: (t - since) / DAY
    chosen = random.sample(_CANDIDATES, random.randint(1, 3))
    asked = [_asked(random, number, *one) for number, one in enumerate(chosen)]
    made = [
        contact(NOON - random.randrange(200 * HOUR), random.choice(_DOMAINS), "", random.choice(("email", "sms")))
        for _ in range(random.randint(0, 4))
    ]
    seen = Person(
        NOON, record(*made), values, anchors, moments,
        open_cases=tuple(_case(random, number) for number in range(random.randint(0, 3))),
        consents={
            (one.channel, one.domain): random.choice(("granted", "granted", "denied", "none", "none")) for one in asked
        },
    )  # fmt: skip
    return seen, asked


def value(random: Random, fact: Fact) -> Value:
    """Some value of a fact that is no age."""
    match fact.type:
        case "bool":
            return random.random() < 0.5
        case "int":
            return random.choice((0, 1, 2, 3, 9))
        case "double":
            return random.choice((0.0, 0.25, 0.4, 0.5, 1.0))
    return random.choice(fact.values)


def _course(
    random: Random, said: Callable[[], Value], steps: bool
) -> tuple[Value | Callable[[int], Value], Sequence[int]]:
    """A value that lasts, or one that changes once."""
    first, then = said(), said()
    at = NOON + random.randrange(1, HORIZON)
    return (lambda t: then if t >= at else first, (at,)) if steps else (first, ())


def _before(random: Random) -> int:
    return NOON - random.choice((random.randrange(10 * DAY), random.choice(HOURS) * HOUR, 400 * DAY))


def _case(random: Random, number: int) -> CaseFacts:
    return CaseFacts(
        f"case-{number}", random.choice(_WORDS), random.choice(_WORDS), random.randint(1, 4),
        random.choice(CASE_STATUSES), NOON - _before(random), random.random() < 0.5, random.random() < 0.5,
        random.randint(0, 3),
    )  # fmt: skip


def _asked(random: Random, number: int, domain: str, kind: str, channel: str) -> Candidate:
    about = About(at=format_time(_before(random))) if random.random() < 0.5 else None
    worth = random.choice((1.0, 2.0, 3.0))
    return candidate(domain, kind, channel, id=f"{number}-{kind}", value=worth, about=about)


# ---- conditions ----------------------------------------------------------------------------------------------------


def condition(random: Random, people: Sequence[FakeFacts]) -> Made:
    """A condition that is true of 20 to 80 % of these people."""
    while True:
        made = _truth(random, random.choice((1, 1, 2, 2, 3)))
        if 0.2 <= sum(made.of(one) for one in people) / len(people) <= 0.8:
            return made


def _truth(random: Random, depth: int) -> Made:
    form = random.choice(("&&", "||", "!", "?", "==")) if depth else ""
    if form in {"", "!"}:
        one = _truth(random, depth - 1) if form else _leaf(random)
        return Made(f"!({one.text})", lambda f: not one.of(f)) if form else one
    one, other = _truth(random, depth - 1), _truth(random, depth - 1)
    if form == "?":
        which = _leaf(random)
        text = f"({which.text} ? {one.text} : {other.text})"
        return Made(text, lambda f: one.of(f) if which.of(f) else other.of(f))
    by = {"&&": operator.and_, "||": operator.or_, "==": operator.eq}[form]
    return Made(f"(({one.text}) {form} ({other.text}))", lambda f: by(one.of(f), other.of(f)))


def _leaf(random: Random) -> Made:
    return random.choice((*(_by_fact,) * 6, *(_by_age,) * 3, _by_number, _by_number, _by_text, _by_cases))(random)


def _by_fact(random: Random) -> Made:
    fact = random.choice([one for one in FACTS if one.timed != "age"])
    name = fact.name
    if fact.type == "bool":
        return Made(name, lambda f: f.get(name))
    if fact.type == "string" and random.random() < 0.5:
        some = random.sample(fact.values, min(3, len(fact.values)))
        return Made(f"{name} in [{', '.join(map(_quoted, some))}]", lambda f: f.get(name) in some)
    if fact.type == "int" and random.random() < 0.3:
        numbers = random.sample((0, 1, 2, 3, 9), 3)
        return Made(f"{name} in {numbers}", lambda f: f.get(name) in numbers)
    literal = value(random, fact)
    sign = random.choice(tuple(_COMPARE)[: 2 if fact.type == "string" else 6])
    text = f"{name} {sign} {_quoted(literal) if isinstance(literal, str) else literal}"
    return Made(text, lambda f: _COMPARE[sign](f.get(name), literal))


def _by_number(random: Random) -> Made:
    if random.random() < 0.3:
        return _by_feature_age(random)
    kind = random.choice(("int", "double"))
    left, right, sign = _number(random, kind, 1), _number(random, kind, 1), random.choice(tuple(_COMPARE))
    return Made(f"{left.text} {sign} {right.text}", lambda f: _COMPARE[sign](left.of(f), right.of(f)))


def _by_feature_age(random: Random) -> Made:
    name, sign, literal = (
        f"features.{random.choice(FEATURE_AGES)}",
        random.choice(("<", "<=", ">", ">=")),
        random.choice(QUARTERS),
    )
    return Made(f"{name} {sign} {literal}", lambda f: _COMPARE[sign](f.get(name), literal))


def _number(random: Random, kind: str, depth: int) -> Made:
    form = random.choice(("+", "-", "*", "minus", "", "")) if depth else ""
    if form == "minus":
        one = _number(random, kind, depth - 1)
        return Made(f"-({one.text})", lambda f: -one.of(f))
    if form:
        one, other = _number(random, kind, depth - 1), _number(random, kind, depth - 1)
        return Made(f"({one.text} {form} {other.text})", lambda f: _RECKON[form](one.of(f), other.of(f)))
    if random.random() < 0.4:
        literal = random.choice((1, 2, 3)) if kind == "int" else random.choice((0.25, 0.5, 2.0))
        return Made(str(literal), lambda _: literal)
    if kind == "int" and random.random() < 0.2:
        return Made("size(cases)", lambda f: len(f.cases()))
    names = [fact.name for fact in FACTS if fact.type == kind]
    name = random.choice(names if kind == "int" else [*names, *(f"features.{one}" for one in FEATURES)])
    return Made(name, lambda f: f.get(name))


def _by_age(random: Random) -> Made:
    name = random.choice([fact.name for fact in FACTS if fact.timed == "age"])
    sign, hours = random.choice(("<", "<=", ">", ">=")), random.choice(HOURS)
    return Made(f'{name} {sign} duration("{hours}h")', lambda f: _COMPARE[sign](f.get(name), hours * HOUR))


def _by_text(random: Random) -> Made:
    name, letter = random.choice(("stage.name", "lifecycle", "request.channel")), random.choice("acdens")
    form, says = random.choice(
        (
            ("contains", lambda text: letter in text),
            ("startsWith", lambda text: text.startswith(letter)),
            ("endsWith", lambda text: text.endswith(letter)),
            ("size", lambda text: len(text) > 5),
        )
    )
    text = f"size({name}) > 5" if form == "size" else f"{name}.{form}({_quoted(letter)})"
    return Made(text, lambda f: says(f.get(name)))


def _by_cases(random: Random) -> Made:
    one = _of_case(random, "c")
    match random.choice(("exists", "all", "index")):
        case "exists":
            return Made(f"cases.exists(c, {one.text})", lambda f: any(map(one.of, f.cases())))
        case "all":
            return Made(f"cases.all(c, {one.text})", lambda f: all(map(one.of, f.cases())))
    first = one.text.replace("c.", "cases[0].")
    return Made(f"(size(cases) > 0 && {first})", lambda f: bool(f.cases()) and one.of(f.cases()[0]))


def _of_case(random: Random, name: str) -> Made:
    sign, number, hours = random.choice(tuple(_COMPARE)), random.randint(0, 3), random.choice(HOURS)
    word, status = random.choice(_WORDS), random.choice(CASE_STATUSES)
    text, says = random.choice(
        (
            (f"{name}.severity {sign} {number}", lambda c: _COMPARE[sign](c.severity, number)),
            (f"{name}.recurrences {sign} {number}", lambda c: _COMPARE[sign](c.recurrences, number)),
            (f"{name}.category == {_quoted(word)}", lambda c: c.category == word),
            (f"{name}.product.startsWith({_quoted(word)})", lambda c: c.product.startswith(word)),
            (f"{name}.status == {_quoted(status)}", lambda c: c.status == status),
            (f"{name}.has_eta", lambda c: c.has_eta),
            (f"{name}.eta_missed", lambda c: c.eta_missed),
            (f'{name}.age > duration("{hours}h")', lambda c: c.age_ms > hours * HOUR),
            (f'{name}.age <= duration("{hours}h")', lambda c: c.age_ms <= hours * HOUR),
        )
    )
    return Made(text, says)


def _quoted(text: Value) -> str:
    return f'"{text}"'


# ---- sets ----------------------------------------------------------------------------------------------------------


def plan(random: Random, people: Sequence[FakeFacts]) -> Plan:
    """A set of principles about these people."""
    rules = [_rule(random, number, people) for number in range(random.randint(1, 5))]
    caps = [
        {
            "id": f"cap-{number}",
            "domains": random.sample(_DOMAINS, 2),
            "at_most": random.randint(1, 3),
            "per": f"{per}h",
        }
        for number, per in enumerate(random.sample((24, 48, 168), random.randint(0, 2)))
    ]
    quiet = [
        {"id": "nights", "domains": random.sample(_DOMAINS, 2), "from": begins, "to": "09:00"}
        for begins in random.sample(("21:00", "11:00"), random.randint(0, 1))
    ]
    principles = [
        {"id": one.id, "owner": "insight", "text": TEXT, "when": one.when.text, "effect": one.effect,
         "applies": {"domains": list(one.domains)}, **({"set": {"by": one.id}} if one.effect == "modify" else {})}
        for one in rules
    ]  # fmt: skip
    document = {
        "pack": "random",
        "revision": "2026-11-22.1",
        "principles": principles,
        "caps": caps,
        "quiet_hours": quiet,
    }
    return Plan(document, tuple(rules), tuple(caps), tuple(quiet))


def _rule(random: Random, number: int, people: Sequence[FakeFacts]) -> Rule:
    effect = random.choice(("forbid", "defer", "defer", "defer", "modify"))
    domains = tuple(random.sample(_DOMAINS, random.randint(1, 4)))
    return Rule(f"{effect}-{number}", effect, domains, condition(random, people))


# ---- the oracle ----------------------------------------------------------------------------------------------------


def facts_for(seen: Person, one: Candidate) -> FakeFacts:
    """The facts as a condition about this candidate reads them."""
    ended = about_since(one)
    consent = seen.consents.get((one.channel, one.domain), "none")
    return seen.facts(Known(one.channel, consent, ended is not None, ended or 0))


def about_since(one: Candidate) -> int | None:
    """When what a candidate asks about ended."""
    return parse_time(one.about.at) if one.about is not None and one.about.at is not None else None


def alone(plan: Plan, seen: Person, one: Candidate) -> str:
    """The verdict on a candidate if nothing competes with it."""
    facts = facts_for(seen, one)
    said = [rule.effect for rule in plan.rules if one.domain in rule.domains and rule.when.of(facts)]
    consent = facts.get("consent.state")
    if one.domain != "billing":
        stranger = consent == "none" and facts.get("lifecycle") == "unknown"
        said += ["forbid"] if consent == "denied" or stranger else []
    said += ["defer" for cap in plan.caps if one.domain in cap["domains"] and counted(cap, seen) >= cap["at_most"]]
    hour = seen.t % DAY // HOUR
    said += [
        "defer"
        for quiet in plan.quiet
        if one.domain in quiet["domains"] and (hour >= int(quiet["from"][:2]) or hour < 9)
    ]
    return "forbid" if "forbid" in said else "defer" if "defer" in said else "allow"


def counted(cap: Mapping[str, Any], seen: Person) -> int:
    """The contacts that count in a cap."""
    assert seen.record is not None
    since = seen.t - window(cap)
    made = seen.record.state.contacts
    return sum(since < one.made_at <= seen.t and DOMAINS[one.domain] in cap["domains"] for one in made)


def window(cap: Mapping[str, Any]) -> int:
    """How far back a cap looks."""
    return int(cap["per"][:-1]) * HOUR


def verdicts(plan: Plan, seen: Person, asked: Sequence[Candidate], choose: str) -> list[tuple[str, str | None]]:
    """The verdict on each, and to whom it lost."""
    found: list[tuple[str, str | None]] = [(alone(plan, seen, one), None) for one in asked]
    rivals: dict[str, list[int]] = {}
    for place, one in enumerate(asked):
        if one.domain in {"marketing", "sales"} and choose != "none" and found[place][0] == "allow":
            rivals.setdefault("all" if choose == "one" else one.domain, []).append(place)
    for places in rivals.values():
        best = min(places, key=lambda place: (-(asked[place].value or 1.0), asked[place].id))
        found = [
            ("defer", asked[best].id) if place in places and place != best else one for place, one in enumerate(found)
        ]
    return found


def moments(plan: Plan, seen: Person, asked: Sequence[Candidate]) -> list[int]:
    """Every moment of the horizon at which anything may change by time, in order."""
    assert seen.record is not None
    steps = itertools.chain.from_iterable(seen.moments.values())
    begun = [
        *seen.anchors.values(),
        *(NOON - one.age_ms for one in seen.open_cases),
        *filter(None, map(about_since, asked)),
    ]
    literals = [hours * HOUR for hours in HOURS] + [math.ceil(days * DAY) for days in QUARTERS]
    passed = [since + age + late for since in begun for age in literals for late in (0, 1)]
    rooms = [one.made_at + window(cap) for one in seen.record.state.contacts for cap in plan.caps]
    days = range(NOON // DAY, (NOON + HORIZON) // DAY + 1)
    nights = [day * DAY + hour * HOUR for day in days for hour in (9, 11, 21, 24) if plan.quiet]
    return sorted({one for one in (*steps, *passed, *rooms, *nights) if NOON < one <= NOON + HORIZON})


# ---- what a condition is made of -----------------------------------------------------------------------------------


def parts(node: Node) -> Iterator[str]:
    """The operators and macros of a condition, and what it reads."""
    if node.kind in {"call", "name", "field"}:
        yield str(node.value)
    else:
        yield node.kind
    for child in node.children:
        yield from parts(child)
