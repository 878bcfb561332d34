"""Principle sets: checked, put in force by a revision record, never going back unasked."""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from membrane.ports import RecordKind
from membrane.record import Contact
from membrane.times import HOUR
from serving.freshness import RevisionInForce, StreamState
from serving.principle_sets import DEFAULT_PACK, KEPT, PrincipleSets
from storage.principles import PrincipleFiles, draft_of
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


def test_refused_sets_and_partitions_on_their_last_good_set_are_counted(api):
    assert put(api, PACK.replace("effect: forbid", "effect: forbidd", 1)).status_code == 422
    api.write(unreadable=["principles"])
    told = api.get("/metrics").text
    assert "membrane_principles_refused_total 1.0" in told
    assert 'membrane_principles_last_good{partition="0"} 1.0' in told
    api.write()
    assert 'membrane_principles_last_good{partition="0"} 0.0' in api.get("/metrics").text


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


@pytest.fixture
def small_sets(tmp_path, monkeypatch):
    """Sets that are quickly made for whatever digest; `made` counts how often."""
    draft = draft_of(b"pack: p\nrevision: 2030-01-01.1\nprinciples: []\n", "")
    sets = PrincipleSets(PrincipleFiles(tmp_path))
    made: Counter[str] = Counter()

    def compiled(digest: str):
        made[digest] += 1
        return replace(draft.principles, digest=digest)

    monkeypatch.setattr(sets, "_compile", compiled)
    return sets, made


def naming(common: str, **own: str) -> StreamState:
    digests = {"principles": common, **{f"principles/{tenant}": digest for tenant, digest in own.items()}}
    return StreamState(revisions={kind: RevisionInForce(digest, digest) for kind, digest in digests.items()})


def test_of_the_sets_that_were_in_force_the_latest_asked_for_are_kept(small_sets):
    sets, made = small_sets
    seen = []
    for edit in range(3 * KEPT):
        for partition in range(2):
            state = naming(f"common-{edit}", acme=f"own-{edit}")
            seen += [weakref.ref(sets.in_force(partition, state, tenant).principles) for tenant in ("acme", "other")]
            if edit == 1:
                once = weakref.ref(sets.in_force(partition, state, "idle").principles)
            sets.prepare(partition, state)
        assert sets.get("common-0") is not None  # somebody explains by it again and again
    gc.collect()
    assert made["common-0"] == 1
    assert once() is None  # though its tenant never asked again
    assert len({id(one()) for one in seen if one() is not None}) <= 2 * (KEPT + 1)
    assert sets.get(f"own-{3 * KEPT - 2}") is not None
    assert made[f"own-{3 * KEPT - 2}"] == 1


def test_what_is_in_force_for_any_tenant_is_never_made_again_however_many_there_are(small_sets, monkeypatch):
    sets, made = small_sets
    laid = Counter()
    monkeypatch.setattr(
        "serving.principle_sets.layered",
        lambda base, own: laid.update([own.digest]) or replace(own, over=base.digest),
    )
    own = {f"tenant-{number}": f"own-{number}" for number in range(2 * KEPT)}
    for digest in range(2 * KEPT):
        for partition, state in enumerate([naming("common", **own), naming("earlier", **own)]):
            sets.prepare(partition, state)
            for tenant, named in own.items():
                assert sets.in_force(partition, state, tenant).principles.digest == named
        sets.get(f"other-{digest}")
    assert {made[digest] for digest in ("common", "earlier", *own.values())} == {1}
    assert set(laid.values()) == {2}


OWN = """
pack: acme
revision: {revision}
extends: default
principles:
  - id: {id}
    owner: marketing
    text: {{es: "Nada por correo.", en: "Nothing by mail."}}
    applies: {{domains: [sales], channels: [email]}}
    when: {when}
    effect: {effect}
"""
UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}


def layer(
    revision: str = "2030-01-01.1", name: str = "no-mail", when: str = 'lifecycle != "closed"', effect: str = "defer"
) -> str:
    return OWN.format(revision=revision, id=name, when=when, effect=effect)


@pytest.fixture
def two_tenants(make_api, tmp_path):
    """An API with a key for each of two tenants and for tenant `default`; `as_` asks as one of them."""
    keys = tmp_path / "keys.yaml"
    entries = [
        f"- {{sha256: {hashlib.sha256(name.encode()).hexdigest()}, tenant: {name}, scopes: [read, decide, admin]}}"
        for name in ("acme", "other", "default")
    ]
    keys.write_text("\n".join(entries))
    api = make_api(keys=keys)

    def as_(tenant: str):
        api.headers = {"Authorization": f"Bearer {tenant}"}
        return api

    return as_


def in_force(api, tenant: str) -> None:
    """What the log names is what the streams say they work with."""
    api.write(tenant=tenant, revisions={**api.services.log.revisions(), "stage_model": MODEL})


MODEL = {"revision": "seed", "digest": "0" * 64}


def test_a_tenants_own_file_counts_for_its_customers_alone(two_tenants):
    answer = put(two_tenants("acme"), layer())
    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    assert put(two_tenants("acme"), layer()).json()["changed"] is False
    seen = {}
    for tenant in ("acme", "other"):
        api = two_tenants(tenant)
        in_force(api, tenant)
        body = api.decide(UPSELL).json()
        shown = api.get("/v1/principles").json()
        seen[tenant] = body["verdicts"][0]["verdict"], " over " in body["revisions"]["principles"], shown["pack"]
        assert ("no-mail" in [one["id"] for one in shown["principles"]]) == (tenant == "acme")
    assert seen == {"acme": ("defer", True, "acme"), "other": ("allow", False, "cx-default")}


def test_no_tenant_changes_the_set_that_counts_for_another(two_tenants):
    empty = "pack: mine\nrevision: 2030-01-01.1\nprinciples: []\n"
    for text, query in ((empty, ""), (PACK, ""), (empty, "?force=true")):
        answer = put(two_tenants("acme"), text, query)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:membrane:problem:forbidden")
        assert "'extends: default'" in answer.json()["detail"]
        assert "a key of tenant 'default'" in answer.json()["detail"]
    assert two_tenants("other").get("/v1/principles").json()["yaml"] == PACK
    assert revisions_in(two_tenants("other"), 0) == [OLD]


def test_the_only_tenant_of_the_keys_changes_the_set_for_everybody_until_there_is_another(make_api, tmp_path):
    keys = tmp_path / "keys.yaml"
    key = "- {{sha256: {0}, tenant: {1}, scopes: [read, admin]}}\n"
    acme = key.format(hashlib.sha256(b"acme").hexdigest(), "acme")
    keys.write_text(acme)
    api = make_api(keys=keys)
    api.headers = {"Authorization": "Bearer acme"}
    assert put(api, pack("2030-01-01.1")).status_code == 200
    keys.write_text(acme + key.format(hashlib.sha256(b"other").hexdigest(), "other"))
    assert put(api, pack("2030-01-01.2")).status_code == 403
    keys.write_text(acme)
    assert put(api, pack("2030-01-01.2")).status_code == 200


@pytest.mark.parametrize("law", ["co-ley-2300", "es-ley-10-2025"])
def test_a_law_put_as_it_stands_leaves_the_etiquette_in_force(two_tenants, law):
    text = DEFAULT_PACK.with_name(f"{law}.yaml").read_text("utf-8")
    etiquette = {one["id"] for one in two_tenants("acme").get("/v1/principles").json()["principles"]}
    assert put(two_tenants("acme"), text).status_code == 200
    shown = two_tenants("acme").get("/v1/principles").json()
    assert etiquette < {one["id"] for one in shown["principles"]}
    assert shown["pack"] == law
    assert two_tenants("other").get("/v1/principles").json()["yaml"] == PACK


def test_a_newer_set_for_everybody_reaches_tenants_with_a_file_of_their_own(two_tenants):
    put(two_tenants("acme"), layer())
    assert put(two_tenants("default"), pack("2030-01-01.1")).json()["changed"] is True
    api = two_tenants("acme")
    in_force(api, "acme")
    assert " over 2030-01-01.1+" in api.decide(UPSELL).json()["revisions"]["principles"]


def test_a_tenants_file_that_loosens_what_is_locked_is_refused(two_tenants):
    head = "  - id: no-selling-in-crisis\n"
    locked = pack("2030-01-01.1").replace(head, f"{head}    locked: true\n")
    assert put(two_tenants("default"), locked).status_code == 200
    api = two_tenants("acme")
    loose = layer("2030-01-02.1", "no-selling-in-crisis", 'stage.name == "crisis"', "defer")
    answer = put(api, loose)
    assert answer.status_code == 422
    assert "locked in cx-default 2030-01-01.1" in answer.text
    assert api.post("/v1/principles/check", content=loose.encode()).json()["valid"] is False


def test_a_tenants_file_is_checked_together_with_the_set_in_force_for_everybody(two_tenants):
    api = two_tenants("acme")
    crisis = layer(name="calm", when='stage.name == "crisis"', effect="forbid")
    [found] = api.post("/v1/principles/check", content=crisis.encode()).json()["findings"]
    assert (found["kind"], found["principles"]) == ("shadowed", ["calm", "no-selling-in-crisis"])
    assert crisis.splitlines()[found["line"] - 1].strip() == "- id: calm"
    without = pack("2030-01-01.1").replace('when: stage.name == "crisis"\n', "when: case.open < 0\n")
    put(two_tenants("default"), without)
    api = two_tenants("acme")
    kinds = {one["kind"] for one in api.post("/v1/principles/check", content=crisis.encode()).json()["findings"]}
    assert "shadowed" not in kinds


def test_a_tenants_file_has_revisions_of_its_own(two_tenants):
    api = two_tenants("acme")
    assert put(api, layer("2020-01-01.2")).status_code == 200
    assert put(api, layer("2020-01-01.1")).status_code == 409
    assert put(two_tenants("other"), layer("2020-01-01.1")).status_code == 200


def test_a_tenants_file_that_became_unreadable_is_told_and_the_last_good_set_decides(two_tenants):
    api = two_tenants("acme")
    put(api, layer())
    in_force(api, "acme")
    assert api.decide(UPSELL).json()["state"]["degraded"] == []
    in_force(api, "acme")
    named = api.services.log.revisions() | {"stage_model": MODEL, "principles/acme": MODEL}
    api.write(tenant="acme", revisions=named)
    body = api.decide(UPSELL).json()
    assert (body["verdicts"][0]["verdict"], body["state"]["degraded"]) == ("defer", ["principles_last_good"])
