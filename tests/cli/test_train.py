from __future__ import annotations

import contextlib
import csv
import io
import json

import pytest

from cli.main import main
from models.bundle import DIGEST, MODEL, read_bundle
from tests.training.tables import HEADER, lines, written


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return written(tmp_path_factory.mktemp("table") / "shops.csv")


@pytest.fixture(scope="module")
def trained(table):
    """A trained bundle and what `--json` said of it."""
    out, told, progress = table.parent / "model", io.StringIO(), io.StringIO()
    arguments = ["--label", "churn", "--folds", "2", "--out", str(out), "--json", "--progress"]
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(progress):
        assert main(["train", "churn", "--table", str(table), *arguments]) == 0
    assert "100 %" in progress.getvalue()
    return out, json.loads(told.getvalue())


@pytest.fixture(scope="module")
def model(trained):
    return trained[0]


def run(capsys, *arguments):
    code = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, tmp_path, path, *more):
    """The message of a training that must not succeed; nothing is written."""
    out = tmp_path / "out"
    code, _, told = run(capsys, "train", "churn", "--table", path, "--label", "churn", "--out", out, *more)
    assert code == 1
    assert not out.exists()
    assert "Traceback" not in told
    return told


def test_a_table_becomes_a_bundle_with_its_card_and_the_figures_are_told(trained):
    out, report = trained
    assert report["figures"]["auc"]["low"] < report["figures"]["auc"]["value"]
    assert report["figures"]["auc"]["value"] > 0.7
    assert (report["rows"], report["tested"]) == (240, 240)
    assert report["digest"] == (out / DIGEST).read_text().strip() == read_bundle(out).digest
    assert any("'id' is left out" in note for note in report["notes"])
    assert "Model card: shops-churn" in (out / "card.md").read_text()
    assert (out / "card.html").exists()


def test_a_table_is_scored_with_unseen_categories_and_missing_cells(model, tmp_path, capsys):
    rows = ["n-1,3,basic,west,0,", "n-2,,platinum,north,0,", "n-3,59,gold,south,0,"]
    fresh, out = written(tmp_path / "fresh.csv", rows=rows), tmp_path / "scores.csv"
    code, told, _ = run(capsys, "score", "--bundle", model, "--table", fresh, "--out", out, "--json")
    assert code == 0
    assert json.loads(told)["rows"] == 3
    found = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["row"] for row in found] == ["2", "3", "4"]
    assert float(found[0]["closes"]) > 0.5 > float(found[2]["closes"])


def test_a_table_that_lacks_a_column_of_the_model_is_refused(model, tmp_path, capsys):
    fresh = written(tmp_path / "fresh.csv", header="id,tenures,plan,region,noise,churn", rows=lines(5))
    code, _, told = run(capsys, "score", "--bundle", model, "--table", fresh, "--out", tmp_path / "scores.csv")
    assert code == 1
    assert "column 'tenure' is required, none is there; did you mean 'tenures'?" in told


def test_a_bundle_that_was_changed_scores_nothing(model, tmp_path, capsys):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / MODEL).write_bytes((copy / MODEL).read_bytes()[:-1])
    fresh = written(tmp_path / "fresh.csv", rows=lines(5))
    code, _, told = run(capsys, "score", "--bundle", copy, "--table", fresh, "--out", tmp_path / "scores.csv")
    assert code == 1
    assert "model.onnx: sha256" in told


def test_a_bundle_of_our_features_scores_no_table(tmp_path, capsys):
    fresh = written(tmp_path / "fresh.csv", rows=lines(5))
    code, _, told = run(capsys, "score", "--bundle", "models/seed/churn", "--table", fresh, "--out", tmp_path / "out")
    assert code == 1
    assert "this one has no encoder" in told


def test_a_bundle_of_a_table_is_not_put_in_force(model, tmp_path, capsys):
    models = tmp_path / "models"
    models.mkdir()
    (models / "churn").symlink_to(model)
    code, _, told = run(capsys, "serve", "--data", tmp_path / "data", "--models", models, "--port", "0")
    assert code == 1
    assert "feature fingerprint" in told


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"header": HEADER.replace("churn", "chrun")}, "did you mean 'chrun'?"),
        (
            {"rows": [line.replace(",yes", ",no") for line in lines()]},
            "at least two classes are required, got 'no'",
        ),
        ({"rows": lines(30)}, "at least 100 rows are required, got 30"),
        ({"rows": [*lines(), "c-x,many,gold,north,0,no"]}, "row 242 holds 'many'"),
        ({"rows": [*lines(), "c-x,1"]}, "row 242: 6 cells are required, got 2"),
        ({"rows": [line.replace(",yes", ",left") for line in lines()]}, "--positive VALUE must say"),
    ],
    ids=["no label", "one class", "few rows", "mixed types", "ragged", "positive"],
)
def test_bad_tables_are_refused_before_anything_is_written(tmp_path, capsys, change, problem):
    assert problem in refused(capsys, tmp_path, written(tmp_path / "t.csv", **change))


def test_a_table_that_is_not_there_and_a_place_that_is_no_folder_are_named(table, tmp_path, capsys):
    assert "nowhere.csv: a table is required" in refused(capsys, tmp_path, tmp_path / "nowhere.csv")
    (tmp_path / "file").write_text("")
    code, _, told = run(capsys, "train", "churn", "--table", table, "--label", "churn", "--out", tmp_path / "file")
    assert code == 1
    assert "a folder is required, this is a file" in told


def test_what_is_to_be_learned_from_must_be_said(tmp_path, capsys):
    code, _, told = run(capsys, "train", "churn", "--out", tmp_path / "out")
    assert code == 1
    assert "one of --table FILE, --signals FILE and --data DIR is required, came none" in told
