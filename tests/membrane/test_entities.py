"""What an obligation can be once per."""

from __future__ import annotations

from membrane.entities import SEPARATOR, entities
from membrane.times import DAY
from tests.membrane.customer import Customer
from tests.strategies import START

NET = {"category": "net", "product": "T1", "severity": 4}


def test_cases_are_the_open_ones() -> None:
    customer = Customer()
    for case in ("A", "B"):
        customer.tell("case.opened", START, case=case, **NET)
    customer.tell("case.resolved", START + 1, case="A")
    assert entities(customer.record, START + 1, "case") == ["B"]


def test_a_problem_is_named_by_when_it_began_and_ends_with_its_product() -> None:
    customer = Customer()
    customer.tell("case.opened", START, case="A", **NET)
    first = [SEPARATOR.join(("net", "T1", str(START)))]
    assert entities(customer.record, START, "problem") == first
    customer.tell("product.replaced", START + 1, old="T1", new="T2")
    assert entities(customer.record, START + 1, "problem") == []
    customer.tell("case.opened", START + 2, case="B", **NET)
    assert entities(customer.record, START + 2, "problem") == [SEPARATOR.join(("net", "T1", str(START + 2)))]


def test_products_are_those_at_risk_of_relapse() -> None:
    customer = Customer()
    for n in range(3):
        customer.tell("case.opened", START + n, case=f"C{n}", **NET)
        customer.tell("case.resolved", START + n, case=f"C{n}")
    assert entities(customer.record, START + 3, "product") == ["T1"]
    assert entities(customer.record, START + 60 * DAY, "product") == []


def test_surveys_are_the_bad_answers_that_wait_for_us() -> None:
    customer = Customer()
    customer.tell("survey.answered", START, instrument="csat", score=1, survey="s1")
    customer.tell("survey.answered", START + 2, instrument="nps", score=0)
    assert entities(customer.record, START + 2, "survey") == ["s1", "~2"]
    customer.tell("contact.made", START + 1, domain="service", kind="agent_call", channel="phone")
    assert entities(customer.record, START + 2, "survey") == ["~2"]
    assert entities(customer.record, START + 2 + 30 * DAY, "survey") == []


def test_the_episode_is_the_running_one() -> None:
    customer = Customer()
    customer.tell("order.placed", START)
    assert entities(customer.record, START, "episode") == []
    customer.tell("case.opened", START + 1, case="A", category="net", severity=1)
    assert entities(customer.record, START + 1, "episode") == [str(START + 1)]


def test_incidents_are_not_acted_on_yet() -> None:
    customer = Customer()
    customer.tell("incident.declared", START, incident="i")
    assert entities(customer.record, START, "incident") == []
