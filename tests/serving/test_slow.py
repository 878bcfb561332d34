"""A slow decision can be found by its id, and nobody learns who the customer was."""

from __future__ import annotations

import json
import logging

from cli.logs import JsonLines
from serving import slow
from serving.slow import SlowDecisions

UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}


def decide(slow, decision, started, *more, span=None):
    steps = slow.steps(started)
    for step in more:
        steps.end(step)
    slow.tell(decision, steps, span)


class Traced:
    """A span that keeps what it is told."""

    trace_id = "a" * 32

    def __init__(self):
        self.noted, self.steps = {}, []

    def note(self, name, value):
        self.noted[name] = value

    def step(self, name, began_ns, ended_ns):
        self.steps.append((name, ended_ns - began_ns))


def test_a_slow_decision_is_told_with_its_steps(caplog):
    ticks = iter([1.01, 1.03, 1.031])
    decide(SlowDecisions(lambda: next(ticks)), "d-1", 1.0, "judge")
    assert caplog.messages == ["slow decision d-1: read 10.0 ms, judge 20.0 ms, log 1.0 ms"]


def test_a_quick_one_is_not(caplog):
    decide(SlowDecisions(lambda: 1.02), "d-1", 1.0)
    assert caplog.messages == []


def test_of_a_traced_one_the_trace_is_told_and_the_trace_has_its_id_and_steps(caplog):
    ticks, span = iter([1.25, 1.5, 1.75]), Traced()
    decide(SlowDecisions(lambda: next(ticks)), "d-1", 1.0, "judge", span=span)
    assert caplog.messages[0].endswith(f", trace {span.trace_id}")
    line = json.loads(JsonLines("serve").format(caplog.records[0]))
    assert (line["decision"], line["trace"], line["steps_ms"]["judge"]) == ("d-1", span.trace_id, 250.0)
    assert span.noted == {"membrane.decision": "d-1"}
    assert span.steps == [("read", 250_000_000), ("judge", 250_000_000), ("log", 250_000_000)]


def test_it_is_told_once_a_second_and_then_how_many_were_not(caplog):
    now = 5.0
    slow = SlowDecisions(lambda: now)
    for number in range(5):
        decide(slow, f"d-{number}", 0.0)
    now = 6.5
    decide(slow, "d-5", 0.0)
    assert [message.split(":")[0] for message in caplog.messages] == ["slow decision d-0", "slow decision d-5"]
    assert caplog.messages[1].endswith("(and 4 more since the last word)")


def test_the_id_that_is_told_finds_the_decision(api, monkeypatch, caplog):
    monkeypatch.setattr(slow, "SLOW_SECONDS", 0.0)
    api.write("somebody")
    with caplog.at_level(logging.WARNING, "membrane.decisions"):
        decision = api.decide(UPSELL, customer="somebody").json()["decision"]
    assert [record.told["decision"] for record in caplog.records] == [decision]
    assert "somebody" not in caplog.text
    assert api.get(f"/v1/decisions/{decision}").json()["decision"] == decision
