"""GET /v1/insights/spike: what those who lately entered crisis have in common."""

from __future__ import annotations

import json

from membrane.entries import carry
from membrane.ports import Effect
from membrane.record import Case
from membrane.times import HOUR, MINUTE
from tests.serving.conftest import NOW, make_record


def enter(api, number, *, product="T1", tenant="default", at=NOW, backfill=False):
    record = make_record(f"c-{number}", tenant, clock=NOW)
    record.state.cases = [Case("A", NOW, NOW, category="net", product=product)]
    body = {"customer": record.customer, "from": "steady", "to": "crisis", "backfill": backfill}
    effect = Effect(f"e-{tenant}-{number}", number, "stage", tenant, record.customer, at, json.dumps(body).encode())
    api.write(record.customer, tenant, record=record, effects=[effect], last_tick=NOW)


def test_who_entered_within_the_hour_is_looked_at_and_compared_with_others(api):
    for number in range(4):
        enter(api, number)
    enter(api, 10, product="T9", at=NOW - 2 * HOUR)
    enter(api, 11, product="T9", backfill=True)
    enter(api, 12, product="T8", tenant="other")
    found = api.get("/v1/insights/spike").json()
    assert (found["tenant"], found["looked_at"], found["compared_with"]) == ("default", 4, 2)
    [product] = found["common"]["product"]
    assert (product["name"], product["customers"], product["share"], product["base_share"]) == ("T1", 4, 1.0, 0.0)
    assert product["lift"] > 5


def test_it_says_whether_that_many_are_a_spike(api):
    entries = {}
    carry(entries, [(number, "default", NOW - number * MINUTE) for number in range(12)], 0)
    api.write(entries=entries, last_tick=NOW)
    found = api.get("/v1/insights/spike?tenant=default").json()
    partitions = api.services.directory.partitions
    assert (found["entries"], found["expected"], found["spike"]) == (12 * partitions, 0.0, True)


def test_a_service_of_which_nothing_is_known_has_no_spike(api):
    found = api.get("/v1/insights/spike").json()
    assert (found["as_of"], found["entries"], found["spike"], found["looked_at"]) == (None, 0, False, 0)


def test_another_tenant_is_not_there(api):
    answer = api.get("/v1/insights/spike?tenant=other")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
