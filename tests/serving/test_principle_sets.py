"""Principle sets: checked, put in force by a revision record, never going back unasked."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from membrane.ports import RecordKind
from membrane.record import Contact
from membrane.times import HOUR
from serving.principle_sets import DEFAULT_PACK
from tests.serving.conftest import NOW, make_record

PACK = DEFAULT_PACK.read_text("utf-8")
OLD = next(line.split()[1] for line in PACK.splitlines() if line.startswith("revision:"))


def pack(revision: str, comment: str = "") -> str:
    return PACK.replace(f"revision: {OLD}", f"revision: {revision}") + comment


def put(api, text: str, query: str = ""):
    return api.put(f"/v1/principles{query}", content=text.encode())


def revisions_in(api, partition: int) -> list[str]:
    return [
        json.loads(r.body)["revision"]
        for r in api.services.log.read(partition, 0, 100)
        if r.kind is RecordKind.REVISION
    ]


def test_a_new_directory_gets_the_shipped_pack_in_every_partition(api):
    assert [revisions_in(api, partition) for partition in range(2)] == [[OLD], [OLD]]


def test_a_newer_set_is_kept_and_put_in_force_in_every_partition(api):
    answer = put(api, pack("2030-01-01.1"))
    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    assert [revisions_in(api, partition) for partition in range(2)] == [[OLD, "2030-01-01.1"]] * 2
    assert api.get("/v1/principles").json()["yaml"] == pack("2030-01-01.1")


def test_the_same_file_again_changes_nothing(api):
    assert put(api, PACK).json()["changed"] is False
    assert revisions_in(api, 0) == [OLD]


def test_another_file_of_the_same_revision_is_a_conflict_with_or_without_force(api):
    for query in ("", "?force=true"):
        assert put(api, pack(OLD, "# other\n"), query).status_code == 409
    assert revisions_in(api, 0) == [OLD]


def test_an_older_set_needs_an_explicit_word(api):
    assert put(api, pack("2020-01-01.1")).status_code == 409
    assert put(api, pack("2020-01-01.1"), "?force=true").status_code == 200
    assert revisions_in(api, 0) == [OLD, "2020-01-01.1"]


def test_a_bad_set_is_refused_with_every_fault_and_its_place(api):
    bad = pack("2030-01-01.1").replace("effect: forbid", "effect: forbidden").replace('"crisis"', '"crysis"')
    answer = put(api, bad)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) >= 10
    assert all(error["problem"].startswith("line ") for error in answer.json()["errors"])
    assert revisions_in(api, 0) == [OLD]


def test_a_check_lists_every_fault_and_puts_nothing_in_force(api):
    body = api.post("/v1/principles/check", content=pack("2030-01-01.1").encode()).json()
    assert (body["valid"], body["revision"], body["faults"], body["findings"]) == (True, "2030-01-01.1", [], [])
    bad = api.post("/v1/principles/check", content=PACK.replace("owner: legal", "owner: leagl").encode()).json()
    assert (bad["valid"], bad["revision"], len(bad["faults"]) > 1) == (False, None, True)
    assert PACK.splitlines()[bad["faults"][0]["line"] - 1].strip() == "owner: legal"
    assert revisions_in(api, 0) == [OLD]


def test_a_check_tells_what_is_suspicious_about_a_set_that_loads_and_what_its_conditions_say(api):
    never = pack("2030-01-01.1").replace("when: problem.recurrences > 3", "when: problem.recurrences > 30")
    body = api.post("/v1/principles/check", content=never.encode()).json()
    assert body["valid"] is True
    unreachable, number = sorted(body["findings"], key=lambda finding: finding["line"], reverse=True)[:2]
    assert (unreachable["kind"], unreachable["severity"]) == ("unreachable", "error")
    assert unreachable["principles"] == ["agent-call-after-three-recurrences"]
    assert never.splitlines()[unreachable["line"] - 1].strip() == "when: problem.recurrences > 30"
    assert unreachable["witness"]["matches"] == {"agent-call-after-three-recurrences": False}
    assert number["kind"] == "number"
    assert set(unreachable["text"]) == {"en", "es"}
    assert body["complete"] is True
    said = {one["principle"]: one for one in body["read_back"]}
    assert said["opt-out-wins"]["es"] == "Cuando el permiso para este canal y dominio es «denegado»."


def test_a_check_counts_what_a_set_would_refuse_of_the_tenants_own_contacts(api):
    harsh = pack("2030-01-01.1").replace('when: stage.name == "crisis"\n', 'when: stage.name != "none"\n', 1)
    for number in range(20):
        record = make_record(f"c-{number}")
        record.state.contacts = [Contact("k", NOW - HOUR, 0, 0, "newsletter")]
        api.write(f"c-{number}", record=record)
    found = api.post("/v1/principles/check", content=harsh.encode()).json()["findings"]
    [finding] = [one for one in found if one["kind"] == "over_block"]
    assert finding["principles"][0] == "no-selling-in-crisis"
    assert "Of 20 contacts that marketing made in the last 30 days, 20 (100 %)" in finding["text"]["en"]


@pytest.mark.parametrize("body", [b"", b"\xff", b"- a", b"a: [", b"a: &x 1\nb: *x", b"\x00"])
def test_what_is_no_principle_file_is_told_so(api, body):
    assert api.post("/v1/principles/check", content=body).json()["valid"] is False
    assert api.put("/v1/principles", content=body).status_code == 422


def test_a_file_beyond_256_kib_is_refused(api):
    assert api.put("/v1/principles", content=b"#" * (256 * 1024 + 1)).status_code == 413


def test_bad_sets_are_forgotten_while_other_threads_look_for_them(api, monkeypatch):
    """Two cold threads ask for sets that cannot be read while the event loop forgets that they could not be."""
    sets, done = api.services.principles, threading.Event()
    monkeypatch.setattr("serving.principle_sets.report", lambda error: None)
    monkeypatch.setattr(sets, "_compile", lambda digest: None)

    def ask() -> int:
        asked = 0
        while not done.is_set():
            assert sets.get(str(asked % 1000)) is None
            asked += 1
        return asked

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as threads:
            asking = [threads.submit(ask) for _ in "ab"]
            for _ in range(2000):
                sets.retry()
            done.set()
            assert all(one.result() for one in asking)
    finally:
        done.set()
        sys.setswitchinterval(interval)
