"""What a scrape tells of the stores."""

from __future__ import annotations

import shutil

from membrane.entries import carry
from membrane.pauses import PAUSABLE
from membrane.record import MET, OPEN, Obligation
from membrane.times import DAY, HOUR, MINUTE, format_time
from tests.serving.conftest import NOW


def value(api, line):
    """Of a line of the exposition, without its value."""
    found = [text for text in api.get("/metrics").text.splitlines() if text.startswith(line + " ")]
    assert len(found) == 1, (line, found)
    return float(found[0].rpartition(" ")[2])


def test_customers_are_counted_by_stage_and_lifecycle_over_tenants_and_partitions(api):
    partitions = api.services.directory.partitions
    api.write(stages={"a": {"crisis": 2}, "b": {"crisis": 1, "steady": 4}}, lifecycles={"a": {"new": 3}})
    assert value(api, 'membrane_customers{stage="crisis"}') == 3 * partitions
    assert value(api, 'membrane_customers{stage="thriving"}') == 0
    assert value(api, 'membrane_lifecycles{lifecycle="new"}') == 3 * partitions


def test_a_stage_that_everybody_left_is_told_as_empty(api):
    api.write(stages={"a": {"crisis": 2}})
    assert value(api, 'membrane_customers{stage="crisis"}') > 0
    api.write(stages={"a": {"steady": 2}})
    assert value(api, 'membrane_customers{stage="crisis"}') == 0


def test_entries_into_crisis_are_told_beside_what_is_usual(api):
    entries = {}
    times = (NOW - 90 * MINUTE, NOW - 10 * MINUTE, NOW)
    carry(entries, [(number, "acme", t) for number, t in enumerate(times)], 0)
    api.write(entries=entries, last_tick=NOW)
    partitions = api.services.directory.partitions
    assert value(api, 'membrane_crisis_entries_last_hour{tenant="acme"}') == 2 * partitions
    assert value(api, 'membrane_crisis_entries_expected{tenant="acme"}') == 0


def test_the_lag_of_log_and_clock_are_told(api, event):
    api.write(last_tick=NOW - 30_000, revision_offset=5)
    assert value(api, "membrane_clock_lag_seconds") == 30.1
    before = sum(lag(api))
    api.send(event())
    assert sum(lag(api)) == before + 1
    assert value(api, 'membrane_judged_by_offset{partition="0"}') == 5


def lag(api):
    partitions = range(api.services.directory.partitions)
    return [value(api, f'membrane_log_lag{{partition="{number}"}}') for number in partitions]


def test_obligations_are_told_by_state_and_kind(api):
    owed = [
        Obligation(f"o-{number}", "p", kind, "service", NOW, NOW + HOUR, state=state)
        for number, (kind, state) in enumerate([("agent_call", OPEN), ("agent_call", OPEN), ("free_service", MET)])
    ]
    api.write(obligations=owed)
    assert value(api, 'membrane_obligations{kind="agent_call",state="open"}') == 2
    assert value(api, 'membrane_obligations{kind="free_service",state="met"}') == 1
    assert value(api, 'membrane_obligations{kind="status_call",state="met"}') == 0


def test_pauses_are_told_with_the_age_of_the_oldest(api):
    assert value(api, 'membrane_paused{what="domain"}') == 0
    asked = {"until": format_time(NOW + 9 * DAY), "by": "ana", "why": "a storm"}
    for domain in PAUSABLE[:2]:
        assert api.post("/v1/pauses", json={"domain": domain, **asked}).status_code == 201
        api.clock.ms += DAY
    assert value(api, 'membrane_paused{what="domain"}') == 2
    assert value(api, 'membrane_pause_age_seconds{what="domain"}') == 2 * DAY / 1000
    api.clock.ms = NOW + 10 * DAY
    assert value(api, 'membrane_pause_age_seconds{what="domain"}') == 0


def test_the_room_on_the_disk_is_told(api):
    free = shutil.disk_usage(api.services.directory.path).free
    assert value(api, "membrane_disk_free_bytes") > free / 2


def test_what_cannot_be_read_is_left_as_it_was(api):
    api.write(stages={"a": {"crisis": 2}})
    told = value(api, 'membrane_customers{stage="crisis"}')
    api.services.directory.records_path(0).unlink()
    api.clock.ms += 100
    assert value(api, 'membrane_customers{stage="crisis"}') == told
