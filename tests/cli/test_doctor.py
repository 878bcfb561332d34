from __future__ import annotations

import json
import os
import shutil
import socket
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from cli.doctor import examine
from cli.main import main
from cli.prepare import SEED_BUNDLES, Wishes, prepare
from cli.processes import write_pid
from membrane.ports import Commit, NewSignal, partition_of
from membrane.record import encode
from membrane.signals import StoredSignal, encode_stored
from membrane.times import DAY, HOUR, MINUTE
from models.bundle import read_bundle, write_bundle
from serving.principle_sets import DEFAULT_PACK, propose
from storage import checkpoints
from storage.claims import ClaimStore
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.log import Batch, SignalLog
from storage.principles import PrincipleFiles
from storage.records import RecordStore
from storage.set_aside import NewDeadLetter
from storage.sqlite import connect
from tests.processes import free_port
from tests.serving.conftest import make_record


@pytest.fixture
def directory(tmp_path):
    prepare(tmp_path / "data", Wishes(partitions=2), 1_000)
    return DataDir.existing(tmp_path / "data")


def findings(directory: DataDir) -> dict[str, str]:
    return {finding.about: finding.state for finding in examine(directory.path)}


def test_a_directory_at_rest_is_healthy(directory, capsys):
    assert main(["doctor", "--data", str(directory.path)]) == 0
    assert "note  processes: none is running\n      -> membrane up --data " in capsys.readouterr().out


def test_a_store_that_is_missing_is_bad_and_the_remedy_is_named(directory, capsys):
    directory.records_path(1).unlink()
    assert main(["doctor", "--data", str(directory.path), "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    bad = [finding for finding in told["findings"] if finding["state"] == "bad"]
    assert not told["healthy"]
    assert [finding["about"] for finding in bad] == ["partition 1"]
    assert "membrane rebuild" in bad[0]["remedy"]


def test_a_model_that_is_damaged_is_bad_and_the_rest_is_still_told(directory):
    for model in directory.models_path.glob("*/model.onnx"):
        model.write_bytes(b"")
    found = findings(directory)
    assert (found["stage model"], found["churn model"], found["dead letters"]) == ("bad", "bad", "ok")


def test_a_challenger_that_cannot_score_is_a_note_with_its_remedy(directory, tmp_path, capsys):
    seed = read_bundle(SEED_BUNDLES / "churn")
    write_bundle(tmp_path / "beside", msgspec.structs.replace(seed.manifest, name="beside"), seed.golden, seed.model)
    here = ["--data", str(directory.path)]
    assert main(["models", "challenge", str(tmp_path / "beside"), *here]) == 0
    assert "churn challenger" not in findings(directory)
    shutil.rmtree(directory.models_path / read_bundle(tmp_path / "beside").digest)
    capsys.readouterr()
    assert main(["doctor", *here]) == 0
    assert "--withdraw --data " in capsys.readouterr().out


def test_principles_that_are_gone_are_bad(directory):
    for file in directory.principles_path.glob("*.yaml"):
        file.unlink()
    assert findings(directory)["principles"] == "bad"


def test_a_full_disk_is_bad(directory, monkeypatch):
    monkeypatch.setattr("cli.doctor.LEAST_FREE_BYTES", 2**62)
    assert findings(directory)["disk"] == "bad"


def test_a_stream_that_does_not_keep_up_is_bad(directory, monkeypatch):
    monkeypatch.setattr("cli.findings.read_pid", lambda path: 1)
    assert findings(directory)["stream"] == "bad"
    assert findings(directory)["processes"] == "ok"


def test_up_without_its_children_is_bad(directory, monkeypatch):
    monkeypatch.setattr("cli.findings.read_pid", lambda path: 1 if path.name == "up.pid" else None)
    assert findings(directory)["processes"] == "bad"


@pytest.mark.parametrize(("name", "value"), [("PYTHONS", ()), ("SOUND_SQLITE", (99,))])
def test_versions_that_do_not_serve_are_bad(directory, monkeypatch, name, value):
    monkeypatch.setattr(f"cli.doctor.{name}", value)
    assert findings(directory)["versions"] == "bad"


def test_a_tenants_file_is_checked_and_told_whether_it_is_in_force(directory, tmp_path, capsys):
    file = tmp_path / "tenants.yaml"
    command = ["doctor", "--data", str(directory.path), "--tenants", str(file)]
    file.write_text("tenants: {acme: {language: es}}")
    assert main(command) == 0
    told = capsys.readouterr().out
    assert f"note  tenants: {file} is sound, and not in force (none sets anything of its own)" in told
    prepare(directory.path, Wishes(tenants=file), 2_000)
    assert main(command) == 0
    assert f"ok    tenants: {file} is in force: acme" in capsys.readouterr().out
    file.write_text("tenants: {acme: {langauge: es}}")
    assert main(command) == 4
    assert "did you mean 'language'?" in capsys.readouterr().out


def test_a_lapse_rule_of_whose_signals_none_came_and_a_silent_source_are_told(directory, tmp_path):
    file = tmp_path / "tenants.yaml"
    file.write_text("tenants: {acme: {lapse: no order.placed or usage.measured for 30d, sources: {crm: 1h, pos: 2h}}}")
    prepare(directory.path, Wishes(tenants=file), 2_000)

    def told() -> dict[str, tuple[str, str]]:
        return {one.about: (one.state, one.text) for one in examine(directory.path)}

    state, text = told()["lapse rule of acme"]
    assert (state, "no such signal among the latest 100,000" in text) == ("note", True)
    assert "sources of acme" not in told()  # without a tick nothing tells how long it has been
    with closing(SignalLog(directory)) as log:
        log.tick(3_000)
        assert told()["sources of acme"] == ("ok", "crm, pos: none is silent")
        stored = StoredSignal("acme", "c-1", "pos", "1", "cx.usage.measured.v1", 5_000, msgspec.Raw(b"{}"))
        for t in range(0, 2 * HOUR, MINUTE):
            log.tick(3_000 + t)
        log.append([NewSignal("acme", "c-1", "pos", "1", 5_000, encode_stored(stored))], 3_000 + HOUR)
    assert told()["lapse rule of acme"] == ("ok", "no order.placed or usage.measured for 30d")
    state, text = told()["source crm of acme"]
    assert (state, text) == ("note", "silent for longer than 1h: last heard never")
    assert "source pos of acme" not in told()


def test_principles_to_be_reviewed_and_own_ones_that_are_not_heeded_are_told(directory, tmp_path):
    text = DEFAULT_PACK.read_text("utf-8")
    known = next(line for line in text.splitlines() if line.startswith("revision:"))
    head = "  - id: no-selling-in-crisis\n"
    own, common = tmp_path / "own.yaml", tmp_path / "common.yaml"
    loose = "owner: sales, text: {es: x, en: x}, when: 'true', effect: defer, applies: {domains: [sales]}"
    own.write_text(
        f"pack: own\nrevision: 2026-12-01.1\nextends: default\nprinciples: [{{id: no-selling-in-crisis, {loose}}}]\n"
    )
    common.write_text(
        text.replace(known, "revision: 2099-01-01.1").replace(
            head, f"{head}    locked: true\n    review_by: 2026-01-01\n"
        )
    )
    prepare(directory.path, Wishes(principles=own), 2_000)
    assert findings(directory)["principles of default"] == "ok"
    prepare(directory.path, Wishes(principles=common), 3_000)
    told = {(one.about, one.state): one.text for one in examine(directory.path)}
    assert told["principles", "note"] == "past their review_by: no-selling-in-crisis"
    assert "not heeded" in told["principles of default", "note"]


def test_the_base_rate_of_each_principle_is_told_before_it_is_live(directory, capsys):
    command = ["doctor", "--data", str(directory.path), "--base-rates"]
    assert main(command) == 0
    assert "note  base rates: no customers are known yet" in capsys.readouterr().out
    write_customers(directory, {"crisis": 1, "steady": 3})
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "ok    base rate of no-selling-in-crisis: forbid for 25.0 % of 4 customers" in told
    assert "ok    base rate of gone-is-gone: forbid for 0.0 % of 4 customers" in told
    assert main(command[:-1]) == 0
    assert "base rate" not in capsys.readouterr().out


def test_of_a_tenants_own_principles_base_rate_and_review_are_told_too(directory):
    own = """
pack: own
revision: 2026-12-01.1
extends: default
principles:
  - id: no-newsletter-in-crisis
    owner: marketing
    text: {es: "Sin boletín.", en: "No newsletter."}
    applies: {domains: [marketing], kinds: [newsletter]}
    when: stage.name == "crisis"
    effect: defer
    review_by: 2020-01-01
"""
    with closing(SignalLog(directory)) as log:
        propose(own.encode(), log, PrincipleFiles(directory.principles_path), 2_000, force=False)
    write_customers(directory, {"crisis": 1, "steady": 3})
    told = {(one.about, one.state): one.text for one in examine(directory.path, base_rates=True)}
    assert told["base rate of no-newsletter-in-crisis of default", "ok"] == "defer for 25.0 % of 4 customers"
    assert told["base rate of no-selling-in-crisis", "ok"] == "forbid for 25.0 % of 4 customers"
    assert told["principles of default", "note"] == "past their review_by: no-newsletter-in-crisis"


def write_customers(directory: DataDir, stages: dict[str, int]) -> None:
    names = [stage for stage, count in stages.items() for _ in range(count)]
    for partition in range(directory.partitions):
        store = RecordStore.open_for_writing(directory, partition)
        commit = Commit()
        for number, stage in enumerate(names):
            customer = f"c-{number}"
            if partition_of("default", customer, directory.partitions) == partition:
                commit.records.append(("default", customer, encode(make_record(customer, stage=stage))))
                commit.due.append(("default", customer, None))
        store.commit(commit)
        store.close()


def test_claims_that_cannot_be_read_are_bad(directory):
    assert findings(directory)["claims"] == "ok"
    directory.claims_path.write_bytes(b"x" * 5_000)
    assert findings(directory)["claims"] == "bad"
    directory.claims_path.unlink()
    ClaimStore(directory.claims_path).live(1)
    assert findings(directory)["claims"] == "ok"


def told_of(directory: DataDir, about: str, **more) -> list[tuple[str, str, str]]:
    return [(one.state, one.text, one.remedy) for one in examine(directory.path, **more) if one.about == about]


def test_a_port_that_somebody_has_is_told(directory):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        [(state, text, remedy)] = told_of(directory, "port", port=number)
        assert (state, f"{number} cannot be listened on: " in text) == ("note", True)
        assert "membrane up --port" in remedy
    assert told_of(directory, "port", port=number) == [("ok", f"{number} is free", "")]
    assert told_of(directory, "port") == []


def test_an_api_that_does_not_answer_is_bad(directory, monkeypatch):
    monkeypatch.setattr("cli.findings.read_pid", lambda path: 1)
    (directory.run_path / "api.url").write_text(f"http://127.0.0.1:{free_port()}")
    assert findings(directory)["api"] == "bad"


def lose_principles(directory: DataDir) -> dict[str, object]:
    for file in directory.principles_path.glob("*.yaml"):
        file.unlink()
    return {}


def damage_models(directory: DataDir) -> dict[str, object]:
    for model in directory.models_path.glob("*/model.onnx"):
        model.write_bytes(b"")
    return {}


def damage(path: Path) -> dict[str, object]:
    path.write_bytes(b"x" * 5_000)
    return {}


def misspell_tenants(directory: DataDir) -> dict[str, object]:
    file = directory.path / "tenants.yaml"
    file.write_text("tenants: {acme: {langauge: es}}")
    return {"tenants": file}


def trim(directory: DataDir) -> dict[str, object]:
    with closing(SignalLog(directory)) as log:
        log.trim(1, 2, 0)
    return {}


def damage_checkpoint(directory: DataDir) -> dict[str, object]:
    checkpoints.begin(directory, 1)
    checkpoints.finish(directory, 1, lambda: ())
    path = directory.checkpoint_path(1)
    with closing(connect(path)) as connection:
        connection.execute("UPDATE store SET next_offset = 2")
    trim(directory)
    [(state, *_)] = told_of(directory, "checkpoints")
    assert state == "ok"
    body = bytearray(path.read_bytes())
    body[-4_096 + 5] ^= 0x10  # where the cells of its last page begin
    path.write_bytes(body)
    return {}


def send_an_unknown_type(directory: DataDir) -> dict[str, object]:
    letter = NewDeadLetter("unknown_type", "default", "c-1", 0, "crm", "1", b"{}")
    with closing(SignalLog(directory)) as log:
        log.append_batches([Batch([], 1_000, [letter])])
    return {}


def hang(directory: DataDir, role: str) -> dict[str, object]:
    """A live process of that role that does nothing, beside its `up`."""
    for name in {"up", role}:
        write_pid(directory.pid_path(name), os.getpid())
    (directory.run_path / "api.url").write_text(f"http://127.0.0.1:{free_port()}")
    return {}


FAULTS = {
    "a store of records is lost": (lambda d: d.records_path(1).unlink(), "partition 1", "membrane rebuild --data "),
    "a store of records is damaged": (lambda d: damage(d.records_path(0)), "partition 0", "membrane rebuild --data "),
    "a principle file is lost": (lose_principles, "principles", "put that file back from a backup"),
    "a bundle is damaged": (damage_models, "stage model", "put that folder back from a backup"),
    "the claims are damaged": (lambda d: damage(d.claims_path), "claims", "stop, delete "),
    "the tenants file is misspelled": (misspell_tenants, "tenants", "mend the file there"),
    "the checkpoints are lost": (trim, "checkpoints", "back from a backup (membrane restore)"),
    "a checkpoint is damaged": (damage_checkpoint, "checkpoints", "back from a backup (membrane restore)"),
    "a sender sends an unknown type": (send_an_unknown_type, "dead letters", "membrane dead-letters list --data "),
    "the stream hangs": (lambda d: hang(d, "stream"), "stream", "kill -9 $(cat "),
    "the API does not answer": (lambda d: hang(d, "api"), "api", "kill -9 $(cat "),
    "a child of up is gone": (lambda d: hang(d, "up"), "processes", "look at what `up` printed"),
    "nobody runs": (lambda d: None, "processes", "membrane up --data "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_named_with_what_to_do(directory, fault):
    plant, about, what_to_do = FAULTS[fault]
    more = plant(directory) or {}
    [(state, text, remedy)] = told_of(directory, about, **more)
    assert state != "ok"
    assert text
    assert what_to_do in remedy


def test_a_source_that_fell_silent_is_told(directory):
    now = wall_ms()
    with closing(SignalLog(directory)) as log:
        for source, age in (("crm", 2 * DAY), ("shop", HOUR)):
            for number in range(20):
                body = encode_stored(StoredSignal("t", "c", source, str(number), "cx.x.v1", 1, msgspec.Raw(b"{}")))
                log.append([NewSignal("t", "c", source, str(number), 1, body)], now - age - number * 60_000)
    [(state, text, remedy), (_, count, _)] = told_of(directory, "sources")
    assert (state, text.startswith("crm is silent since "), "every 60 s" in text) == ("note", True, True)
    assert "its key is valid" in remedy
    assert count == "2 sent of late"


def test_a_trimmed_log_without_its_checkpoints_is_bad(directory):
    assert told_of(directory, "checkpoints") == []
    with closing(SignalLog(directory)) as log:
        log.trim(1, 2, 0)
    [(state, text, remedy)] = told_of(directory, "checkpoints")
    assert (state, "the log of partition 1 was trimmed" in text) == ("bad", True)
    assert "back from a backup" in remedy
