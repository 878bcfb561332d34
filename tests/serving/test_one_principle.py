"""One principle put in force over HTTP: the rest of the file stays as it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from threading import Barrier

import pytest

from serving.one_principle import put_principle
from serving.principle_sets import DEFAULT_PACK, Editor, propose
from serving.problems import Problem

PACK = DEFAULT_PACK.read_text("utf-8")
REVISION = next(line.split()[1] for line in PACK.splitlines() if line.startswith("revision:"))
ONE = """\
id: {id}
owner: sales
text: {{es: "Nada por correo.", en: "Nothing by mail."}}
applies: {{domains: [sales], channels: [email]}}
when: {when}
effect: forbid
"""
UPSELL = {"id": "upsell", "domain": "sales", "kind": "upsell", "channel": "email"}


def put(api, name="no-mail", query="", body=None, when='lifecycle != "closed"'):
    return api.put(f"/v1/principles/{name}{query}", content=(body or ONE.format(id=name, when=when)).encode())


def yaml(api) -> str:
    return api.get("/v1/principles").json()["yaml"]


def test_a_principle_is_added_under_the_next_revision_of_today_and_decides(api):
    answer = put(api)
    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    assert answer.json()["revision"] == "2026-11-23.1"
    added = "  - " + ONE.format(id="no-mail", when='lifecycle != "closed"').replace("\n", "\n    ").rstrip() + "\n"
    assert yaml(api).replace(added, "") == PACK.replace(REVISION, "2026-11-23.1", 1)
    api.write()
    assert [one["id"] for one in api.decide(UPSELL).json()["verdicts"][0]["reasons"]] == ["no-mail"]


def test_a_principle_is_replaced_by_the_one_of_its_id_and_the_number_of_the_day_goes_on(api):
    put(api)
    assert put(api, when="case.open > 7").json()["revision"] == "2026-11-23.2"
    assert "when: case.open > 7" in yaml(api)
    assert yaml(api).count("no-mail") == 1


def test_the_same_again_changes_nothing(api):
    put(api)
    answer = put(api).json()
    assert (answer["changed"], answer["revision"]) == (False, "2026-11-23.1")


def test_of_many_who_change_the_set_at_once_nobodys_work_is_lost(api):
    names = [f"no-mail-{number}" for number in range(8)]
    log, sets = api.services.log, api.services.principles
    together = Barrier(len(names))

    def change(name: str, *, given: bool) -> bool:
        together.wait()
        body = ONE.format(id=name, when="case.open > 7").encode()
        revision = f"2040-01-01.{1 + names.index(name)}" if given else None
        with suppress(Problem):  # a revision that was given is an older one by then, perhaps
            return put_principle(name, body, log, sets, 0, editor=Editor(), revision=revision).changed
        return False

    for given in (False, True):
        with ThreadPoolExecutor(len(names)) as threads:
            done = list(threads.map(partial(change, given=given), names))
        in_force = {one["id"] for one in api.get("/v1/principles").json()["principles"]}
        assert {name for name, changed in zip(names, done, strict=True) if changed} <= in_force
        assert given or all(done)
        names = [f"by-{name}" for name in names]


def test_two_files_of_one_revision_are_never_both_in_force(api):
    log, sets = api.services.log, api.services.principles
    files = [PACK.replace(REVISION, "2040-01-01.1").replace("cx-default", f"pack-{n}").encode() for n in range(6)]

    def change(data: bytes) -> bool:
        with suppress(Problem):
            return propose(data, log, sets.files, 0, force=False).changed
        return False

    with ThreadPoolExecutor(len(files)) as threads:
        assert sum(threads.map(change, files)) == 1


def test_a_revision_may_be_given_but_no_older_one(api):
    assert put(api, query="?revision=2030-01-01.7").json()["revision"] == "2030-01-01.7"
    assert put(api, when="case.open > 7").json()["revision"] == "2030-01-01.8"
    assert put(api, query="?revision=2026-11-23.1").status_code == 409
    assert put(api, query="?revision=soon").status_code == 422


def test_faults_are_told_by_the_lines_of_the_principle_itself_and_the_last_good_set_stays(api):
    answer = put(api, when="case.opne > 0")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["problem"].split(":")[0]) == ("when", "line 5, column 11")
    assert "did you mean 'case.open'" in error["problem"]
    assert yaml(api) == PACK
    assert "membrane_principles_refused_total 1.0" in api.get("/metrics").text


@pytest.mark.parametrize("body", ["- id: no-mail", "id: other", "{", "", "\x00"])
def test_what_is_no_principle_of_that_id_is_refused(api, body):
    assert put(api, body=body or " ").status_code == 422
    assert yaml(api) == PACK


def test_a_file_whose_text_cannot_be_edited_safely_is_left_alone(api):
    fields = ", ".join(ONE.format(id="one", when="incident.active").splitlines())
    flow = f"pack: p\nrevision: 2030-01-01.1\nprinciples: [{{{fields}}}]\n"
    assert api.put("/v1/principles", content=flow.encode()).status_code == 200
    answer = put(api)
    assert (answer.status_code, "PUT it as a whole" in answer.json()["detail"]) == (409, True)
    assert yaml(api) == flow


def test_a_tenant_with_a_file_of_its_own_changes_that_one(api):
    own = "pack: mine\nrevision: 2030-01-01.1\nextends: default\nprinciples:\n  - " + ONE.format(
        id="one", when="incident.active"
    ).replace("\n", "\n    ")
    assert api.put("/v1/principles", content=own.encode()).status_code == 200
    assert put(api).json()["pack"] == "mine"
    shown = api.get("/v1/principles").json()
    assert shown["yaml"].startswith("pack: mine\nrevision: 2030-01-01.2\nextends: default\n")
    assert {"one", "no-mail", "no-selling-in-crisis"} <= {one["id"] for one in shown["principles"]}


def test_a_key_without_the_scope_admin_changes_nothing(make_api, tmp_path):
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{sha256: {sha256(b'reader').hexdigest()}, tenant: default, scopes: [read, act]}}")
    api = make_api(keys=keys)
    api.headers = {"Authorization": "Bearer reader"}
    assert put(api).status_code == 403
    assert yaml(api) == PACK


def test_a_tenant_among_others_changes_one_principle_of_its_own_file_alone(make_api, tmp_path):
    entries = [
        f"- {{sha256: {sha256(name).hexdigest()}, tenant: {name.decode()}, scopes: [read, admin]}}"
        for name in (b"acme", b"other")
    ]
    keys = tmp_path / "keys.yaml"
    keys.write_text("\n".join(entries))
    api = make_api(keys=keys)
    api.headers = {"Authorization": "Bearer acme"}
    refused = put(api)
    assert (refused.status_code, "'extends: default'" in refused.json()["detail"]) == (403, True)
    assert put(api, "no-selling-in-crisis").status_code == 403
    assert yaml(api) == PACK
    one = ONE.format(id="one", when="incident.active").replace("\n", "\n    ")
    own = f"pack: mine\nrevision: 2030-01-01.1\nextends: default\nprinciples:\n  - {one}"
    assert api.put("/v1/principles", content=own.encode()).status_code == 200
    assert put(api).json()["pack"] == "mine"
    api.headers = {"Authorization": "Bearer other"}
    assert yaml(api) == PACK
