from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from cli.prepare import SEED_BUNDLES, Wishes, prepare
from membrane.errors import InvalidBundle, InvalidPrinciples, UsageError
from membrane.ports import RecordKind
from models.registry import Registry
from serving.principle_sets import DEFAULT_PACK
from storage.directory import DataDir
from storage.log import SignalLog
from storage.principles import read_principle_file

NOW = 1_000


def revisions(data: Path) -> list[tuple[str, str]]:
    """(kind, revision) of every revision record of the first partition, in order."""
    with closing(SignalLog(DataDir.existing(data))) as log:
        records = [record for record in log.read(0, 0, 1_000) if record.kind is RecordKind.REVISION]
    bodies = [json.loads(record.body) for record in records]
    return [(body["kind"], body["revision"]) for body in bodies]


def pack(folder: Path, revision: str, more: str = "") -> Path:
    text = DEFAULT_PACK.read_text(encoding="utf-8")
    current = next(line for line in text.splitlines() if line.startswith("revision:"))
    path = folder / f"{revision}.yaml"
    path.write_text(text.replace(current, f"revision: {revision}") + more, encoding="utf-8")
    return path


def test_a_new_directory_gets_the_default_principles_and_the_models_that_ship(tmp_path):
    assert prepare(tmp_path / "new", Wishes(), NOW) == []
    kinds = [kind for kind, _ in revisions(tmp_path / "new")]
    assert kinds == ["principles", "churn_model", "stage_model"]
    assert len(Registry(DataDir.existing(tmp_path / "new").models_path).entries()) == 2


def test_doing_it_again_changes_nothing(tmp_path):
    wishes = Wishes(go_live=86_400_000, models=SEED_BUNDLES, principles=DEFAULT_PACK)
    prepare(tmp_path, wishes, NOW)
    before = revisions(tmp_path)
    prepare(tmp_path, wishes, NOW)
    prepare(tmp_path, Wishes(), NOW)
    assert revisions(tmp_path) == before


def test_go_live_is_a_revision_of_the_settings(tmp_path):
    prepare(tmp_path, Wishes(go_live=0), NOW)
    prepare(tmp_path, Wishes(go_live=1_000), NOW)
    settings = [revision for kind, revision in revisions(tmp_path) if kind == "settings"]
    assert settings == ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"]


def test_a_newer_principle_file_is_put_in_force(tmp_path):
    prepare(tmp_path / "data", Wishes(), NOW)
    assert prepare(tmp_path / "data", Wishes(principles=pack(tmp_path, "2099-01-01.1")), NOW) == []
    assert revisions(tmp_path / "data")[-1] == ("principles", "2099-01-01.1")


def test_faults_at_the_first_start_are_all_told_with_their_places(tmp_path):
    file = pack(tmp_path, "2099-01-01.1", more="more: 1\nworse: 2\n")
    with pytest.raises(InvalidPrinciples) as raised:
        prepare(tmp_path / "data", Wishes(principles=file), NOW)
    assert [(fault.file, fault.field) for fault in raised.value.faults] == [(str(file), "more"), (str(file), "worse")]


@pytest.mark.parametrize(("revision", "more"), [("2099-01-01.1", "more: 1\n"), ("2000-01-01.1", "")])
def test_later_a_faulty_or_older_file_leaves_the_last_good_one_with_a_warning(tmp_path, revision, more):
    prepare(tmp_path / "data", Wishes(), NOW)
    before = revisions(tmp_path / "data")
    warnings = prepare(tmp_path / "data", Wishes(principles=pack(tmp_path, revision, more)), NOW)
    assert len(warnings) == 1
    assert f"is not in force; the last good revision, {before[0][1]}, stays" in warnings[0]
    assert revisions(tmp_path / "data") == before


def test_a_damaged_model_is_refused_at_the_first_start_and_left_out_later(tmp_path):
    damaged = tmp_path / "models"
    shutil.copytree(SEED_BUNDLES, damaged)
    model = next(damaged.glob("*/model.onnx"))
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(InvalidBundle, match="sha256"):
        prepare(tmp_path / "data", Wishes(models=damaged), NOW)

    prepare(tmp_path / "data", Wishes(), NOW)

    before = revisions(tmp_path / "data")
    (warning,) = prepare(tmp_path / "data", Wishes(models=damaged), NOW)
    assert "the last good models stay" in warning
    assert revisions(tmp_path / "data") == before


def test_two_models_of_one_kind_cannot_both_answer(tmp_path):
    for name in ("one", "two"):
        shutil.copytree(next(SEED_BUNDLES.glob("*/manifest.json")).parent, tmp_path / "models" / name)
    with pytest.raises(InvalidBundle, match="at most one bundle of each kind"):
        prepare(tmp_path / "data", Wishes(models=tmp_path / "models"), NOW)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.yaml: a principle file was required"):
        read_principle_file(tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match=r"--models .*nowhere: a folder of model bundles was required"):
        prepare(tmp_path / "data", Wishes(models=tmp_path / "nowhere"), NOW)


def tenants(folder: Path, text: str) -> Path:
    path = folder / "tenants.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_tenants_set_is_a_revision_that_has_it_whole(tmp_path):
    file = tenants(tmp_path, "tenants: {acme: {timezone: America/Bogota}}")
    for _ in range(2):
        prepare(tmp_path / "data", Wishes(tenants=file), NOW)
    prepare(tmp_path / "data", Wishes(), NOW)
    assert [kind for kind, _ in revisions(tmp_path / "data")].count("tenants") == 1
    with closing(SignalLog(DataDir.existing(tmp_path / "data"))) as log:
        assert log.revisions()["tenants"]["tenants"]["acme"]["timezone"] == "America/Bogota"


def test_a_faulty_tenants_file_is_refused_at_first_and_later_leaves_what_was_set(tmp_path):
    bad = tenants(tmp_path, "tenants: {acme: {timezone: Mars}}")
    with pytest.raises(InvalidPrinciples, match=r"tenants\.yaml:1:28: tenants\.acme\.timezone"):
        prepare(tmp_path / "data", Wishes(tenants=bad), NOW)
    prepare(tmp_path / "data", Wishes(tenants=tenants(tmp_path, "tenants: {acme: {}}")), NOW)
    before = revisions(tmp_path / "data")
    (warning,) = prepare(tmp_path / "data", Wishes(tenants=tenants(tmp_path, "tenants: 3")), NOW)
    assert "is not in force; what was set for tenants before stays" in warning
    assert revisions(tmp_path / "data") == before


def test_a_tenants_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: a tenants file was required"):
        prepare(tmp_path / "data", Wishes(tenants=tmp_path / "nowhere"), NOW)


def test_an_own_principle_file_lies_over_the_default_one(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("pack: mine\nrevision: 2026-12-01.1\nextends: default\n")
    for _ in range(2):
        assert prepare(tmp_path / "data", Wishes(principles=own), NOW) == []
    kinds = [kind for kind, _ in revisions(tmp_path / "data")]
    assert sorted(kinds) == ["churn_model", "principles", "principles/default", "stage_model"]
