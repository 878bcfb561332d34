from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter, defaultdict

import msgspec
import numpy as np
import pytest

from membrane.signals import TYPES, check
from membrane.times import DAY, HOUR, parse_time
from membrane.vocabulary import STAGES
from training import rates
from training.labels import TruthTable
from training.simulator import simulate, write_simulation

START_MS = parse_time("2026-01-01T00:00:00Z")
DAYS = 40


@pytest.fixture(scope="module")
def run():
    steps = list(simulate(600, days=DAYS, seed=11, start_ms=START_MS))
    return [event for step in steps for event in step.signals], [truth for step in steps for truth in step.truths]


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    def write(name, seed):
        out, truth = tmp_path / f"{name}.ndjson", tmp_path / f"{name}.truth"
        write_simulation(out, truth, customers=50, days=5, seed=seed, start_ms=START_MS)
        return out.read_bytes(), truth.read_bytes()

    assert write("a", 1) == write("b", 1)
    assert write("c", 2) != write("a", 1)


def test_the_files_hold_one_event_a_line_and_progress_reaches_the_end(tmp_path):
    seen = []
    written = write_simulation(
        tmp_path / "out", tmp_path / "truth", customers=20, days=2, seed=1, start_ms=START_MS,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    lines = (tmp_path / "out").read_bytes().splitlines()
    assert written == len(lines) > 0
    assert seen[-1] == (2 * DAY, 2 * DAY)
    assert {"customer", "stage", "since", "until", "ended"} == set(
        msgspec.json.decode((tmp_path / "truth").read_bytes().splitlines()[-1])
    )


def test_every_event_is_a_valid_signal_of_a_known_type(run):
    for event in run[0]:
        assert check(msgspec.json.encode(event), "default").typed is not None


def test_all_the_types_of_a_customers_life_occur(run):
    not_simulated = {"consent.changed", "label.given", "incident.declared", "incident.updated", "incident.resolved"}
    expected = set(TYPES) - {f"cx.{name}.v1" for name in not_simulated}
    assert expected == {event["type"] for event in run[0]}


def test_events_come_in_time_order_within_the_span(run):
    times = [parse_time(event["time"]) for event in run[0]]
    assert times == sorted(times)
    assert START_MS <= min(times) <= max(times) < START_MS + DAYS * DAY


def test_ids_are_unique_within_each_source(run):
    ids = [(event["source"], event["id"]) for event in run[0]]
    assert len(set(ids)) == len(ids)


def test_nothing_comes_from_a_customer_who_left(run):
    closed = {truth["customer"]: truth["closed_at"] for truth in run[1] if "closed_at" in truth}
    assert closed
    for event in run[0]:
        customer = event["subject"]
        assert parse_time(event["time"]) <= parse_time(closed.get(customer, "9999-01-01T00:00:00Z"))


def test_the_truth_of_each_customer_has_no_holes_and_crisis_is_followed_by_recovery_or_leaving(run):
    stretches = defaultdict(list)
    for truth in run[1]:
        if "stage" in truth:
            stretches[truth["customer"]].append((truth["since"], truth["until"], truth["stage"]))
    for rows in stretches.values():
        for before, after in itertools.pairwise(sorted(rows)):
            assert before[1] == after[0]
            assert before[2] != "crisis" or after[2] == "recovering"


def test_cases_open_before_they_are_updated_resolved_or_reopened(run):
    state = {}
    for event in run[0]:
        name = event["type"].removeprefix("cx.case.").removesuffix(".v1")
        if "cx.case." in event["type"]:
            case = event["data"]["case"]
            expected = {"opened": None, "updated": "open", "resolved": "open", "reopened": "resolved"}[name]
            assert state.get(case) == expected
            state[case] = "resolved" if name == "resolved" else "open"


def test_a_fragile_product_brings_the_same_problem_back(run):
    reports = Counter(
        (event["subject"], event["data"]["category"], event["data"].get("product"))
        for event in run[0]
        if event["type"] == "cx.case.opened.v1"
    )
    assert max(reports.values()) >= 4


def test_answers_refer_to_what_was_sent(run):
    sent = {event["data"]["contact"] for event in run[0] if event["type"] == "cx.contact.made.v1"}
    answered = {event["data"]["contact"] for event in run[0] if event["type"] == "cx.contact.answered.v1"}
    assert answered
    assert answered <= sent


def test_messages_are_more_and_angrier_in_crisis_than_when_steady(run):
    table = TruthTable(run[1], START_MS + DAYS * DAY)
    messages = [event for event in run[0] if event["type"] == "cx.message.received.v1"]
    stages = table.stages([m["subject"] for m in messages], [parse_time(m["time"]) for m in messages])
    tones = np.array([m["data"]["sentiment"] for m in messages])
    days = Counter()
    for truth in run[1]:
        if "stage" in truth:
            days[truth["stage"]] += (parse_time(truth["until"]) - parse_time(truth["since"])) / DAY
    rate = {stage: (stages == i).sum() / days[stage] for i, stage in enumerate(STAGES)}
    tone = {stage: tones[stages == i].mean() for i, stage in enumerate(STAGES)}
    assert rate["crisis"] > 5 * rate["steady"]
    assert rate["strained"] > 2 * rate["steady"]
    assert tone["crisis"] < tone["strained"] < tone["steady"] < tone["thriving"]


def test_people_write_by_day_and_departments_on_workdays(run):
    def hours(name):
        return [parse_time(event["time"]) // HOUR for event in run[0] if event["type"] == f"cx.{name}.v1"]

    night = sum(hour % 24 < 7 for hour in hours("message.received")) / len(hours("message.received"))
    weekend = [(hour // 24 + 3) % 7 >= 5 for hour in hours("contact.made")]
    assert night < 0.15
    assert np.mean(weekend) < 0.2


def test_churn_is_likelier_from_at_risk_than_from_thriving(run):
    last, days = Counter(), Counter()
    closed = {(t["customer"], t["closed_at"]) for t in run[1] if "closed_at" in t}
    for truth in run[1]:
        if "stage" in truth:
            days[truth["stage"]] += parse_time(truth["until"]) - parse_time(truth["since"])
            last[truth["stage"]] += (truth["customer"], truth["until"]) in closed
    assert last["at_risk"] / days["at_risk"] > 5 * last["thriving"] / days["thriving"]


def test_memory_does_not_grow_with_the_days():
    def peak(days):
        tracemalloc.start()
        for _ in simulate(200, days=days, seed=3, start_ms=START_MS):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(60) < 1.5 * peak(20)


@pytest.mark.parametrize(("customers", "days", "start"), [(0, 1, 0), (1, 0, 0), (1, 1, 1)])
def test_an_impossible_simulation_is_refused_at_once(customers, days, start):
    with pytest.raises(ValueError, match="required, got"):
        simulate(customers, days=days, seed=1, start_ms=start)


def test_a_drift_changes_what_comes_after_it_and_nothing_before():
    moment = START_MS + 10 * DAY
    drift = rates.Drift(moment, tone=-0.3, factors=(("case", 3.0),))

    def signals(drift):
        steps = simulate(300, days=20, seed=5, start_ms=START_MS, drift=drift)
        return [event for step in steps for event in step.signals]

    def counted(events, name):
        return sum(event["type"] == f"cx.{name}.v1" for event in events)

    plain, drifted = signals(rates.NO_DRIFT), signals(drift)
    before = [[e for e in events if parse_time(e["time"]) < moment] for events in (plain, drifted)]
    after = [[e for e in events if parse_time(e["time"]) >= moment] for events in (plain, drifted)]
    tones = [[e["data"]["sentiment"] for e in part if e["type"] == "cx.message.received.v1"] for part in after]
    assert before[0] == before[1]
    assert counted(after[1], "case.opened") > 1.5 * counted(after[0], "case.opened")
    assert np.mean(tones[1]) < np.mean(tones[0]) - 0.2
