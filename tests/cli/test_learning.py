from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from cli import exits, main
from cli.learning import NICENESS
from membrane.times import DAY
from models.pointers import PointerFile
from models.registry import Registry
from models.signing import put_keys
from tests.cli.running import alive, clean_environment, wait_until
from tests.models.test_signing import Ed25519PrivateKey, private, public
from tests.processes import up
from tests.training.learning import OURS, examples, write

ALL = 99 * DAY


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A data directory with labelled examples, and what `learn --once --json` said of it."""
    data = tmp_path_factory.mktemp("taught") / "data"
    write(data, list(examples(600, columns=OURS)), settled=ALL)
    return data, learn_once(data)


def learn_once(data, *options):
    words = [sys.executable, "-m", "cli.main", "learn", "--data", str(data), "--once", "--json", *options]
    done = subprocess.run(words, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_there_is_is_learned_published_and_named_a_challenger(taught):
    data, told = taught
    targets = told["targets"]
    assert sum(target["learned"] for target in targets.values()) == 600
    for kind, target in targets.items():
        assert target["figures"]["learner"]["log_loss"] < target["figures"]["majority"]["log_loss"]
        pointer = PointerFile(data / "models").read().of(kind)
        assert [one.digest for one in pointer.challengers] == [target["published"]["digest"]]
        assert pointer.champion is None
        manifest = Registry(data / "models").load(target["published"]["digest"]).manifest
        assert (manifest.provenance, manifest.fingerprint) == ("tenant", OURS.fingerprint)
        assert manifest.labels_until > 0


def test_the_metrics_of_the_api_tell_it_and_name_nobody(taught):
    data, told = taught
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(data / "run" / "metrics"))
    text = generate_latest(registry).decode()
    learned = {kind: target["learned"] for kind, target in told["targets"].items()}
    for kind, count in learned.items():
        assert f'membrane_labels_total{{by="horizon",target="{kind}"}} {float(count)}' in text
    for model, role in (("online-stage", "learner"), ("churn-majority", "baseline"), ("stage-no_change", "baseline")):
        assert f'membrane_model_log_loss{{model="{model}",role="{role}"}}' in text
    assert "c-1" not in text


def test_a_second_time_learns_nothing_twice(taught):
    data, told = taught
    assert learn_once(data) == told


def test_the_figures_are_told_in_words(taught, capsys):
    data, _ = taught
    assert main.main(["learn", "--data", str(data), "--once"]) == exits.DONE
    text = capsys.readouterr().out
    assert "labels learned\n  learner                log-loss " in text
    assert "published as 1970-01-01." in text


def test_where_model_keys_are_in_force_the_learner_signs_or_says_that_its_bundles_are_not_taken(tmp_path, capsys):
    data, key = tmp_path / "data", Ed25519PrivateKey.generate()
    write(data, list(examples(150, columns=OURS)), settled=ALL)
    (tmp_path / "keys.pem").write_bytes(public(key))
    put_keys(tmp_path / "keys.pem", data / "models")
    told = learn_once(data)["targets"]["churn"]
    assert PointerFile(data / "models").read().churn.challengers == ()
    assert main.main(["learn", "--data", str(data), "--once"]) == exits.DONE
    assert capsys.readouterr().err.count("the learner has no --signing-key: what is learned is installed") == 1
    shutil.rmtree(data / "learn")
    learn_once(data, "--signing-key", str(private(tmp_path / "our.key", key)))
    [challenger] = PointerFile(data / "models").read().churn.challengers
    assert challenger.digest == told["published"]["digest"]
    assert (data / "models" / challenger.digest / "signature").is_file()
    none = str(tmp_path / "keys.pem")
    assert main.main(["learn", "--data", str(data), "--once", "--signing-key", none]) == exits.FAILED
    assert "a private key in PEM" in capsys.readouterr().err


def test_a_directory_that_is_not_there_or_has_no_label_is_told(tmp_path, capsys):
    assert main.main(["learn", "--data", str(tmp_path / "nowhere"), "--once"]) == exits.FAILED
    assert "a data directory was required" in capsys.readouterr().err
    write(tmp_path / "data", [], settled=0)
    assert main.main(["learn", "--data", str(tmp_path / "data"), "--once"]) == exits.DONE
    assert "stage: 0 labels learned" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["soon", "10", "1d", ""])
def test_a_time_that_is_none_is_refused(value, capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["learn", "--every", value])
    assert ended.value.code == exits.USAGE
    assert "must be a duration such as 90s, 10m or 1h" in capsys.readouterr().err


def test_a_tailing_learner_learns_what_is_settled_refuses_a_second_and_ends_in_order(tmp_path, start):
    rows, data = list(examples(300, columns=OURS)), tmp_path / "data"
    write(data, rows, settled=100 * 60_000)
    running = start("learn", "--data", data)
    wait_until(lambda: 0 < _passed(data) < 300)
    assert int((data / "run" / "learn.pid").read_text()) == running.process.pid

    began = time.monotonic()
    second = start("learn", "--data", data)
    assert second.process.wait(30) == exits.ANOTHER_WRITER
    assert f"process {running.process.pid} is it" in second.text
    assert time.monotonic() - began < 10

    write(data, [], settled=ALL)
    wait_until(lambda: _passed(data) == 300)
    assert running.stop() == exits.DONE
    assert not (data / "run" / "learn.pid").exists()


def _passed(data):
    """How many examples the learner has passed; 0 before it has a store."""
    path = str(data / "learn" / "learner.db")
    with suppress(apsw.Error, ValueError), closing(apsw.Connection(path, apsw.SQLITE_OPEN_READONLY)) as store:
        places = json.loads(store.execute("SELECT places FROM learner").fetchall()[0][0])["places"]
        return sum(place["number"] for place in places if place["number"] > 0)
    return 0


def test_up_runs_a_learner_that_dies_without_it_and_ends_with_it(tmp_path):
    data = tmp_path / "data"
    key = private(tmp_path / "our.key", Ed25519PrivateKey.generate())
    with up(data, "--learn", "on", "--runner", "plain", "--signing-key", key) as service:
        learner = service.pid("learn")
        assert f"--signing-key={key}" in Path(f"/proc/{learner}/cmdline").read_text().split("\0")
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, learner) == min(19, os.nice(0) + NICENESS))
        os.kill(learner, signal.SIGKILL)
        wait_until(lambda: service.pid("learn") != learner)
        assert service.is_ready()
        assert "the learner ended (SIGKILL): restart 1 of 5" in service.errors()
        again = service.pid("learn")
        assert service.stop() == exits.DONE
        assert not alive(again)


def test_up_that_is_to_learn_without_river_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main.main(["up", "--data", str(tmp_path / "data"), "--learn", "on"]) == exits.FAILED
    assert "--learn on: the extra `train` is required" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
