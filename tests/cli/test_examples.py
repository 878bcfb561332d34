"""`membrane examples` and `membrane skew` as a user runs them."""

from __future__ import annotations

import json
from contextlib import closing

import apsw
import msgspec
import pytest
from pyarrow import parquet

from cli.main import main
from membrane.examples import Served
from membrane.ports import NewSignal
from membrane.signals import encode_stored
from membrane.times import DAY, HOUR
from storage.directory import DataDir
from tests.strategies import START, signal
from tests.stream.made import apply_log, make_data


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A customer who writes a lot for three days, whom a person then calls strained."""
    told = []
    for number in range(24):
        t = START + number * 3 * HOUR
        told.append(signal(number, "message.received", t, {"channel": "chat", "sentiment": 0.0}))
    label = {"target": "stage", "value": "strained", "by": "ana"}
    told.append(signal(90, "label.given", START + 3 * DAY, label))
    told.append(signal(91, "label.given", START + 3 * DAY, label, customer="nobody-saw"))
    made = [NewSignal("default", one.customer, one.source, one.id, one.time, encode_stored(one)) for one in told]
    path = make_data(tmp_path / "data", made)
    apply_log(path, monkeypatch)
    return path


def test_status_counts_vectors_labels_and_delays(data, capsys):
    assert main(["examples", "status", "--data", str(data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] >= 2
    assert told["labels"] == [{"target": "stage", "label": "strained", "by": "ana", "count": 1, "weight": 1.0}]
    assert told["labels_without_vector"] == 1
    assert 0 < told["delay_hours"]["stage"]["median"] <= 72
    assert main(["examples", "status", "--data", str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("1 labels joined; 1 labels found no vector")
    assert lines[1].split() == ["stage", "strained", "ana", "1", "weight", "1"]


def test_export_writes_a_file_or_into_a_folder(data, tmp_path, capsys):
    assert main(["examples", "export", "--data", str(data), "--out", str(tmp_path), "--json"]) == 0
    out = tmp_path / "examples.parquet"
    assert json.loads(capsys.readouterr().out) == {"out": str(out), "rows": 1, "passed_over": 0}
    [row] = parquet.read_table(out).to_pylist()
    assert (row["label"], row["customer"], row["contacts_in_7d"] > 1) == ("strained", "c-1", True)
    assert main(["examples", "export", "--data", str(data), "--out", str(tmp_path / "no" / "x")]) == 1
    assert "a file to write was required" in capsys.readouterr().err


def test_a_directory_that_is_none_is_told(tmp_path, capsys):
    for command in (["examples", "status"], ["examples", "export", "--out", "x"], ["skew"]):
        assert main([*command, "--data", str(tmp_path / "nothing")]) == 1
        assert "nothing" in capsys.readouterr().err


def test_skew_compares_tells_and_leaves_a_metric(data, start):
    """In a process of its own: it maps a file of metrics."""
    sound = start("skew", "--data", data, "--json")
    assert sound.process.wait(60) == 0
    told = json.loads(sound.text)
    assert told["checked"] >= 2
    assert told["mismatches"] == 0
    assert [path.name.startswith("gauge_mostrecent_") for path in (data / "run" / "metrics").iterdir()] == [True]
    for partition in range(2):
        with closing(apsw.Connection(str(DataDir.existing(data).records_path(partition)))) as connection:
            for offset, body in connection.execute("SELECT offset, body FROM examples").fetchall():
                served = msgspec.msgpack.decode(body, type=Served)
                planted = msgspec.structs.replace(served, features=b"\0\0\x28\x42" + served.features[4:])
                values = (msgspec.msgpack.encode(planted), offset)
                connection.execute("UPDATE examples SET body = ? WHERE offset = ?", values).fetchall()
    broken = start("skew", "--data", data)
    assert broken.process.wait(60) == 1
    assert "kept vectors differ from the log" in broken.text
    assert "was served as" in broken.text
