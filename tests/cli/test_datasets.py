from __future__ import annotations

import json

from cli.main import main
from tests.training.panel import PANEL, written
from training.cdnow import FILE_NAME

SIMULATE = ["simulate-customers", "--customers", "5", "--days", "3", "--seed", "1"]


def test_simulated_customers_are_written_with_the_truth_apart_and_the_same_seed_gives_the_same_bytes(tmp_path, capsys):
    for name in ("a", "b"):
        out, truth = tmp_path / name, tmp_path / f"{name}.truth"
        assert main([*SIMULATE, "--out", str(out), "--truth", str(truth), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.truth").read_bytes() == (tmp_path / "b.truth").read_bytes()
    assert told["signals"] == len((tmp_path / "a").read_bytes().splitlines())


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    out = tmp_path / "nowhere" / "out"
    assert main([*SIMULATE, "--out", str(out), "--truth", str(tmp_path / "truth")]) == 1
    assert f"{out} and" in capsys.readouterr().err


def test_a_start_within_an_hour_is_refused(tmp_path, capsys):
    files = ["--out", str(tmp_path / "out"), "--truth", str(tmp_path / "truth")]
    assert main([*SIMULATE, *files, "--start", "2026-01-01T00:30:00Z"]) == 1
    assert "whole hour" in capsys.readouterr().err


def test_a_folder_without_the_data_set_is_named(tmp_path, capsys):
    assert main(["dataset", "uci_incidents", "--from", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_the_panel_is_written_without_cases_and_a_folder_without_it_is_named(tmp_path, capsys):
    out = tmp_path / "out"
    written(tmp_path, PANEL)
    arguments = ["dataset", "completejourney", "--from", str(tmp_path), "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["signals"] == len(out.read_bytes().splitlines()) == 8
    assert main([*arguments, "--with-cases", str(tmp_path)]) == 1
    assert "this file of uci_incidents is required" in capsys.readouterr().err


def test_the_purchases_are_written_and_a_folder_without_them_is_named(tmp_path, capsys):
    written(tmp_path, {FILE_NAME: "customer_id,date,n_cds,amount_usd\n00001,1997-01-01,1,11.77\n"})
    out = tmp_path / "out"
    assert main(["dataset", "cdnow", "--from", str(tmp_path), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["types"] == {"cx.order.placed.v1": 1}
    assert main(["dataset", "cdnow", "--from", str(out.parent / "nowhere"), "--out", str(out)]) == 1
    assert "this file of cdnow is required" in capsys.readouterr().err
