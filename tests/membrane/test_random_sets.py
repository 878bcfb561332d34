"""Random sets of principles for random customers: the decision against an oracle, and what it promises against a walk
over every moment."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count, product
from random import Random
from typing import Any

import pytest

from membrane.caps import PERMIT_MS, Claim
from membrane.conditions import FUNCTIONS
from membrane.decide import Decided, decide, decide_beside
from membrane.decisions import Answer, Candidate, encode_answer
from membrane.dictionary import CASE_FIELDS, FACTS, Value
from membrane.expressions import CASES
from membrane.precedence import weaker
from membrane.principles import Principle, PrincipleSet
from membrane.reserving import reserve
from membrane.settings import TenantSettings
from membrane.times import format_time, parse_time
from membrane.vocabulary import DOMAINS, Verdict
from tests.membrane import random_sets as r
from tests.membrane.fakes_principles import NOON, claim, request
from tests.membrane.random_sets import Person, Plan

SEED = 20_261_123
CUSTOMERS = 25
Asked = tuple[Person, list[Candidate]]


def test_random_sets_keep_the_laws_for_random_customers(record_property):
    tell(record_property, laws(40))


@pytest.mark.faults
def test_ten_thousand_sets_and_customers_keep_the_laws(record_property):
    tell(record_property, laws(420))


def tell(record_property: Callable[[str, object], None], seen: Counter[str]) -> None:
    text = ", ".join(f"{number:,} {name}" for name, number in seen.items())
    print(text)
    record_property("fault", f"random sets of principles: seed {SEED}: {text}")


def laws(sets: int) -> Counter[str]:
    """Checks every law for so many sets, each for 25 customers; how often each had something to say."""
    random, seen, used = Random(SEED), Counter[str](), set[str]()
    shares: list[float] = []
    for _ in range(sets):
        people = [r.person(random) for _ in range(CUSTOMERS)]
        plan = r.plan(random, [r.facts_for(one, asked[0]) for one, asked in people])
        principles, shuffled = plan.compiled(), plan.compiled(random)
        for principle in principles.principles:
            used.update(r.parts(principle.condition.tree))
            shares.append(share(principle, people))
        seen["sets"] += 1
        for one in people:
            seen["sets × customers"] += 1
            choose = random.choice(("none", "per_domain", "one"))
            seen += conditions_agree(plan, principles, one)
            answer = decided(principles, *one, choose)
            assert in_order(answer) == in_order(decided(shuffled, *one, choose))
            seen += verdicts_agree(plan, one, answer, choose)
            seen += unless_is_weaker(plan, one, answer, choose)
            seen += until_is_the_first(plan, one, answer, choose)
            seen += caps_hold(plan, principles, one)
    everything = FUNCTIONS | {fact.name for fact in FACTS} | {CASES, "loop", *CASE_FIELDS}
    assert min(shares) >= 0.2
    assert max(shares) <= 0.8
    assert everything <= used, f"never generated: {everything - used}"
    seen["operators, facts and fields of a case, each used"] = len(everything)
    return seen


def share(principle: Principle, people: Sequence[Asked]) -> float:
    """Of how many customers its condition is true, as the engine says."""
    return sum(bool(principle.condition.by_engine(r.facts_for(one, asked[0]))) for one, asked in people) / len(people)


def decided(principles: PrincipleSet, person: Person, asked: Sequence[Candidate], choose: str) -> Answer:
    return decide(request(*asked, choose=choose), person, principles, TenantSettings(), t=NOON)


def in_order(answer: Answer) -> bytes:
    """The answer, its reasons and modifications in an order of ours."""
    for one in answer.verdicts:
        one.reasons.sort(key=lambda reason: (reason.source, reason.id))
        one.modifications.sort(key=lambda changed: changed.by)
    return encode_answer(answer)


def conditions_agree(plan: Plan, principles: PrincipleSet, one: Asked) -> Counter[str]:
    facts = r.facts_for(one[0], one[1][0])
    by_id = {principle.id: principle.condition for principle in principles.principles}
    seen = Counter[str]()
    for rule in plan.rules:
        condition, said = by_id[rule.id], rule.when.of(facts)
        assert condition.by_engine(facts) is said, rule.when.text
        assert condition.evaluate(facts) is said, rule.when.text
        seen["conditions by engine and oracle"] += 1
        seen["of them compiled"] += condition.compiled is not None
        seen["of them true"] += said
    return seen


def verdicts_agree(plan: Plan, one: Asked, answer: Answer, choose: str) -> Counter[str]:
    person, asked = one
    said = [(verdict.verdict, verdict.lost_to) for verdict in answer.verdicts]
    assert said == r.verdicts(plan, person, asked, choose)
    for candidate, verdict in zip(asked, answer.verdicts, strict=True):
        facts = r.facts_for(person, candidate)
        changed = {
            rule.id
            for rule in plan.rules
            if rule.effect == "modify" and candidate.domain in rule.domains and rule.when.of(facts)
        }
        assert {change.by for change in verdict.modifications} == (changed if verdict.verdict == "allow" else set())
    return Counter(verdict for verdict, _ in said)


def unless_is_weaker(plan: Plan, one: Asked, answer: Answer, choose: str) -> Counter[str]:
    """Each set of changes, with each of its values, changed and nothing else."""
    person, asked = one
    seen = Counter[str]()
    for place, verdict in enumerate(answer.verdicts):
        for together in verdict.unless.any if verdict.unless else []:
            for values in product(*([(change.fact, value) for value in change.would_be] for change in together)):
                then, _ = r.verdicts(plan, changed(person, asked[place], dict(values)), asked, choose)[place]
                assert weaker(Verdict(then), than=Verdict(verdict.verdict)), values
                seen[f"unless of {len(together)}"] += 1
    return seen


def changed(person: Person, candidate: Candidate, values: Mapping[str, Value]) -> Person:
    """The customer with other facts: consent is given for what one candidate asks."""
    consents = dict(person.consents)
    if "consent.state" in values:
        consents[candidate.channel, candidate.domain] = str(values["consent.state"])
    return dataclasses.replace(person, values={**person.values, **values}, consents=consents)


def until_is_the_first(plan: Plan, one: Asked, answer: Answer, choose: str) -> Counter[str]:
    """Between the moments that the walk looks at nothing changes. Who loses to a rival is not followed for ever."""
    person, asked = one
    first: dict[int, int] = {}
    lost = {place for place, verdict in enumerate(answer.verdicts) if verdict.lost_to is not None}
    for moment in r.moments(plan, person, asked):
        for place, (verdict, lost_to) in enumerate(r.verdicts(plan, person.at(moment), asked, choose)):
            if verdict != answer.verdicts[place].verdict:
                first.setdefault(place, moment)
            if place not in first and lost_to is not None:
                lost.add(place)
        if len(first) == len(asked):
            break
    seen = Counter[str]()
    for place, verdict in enumerate(answer.verdicts):
        until = verdict.until and parse_time(verdict.until)
        if until is None and place in lost:
            seen["until not followed while it loses"] += place in first
        elif place in first:
            assert until == first[place], (verdict.candidate, verdict.until, format_time(first[place]))
            seen["until is the first moment"] += 1
        else:
            assert until is None or until > NOON + r.HORIZON, (verdict.candidate, verdict.until)
            seen["no until within the horizon"] += 1
    return seen


def caps_hold(plan: Plan, principles: PrincipleSet, one: Asked) -> Counter[str]:
    """Whoever asks, again and again: what was made and what is granted never exceeds a cap."""
    person, asked = one
    held: list[Claim] = [claim(NOON - 1, domain="marketing", permit="p0")] if len(asked) == 1 else []
    numbers = count(1)

    def deciding(what: Any, claims: Sequence[Claim]) -> Decided:
        return decide_beside(what, dataclasses.replace(person, claims=claims), principles, TenantSettings(), t=NOON)

    seen = Counter[str]()
    for _ in range(4):
        _, granted = reserve(request(*asked), held, deciding, lambda _one: f"p{next(numbers)}", NOON)
        held = [*held, *(grant.claim for grant in granted)]
        seen["permits"] += len(granted)
        for cap in plan.caps:
            theirs = [grant for grant in granted if grant.candidate.domain in cap["domains"]]
            live = sum(DOMAINS[each.domain] in cap["domains"] and each.until > NOON for each in held)
            assert not theirs or r.counted(cap, person) + live <= cap["at_most"]
            seen["caps filled by permits"] += bool(theirs) and r.counted(cap, person) + live == cap["at_most"]
    assert all(each.until <= NOON + PERMIT_MS for each in held)
    return seen
