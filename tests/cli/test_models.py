"""`membrane models` over real bundles: who answers, who runs beside, and what the gate lets through."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import subprocess
from contextlib import closing

import msgspec
import numpy as np
import pytest

from cli.main import main
from cli.prepare import SEED_BUNDLES, Wishes, prepare
from membrane.features import fingerprint
from membrane.ports import RecordKind
from membrane.times import DAY, HOUR, format_time, parse_time
from models.bundle import MODEL, Golden, read_bundle, write_bundle
from models.pointers import PointerFile
from serving.champions import Champions
from storage.directory import DataDir
from storage.log import SignalLog
from tests.cli.test_replay import event, write
from tests.docs.pages import DOCS
from tests.docs.pages import examples as page_examples
from tests.models.labelled import MADE, examples
from tests.models.test_signing import Ed25519PrivateKey, private, public
from tests.processes import up, wait_until

BY = ["--by", "ana"]
FORCE = [*BY, "--force", "--why", "a test"]


class Shop:
    """A prepared data directory, and bundles made of the seeds."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.data = folder / "data"
        prepare(self.data, Wishes(partitions=2), 1_000)
        self.models = DataDir.existing(self.data).models_path

    def bundle(self, name, kind="churn", *, sharpen=None, model=None, golden=None, **changes):
        """A copy of the seed under another name: a tenant's, and by `sharpen` another model altogether."""
        seed = read_bundle(SEED_BUNDLES / kind)
        fields = {"name": name, "provenance": "tenant", "labels_until": MADE - 1, **changes}
        manifest = msgspec.structs.replace(seed.manifest, **fields)
        if sharpen is not None:
            model, golden = linear(manifest, sharpen)
        write_bundle(self.folder / name, manifest, golden or seed.golden, model or seed.model)
        return self.folder / name

    def run(self, *words):
        """The exit code, and what was printed as JSON."""
        code = main(["models", *map(str, words), "--data", str(self.data), "--json"])
        return code, json.loads(self.capsys.readouterr().out)

    def say(self, *words):
        """The exit code, standard output and standard error."""
        code = main(["models", *map(str, words), "--data", str(self.data)])
        return code, *self.capsys.readouterr()

    def in_force(self):
        """(kind, role) -> names, as the list shows them."""
        found = {}
        for row in self.run("list")[1]["models"]:
            if row["role"]:
                found.setdefault((row["kind"], row["role"]), []).append(row["name"])
        return found

    def records(self):
        with closing(SignalLog(DataDir.existing(self.data))) as log:
            return [json.loads(one.body) for one in log.read(1, 0, 1_000) if one.kind is RecordKind.REVISION]


@pytest.fixture
def shop(tmp_path, capsys):
    return Shop(tmp_path, capsys)


TRUTH = np.random.default_rng(4).normal(0, 0.3, (2, 54))


def linear(manifest, sharpen):
    """softmax(sharpen * features @ TRUTH.T) as ONNX, with golden rows."""
    from tests.models.conftest import softmax_model

    width = len(manifest.features)
    coef = np.resize(TRUTH, (2, width)) * sharpen
    rows = np.random.default_rng(5).normal(0, 1, (8, width)).astype(np.float32)
    odds = np.exp(rows.astype(float) @ coef.T)
    golden = Golden(
        tuple(map(tuple, rows.tolist())), tuple(map(tuple, (odds / odds.sum(axis=1, keepdims=True)).tolist()))
    )
    return softmax_model(coef), golden


def labelled(folder, *, count=900, **changes):
    """A file of labelled examples that follow TRUTH."""
    width = len(read_bundle(SEED_BUNDLES / "churn").manifest.features)
    coef = np.resize(TRUTH, (2, width))
    made = examples(np.random.default_rng(6), coef, count=count, target="churn", fingerprint=fingerprint(), **changes)
    file = folder / "examples.ndjson"
    file.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in made))
    return file


def test_what_ships_is_in_force_and_its_figures_are_shown(shop):
    assert shop.in_force() == {("churn", "champion"): ["seed-churn"], ("stage", "champion"): ["seed-stage"]}
    code, shown = shop.run("show", "seed-churn")
    assert (code, shown["role"], shown["history"][0]["act"]) == (0, "champion", "install")
    assert shown["metrics"] == read_bundle(SEED_BUNDLES / "churn").manifest.metrics
    code, out, _ = shop.say("show", shown["digest"][:6])
    assert (code, "log_loss: 0.2304" in out, "install churn" in out) == (0, True, True)


def test_a_better_model_is_promoted_recorded_and_can_be_rolled_back(shop):
    poor, good = shop.bundle("poor", sharpen=0.3), shop.bundle("good", sharpen=1.0)
    assert shop.run("promote", poor, *FORCE)[0] == 0
    code, told = shop.run("promote", good, *BY, "--examples", labelled(shop.folder))
    assert (code, told["promoted"], told["forced"]) == (0, True, False), told["checks"]
    assert told["examples"]["used"] == 900
    assert all(one["passed"] for one in told["checks"])
    assert shop.in_force()["churn", "champion"] == ["good"]
    change = PointerFile(shop.models).read().history[-1]
    assert (change.act, change.said.by, change.said.forced, len(change.checks)) == ("promote", "ana", False, 11)
    last = shop.records()[-1]
    assert (last["kind"], last["digest"]) == ("churn_model", read_bundle(good).digest)
    code, back = shop.run("rollback", "churn", *BY, "--why", "too many alarms")
    assert (code, back["act"], back["said"]["why"]) == (0, "rollback", "too many alarms")
    assert shop.in_force()["churn", "champion"] == ["poor"]
    assert shop.records()[-1]["digest"] == read_bundle(poor).digest


def test_a_worse_model_is_not_promoted_but_by_force_with_a_reason(shop):
    poor, good = shop.bundle("poor", sharpen=0.3), shop.bundle("good", sharpen=1.0)
    shop.run("promote", good, *FORCE)
    before = shop.records()
    code, out, _ = shop.say("promote", poor, "--examples", labelled(shop.folder))
    assert (code, shop.records()) == (1, before)
    assert "x log-loss: " in out
    assert out.endswith("not promoted; the champion stays\n")
    assert not (shop.models / read_bundle(poor).digest).exists()
    code, _, err = shop.say("promote", poor, "--force")
    assert (code, err) == (1, "membrane: --force: a reason was required, --why is missing\n")
    code, told = shop.run("promote", poor, *FORCE, "--examples", labelled(shop.folder))
    assert (code, told["forced"]) == (0, True)
    change = PointerFile(shop.models).read().history[-1]
    assert (change.said.forced, change.said.why) == (True, "a test")
    assert [one.name for one in change.checks if not one.passed] == ["log-loss", "calibration"]


def test_without_labels_a_promotion_is_refused_and_told_what_to_do(shop):
    code, out, _ = shop.say("promote", shop.bundle("good", sharpen=1.0))
    assert code == 1
    assert "there is no labelled example" in out
    assert "--force --why" in out


def test_a_promoted_simulated_model_stays_advisory(shop):
    simulated = shop.bundle("simulated", sharpen=1.0, provenance="simulated")
    code, told = shop.run("promote", simulated, "--examples", labelled(shop.folder))
    assert (code, told["advisory"]) == (0, True)


def test_two_models_are_compared_with_intervals(shop):
    poor, good = shop.bundle("poor", sharpen=0.3), shop.bundle("good", sharpen=1.0)
    code, told = shop.run("compare", poor, good, "--examples", labelled(shop.folder))
    assert (code, list(told["figures"])) == (0, ["log_loss", "brier", "ece", "auc"])
    loss = told["figures"]["log_loss"]
    assert loss["low"] < loss["difference"] < loss["high"] < 0
    assert {*shop.in_force()} == {("churn", "champion"), ("stage", "champion")}
    code, out, _ = shop.say("compare", poor, good)
    assert (code, "0 labelled examples" in out) == (1, True)
    code, _, err = shop.say("compare", good, "seed-stage")
    assert (code, "two models of one kind were required, churn and stage came" in err) == (1, True)


def test_challengers_are_named_withdrawn_and_promoted(shop):
    good = shop.bundle("good", sharpen=1.0)
    code, told = shop.run("challenge", good, *BY)
    assert (code, told["act"], told["kind"]) == (0, "challenge", "churn")
    assert shop.in_force()["churn", "challenger"] == ["good"]
    assert [one["digest"] for one in shop.records()[-1]["challengers"]] == [read_bundle(good).digest]
    assert shop.say("challenge", good)[0] == 1
    assert shop.run("challenge", "good", "--withdraw", *BY)[0] == 0
    assert shop.records()[-1]["challengers"] == []
    assert "one challenger was required" in shop.say("challenge", "good", "--withdraw")[2]
    shop.run("challenge", "good")
    assert shop.run("promote", "good", *FORCE)[0] == 0
    assert ("churn", "challenger") not in shop.in_force()


def test_a_fourth_challenger_is_refused(shop):
    for name in ("one", "two", "three"):
        assert shop.run("challenge", shop.bundle(name))[0] == 0
    before = shop.records()
    assert "at most 3 challengers" in shop.say("challenge", shop.bundle("four"))[2]
    assert shop.records() == before


def test_a_damaged_challenger_can_be_withdrawn_and_is_told(shop):
    bundle = shop.bundle("one")
    shop.run("challenge", bundle)
    digest = read_bundle(bundle).digest
    (shop.models / digest / MODEL).write_bytes(b"")
    code, out, _ = shop.say("list")
    assert (code, "damaged: " in out, "challenger" in out) == (1, True, True)
    shutil.rmtree(shop.models / digest)
    code, out, _ = shop.say("list")
    assert (code, f"{digest}: the pointers or the log name this bundle" in out) == (1, True)
    assert shop.run("challenge", digest[:8], "--withdraw")[0] == 0
    assert shop.say("list")[0] == 0


def spoilt(shop, how):
    """A folder with a bundle that is bad in some way."""
    if how == "nan":
        return shop.bundle("bad", model=linear(read_bundle(SEED_BUNDLES / "churn").manifest, math.nan)[0])
    if how == "of another fingerprint":
        return shop.bundle("bad", fingerprint="e" * 64)
    if how == "of a table's columns":
        from tests.models.conftest import softmax_model

        rows = Golden(((0.0, 0.0),), ((0.5, 0.5),))
        model = softmax_model(np.zeros((2, 2)))
        table = {"features": ("age", "plan"), "fingerprint": "t" * 64, "linear": None}
        return shop.bundle("bad", model=model, golden=rows, **table)
    if how == "without golden rows":
        return shop.bundle("bad", golden=Golden((), ()))
    path = shop.bundle("bad")
    if how == "truncated":
        (path / MODEL).write_bytes((path / MODEL).read_bytes()[:-1])
    if how == "flipped":
        body = bytearray((path / MODEL).read_bytes())
        body[100] ^= 1
        (path / MODEL).write_bytes(bytes(body))
    if how == "of a newer format":
        import hashlib

        manifest = json.loads((path / "manifest.json").read_bytes())
        body = json.dumps({**manifest, "format": 2}).encode()
        (path / "manifest.json").write_bytes(body)
        (path / "digest").write_text(hashlib.sha256(body).hexdigest() + "\n")
    return path


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("truncated", "model.onnx: sha256"),
        ("flipped", "model.onnx: sha256"),
        ("nan", "golden outputs within 1e-05 required, got a difference of nan"),
        ("of another fingerprint", "feature fingerprint"),
        ("of a table's columns", "it was made for the columns of a table"),
        ("without golden rows", "golden rows and outputs of shapes"),
        ("of a newer format", "a manifest is required, but Invalid"),
    ],
)
def test_a_bad_bundle_gets_in_by_no_way_not_even_by_force(shop, how, problem):
    bad, before = spoilt(shop, how), shop.records()
    for words in (["promote", bad, *FORCE], ["challenge", bad, *FORCE], ["compare", "seed-churn", bad]):
        code, _, err = shop.say(*words)
        assert (code, problem in err) == (1, True), err
        assert "Traceback" not in err
    assert shop.records() == before
    assert shop.in_force()["churn", "champion"] == ["seed-churn"]
    assert sorted(path.name for path in shop.models.iterdir() if len(path.name) == 64) == sorted(
        read_bundle(SEED_BUNDLES / kind).digest for kind in ("churn", "stage")
    )


def test_a_pointer_to_what_cannot_answer_is_told_and_the_champion_stays(shop):
    bad = "f" * 64
    said = PointerFile(shop.models).read().history[0].said
    PointerFile(shop.models).change(lambda now: now.put_in_force("promote", "churn", bad, said))
    before = shop.records()
    with closing(SignalLog(DataDir.existing(shop.data))) as log:
        champions = Champions(DataDir.existing(shop.data), log)
        champions.follow(2_000)
        assert "churn: " in champions.problems[0]
        assert champions.problems[0].endswith("what was in force stays")
        assert len(prepare(shop.data, Wishes(), 3_000)) == 1
    assert shop.records() == before
    assert shop.run("rollback", "churn")[0] == 0
    assert shop.records() == before


def test_a_challenger_that_is_gone_stands_in_the_way_of_no_promotion(shop):
    said = PointerFile(shop.models).read().history[0].said
    PointerFile(shop.models).change(lambda now: now.challenged("churn", "f" * 64, said))
    code, out, err = shop.say("promote", shop.bundle("good", sharpen=1.0), *FORCE)
    assert (code, "in force by force" in out, f"churn: {shop.models}" in err) == (0, True, True)


def test_a_pointer_file_that_cannot_be_understood_stops_nobody(shop):
    (shop.models / "pointers.json").write_text("{")
    assert "mend or remove it" in prepare(shop.data, Wishes(), 2_000)[0]
    assert shop.say("list")[0] == 4
    (shop.models / "pointers.json").unlink()
    assert shop.in_force()["churn", "champion"] == ["seed-churn"]
    assert shop.run("promote", shop.bundle("good", sharpen=1.0), *FORCE)[0] == 0
    assert shop.run("rollback", "churn")[0] == 0
    assert shop.in_force()["churn", "champion"] == ["seed-churn"]


def test_a_restart_with_the_models_option_does_not_undo_a_promotion(shop):
    shop.run("promote", shop.bundle("good", sharpen=1.0), *FORCE)
    before = shop.records()
    (warning,) = prepare(shop.data, Wishes(models=SEED_BUNDLES), 2_000)
    assert "has been replaced by another champion, which stays" in warning
    assert shop.records() == before


def test_where_keys_are_in_force_only_signed_bundles_get_in(shop):
    key = Ed25519PrivateKey.generate()
    keys = shop.folder / "public.pem"
    keys.write_bytes(public(key))
    assert prepare(shop.data, Wishes(model_keys=keys), 2_000) == []
    good, before = shop.bundle("good", sharpen=1.0), shop.records()
    for words in (["promote", good, *FORCE], ["challenge", good]):
        code, _, err = shop.say(*words)
        assert (code, "a signature by one of the model keys is required" in err) == (1, True)
    assert shop.records() == before
    secret = private(shop.folder / "model.key", key)
    assert main(["models", "sign", str(good), "--key", str(secret)]) == 0
    shop.capsys.readouterr()
    assert shop.run("promote", good, *FORCE)[0] == 0
    assert shop.in_force()["churn", "champion"] == ["good"]


def test_a_first_start_with_keys_trusts_what_ships(tmp_path):
    key = Ed25519PrivateKey.generate()
    keys = tmp_path / "public.pem"
    keys.write_bytes(public(key))
    assert prepare(tmp_path / "data", Wishes(model_keys=keys), 1_000) == []
    with closing(SignalLog(DataDir.existing(tmp_path / "data"))) as log:
        assert {"churn_model", "stage_model"} <= set(log.revisions())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["show", "nothing"], "none of these is meant: 2026-11-22.1+"),
        (["promote", "2026"], "was required"),
        (["rollback", "stage"], "there was none"),
    ],
)
def test_mistakes_are_told(shop, words, problem):
    code, _, err = shop.say(*words)
    assert (code, problem in err, "Traceback" in err) == (1, True, False)


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b"\xff"])
def test_a_file_of_examples_that_is_none_is_told_with_its_line(shop, line):
    file = labelled(shop.folder, count=1)
    file.write_bytes(file.read_bytes() + line + b"\n")
    code, _, err = shop.say("compare", "seed-churn", "seed-churn", "--examples", file)
    assert (code, f"{file}:2: a labelled example was required" in err) == (1, True)


def told_labels(folder, *, customers=60, weeks=5):
    """A file of signals: every eight days a message of each customer, and an hour later a person's label of it."""
    made = []
    for week in range(1, weeks + 1):
        for customer in range(customers):
            at = parse_time("2026-01-01T00:00:00Z") + 8 * week * DAY + customer * 1_000
            stage = ("steady", "strained")[(customer + week) % 2]
            sent = {"channel": "chat", "sentiment": -0.6 if stage == "strained" else 0.2}
            said = {"target": "stage", "value": stage, "by": "ana"}
            for kind, time, data in (("message.received", at, sent), ("label.given", at + HOUR, said)):
                changes = {"subject": f"c-{customer}", "time": format_time(time), "data": data}
                made.append(event(len(made), type=f"cx.{kind}.v1", **changes))
    return write(folder / "signals.ndjson", sorted(made, key=lambda one: one["time"]))


def test_a_promotion_is_judged_by_the_labels_that_the_stream_has_joined(shop):
    beside = shop.bundle("beside", "stage", labels_until=0)
    assert shop.run("challenge", beside)[0] == 0
    file = told_labels(shop.folder)
    assert main(["replay", str(file), "--data", str(shop.data), "--clock", "signals", "--json"]) == 0
    assert main(["rebuild", "--data", str(shop.data), "--json"]) == 0
    shop.capsys.readouterr()
    code, told = shop.run("promote", "beside")
    checks = {one["name"]: one for one in told["checks"]}
    assert (code, told["examples"]["customers"], checks["labels"]["passed"]) == (1, 60, True)
    assert checks["scores as served"]["figure"] == 0  # what it gave beside the champion, bit for bit
    assert checks["log-loss"]["figure"] == 0  # it is the champion's twin
    out = shop.folder / "examples.parquet"
    assert main(["examples", "export", "--data", str(shop.data), "--out", str(out), "--json"]) == 0
    shop.capsys.readouterr()
    again = shop.run("promote", "beside", "--examples", out)[1]
    assert again["examples"] == told["examples"]
    assert [one for one in again["checks"] if "latency" not in one["name"]] == [
        one for one in told["checks"] if "latency" not in one["name"]
    ]
    learned = shop.bundle("learned", "stage", labels_until=parse_time("2026-02-01T00:00:00Z"))
    code, told = shop.run("compare", "seed-stage", learned)
    assert 0 < told["examples"]["used"] < checks["labels"]["figure"]
    assert set(told["examples"]["left_out"]) == {"a model may have learned from it"}


def test_the_commands_of_the_page_do_what_it_says(shop, monkeypatch):
    good = shop.bundle("good", sharpen=1.0)
    monkeypatch.setenv("MEMBRANE_EXAMPLES", str(labelled(shop.folder)))
    places = {"./bundles/churn": str(good), "./shop": str(shop.data)}
    written = [line for one in page_examples(DOCS / "models.md", "sh") for line in one.body.splitlines()]
    commands = [shlex.split(line) for line in written if line.startswith("membrane models") and "--data" in line]
    done = []
    for command in commands:
        words = [places.get(word, word) for word in command[1:]]
        assert main(words) == 0, (words, shop.capsys.readouterr())
        done.append(words[1])
    assert done == ["challenge", "compare", "promote", "show", "rollback"]
    assert shop.capsys.readouterr().out.rstrip().endswith("too many alarms")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_keys_of_the_page_sign_and_let_in(shop, monkeypatch):
    good = shop.bundle("good", sharpen=1.0)
    monkeypatch.chdir(shop.folder)
    written = [line for one in page_examples(DOCS / "models.md", "sh") for line in one.body.splitlines()]
    for line in [line for line in written if line.startswith("openssl")]:
        subprocess.run(shlex.split(line), check=True)
    [signing] = [line for line in written if line.startswith("membrane models sign")]
    assert main(shlex.split(signing.replace("./bundles/churn", str(good)))[1:]) == 0
    assert prepare(shop.data, Wishes(model_keys=shop.folder / "model-keys.pem"), 2_000) == []
    shop.capsys.readouterr()
    assert shop.run("challenge", good)[0] == 0


@pytest.mark.slow
def test_a_running_service_follows_a_promotion_a_pointer_and_decisions_name_the_model(shop):
    good = shop.bundle("good", sharpen=1.0)
    revision = read_bundle(good).revision
    with up(shop.data, "--runner", "plain") as service, service.client() as client:

        def models():
            return client.get("/v1/models").json()

        def names_it():
            ask = {
                "customer": "c",
                "candidates": [{"id": "a", "domain": "legal", "kind": "recall", "channel": "email"}],
            }
            return client.post("/v1/decisions", json=ask).json()["revisions"]["churn_model"] == revision

        seed = models()["champions"]["churn"]
        assert shop.run("promote", good, *FORCE)[0] == 0
        assert models()["champions"]["churn"] == revision
        wait_until(names_it, "a decision that names the promoted model")
        info = client.get("/metrics").text
        assert f'membrane_model_info{{kind="churn",revision="{revision}",role="champion"}} 1.0' in info
        assert f'membrane_model_info{{kind="churn",revision="{seed}",role="champion"}} 0.0' not in info
        said = PointerFile(shop.models).read().history[-1].said
        PointerFile(shop.models).change(lambda now: now.rolled_back("churn", said))
        wait_until(lambda: models()["champions"]["churn"] == seed, "the service follows the file")
        text = client.get("/metrics").text
        assert f'membrane_model_info{{kind="churn",revision="{revision}",role="champion"}} 0.0' in text
        PointerFile(shop.models).change(lambda now: now.challenged("churn", "e" * 64, said))
        wait_until(lambda: models()["problems"] != [], "the service tells what it cannot have")
        assert [one["act"] for one in models()["history"]][:3] == ["challenge", "rollback", "promote"]
        assert service.stop() == 0
