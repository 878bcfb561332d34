from __future__ import annotations

import json

import pytest

from cli.main import main
from membrane.features import fingerprint
from membrane.times import DAY
from models.bundle import read_bundle
from models.scorer import load_bundle
from tests.training.signals import event, signals_file

T = 9_131 * DAY  # 1995-01-01
CUTOFF = ["--cutoff", "1995-02-10"]
RULE = ["--lapse", "no order.placed for 30d"]


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    events = [
        event(f"c-{n}", "order.placed", T + day * DAY)
        for n in range(120)
        for day in range(0, 80 if n % 2 else 10 + n % 30, 3 + n % 4)
    ]
    return signals_file(tmp_path_factory.mktemp("signals") / "shop.ndjson", events)


def refused(capsys, tmp_path, *arguments):
    assert main(["train", *map(str, arguments), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    return capsys.readouterr().err


def test_a_file_of_signals_becomes_a_churn_model_that_the_stream_can_load(signals, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--signals", str(signals), *CUTOFF, *RULE, "--folds", "2", "--out", str(out), "--json", "--progress"]
    assert main(["train", "churn", *arguments]) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert (report["rows"], report["split"][:7]) == (120, "2 folds")
    assert report["figures"]["auc"]["value"] > 0.8
    assert len(report["source_sha256"]) == 64
    assert "made again of the signals before their moment" in report["notes"][0]
    assert "read shop.ndjson" in told.err
    load_bundle(read_bundle(out), "churn", fingerprint())


def test_what_does_not_go_together_is_told(signals, tmp_path, capsys):
    churn, stage = ("churn", "--signals", signals), ("stage", "--signals", signals)
    assert "at least one --cutoff" in refused(capsys, tmp_path, *churn)
    assert "one --cutoff DATE and no --lapse" in refused(capsys, tmp_path, *stage)
    assert "one --cutoff DATE and no --lapse" in refused(capsys, tmp_path, *stage, *CUTOFF, *RULE)
    assert "--lapse: there is no signal 'order.plaiced'" in refused(
        capsys, tmp_path, *churn, *CUTOFF, "--lapse", "no order.plaiced for 30d"
    )
    assert "ends 1995-0" in refused(capsys, tmp_path, *churn, "--cutoff", "1996-01-01")
    assert "came --signals and --data" in refused(capsys, tmp_path, *churn, *CUTOFF, "--data", tmp_path)
    assert "came none" in refused(capsys, tmp_path, "churn")
    assert "label.given signals of the target stage were required" in refused(capsys, tmp_path, *stage, *CUTOFF)


@pytest.mark.parametrize(("option", "value"), [("--cutoff", "soon"), ("--horizon", "a month"), ("--horizon", "0d")])
def test_a_date_or_span_that_is_none_is_a_mistake_of_usage(signals, tmp_path, option, value):
    with pytest.raises(SystemExit) as ended:
        main(["train", "churn", "--signals", str(signals), option, value, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2


def test_a_data_directory_without_labels_is_told_and_a_flag_wins_over_the_environment(tmp_path, capsys, monkeypatch):
    data = tmp_path / "data"
    signals_file(tmp_path / "one", [event("c", "order.placed", T)])
    assert main(["replay", str(tmp_path / "one"), "--data", str(data), "--clock", "signals"]) == 0
    assert "labels of the target churn were required" in refused(capsys, tmp_path, "churn", "--data", data)
    monkeypatch.setenv("MEMBRANE_DATA", str(data))
    told = refused(capsys, tmp_path, "churn", "--signals", tmp_path / "one")
    assert "at least one --cutoff" in told
