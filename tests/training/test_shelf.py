"""Which bundles of a learner stay, and which of them may be challengers where model keys are in force."""

from __future__ import annotations

import logging
from contextlib import closing

import msgspec
import pytest

from membrane.errors import UsageError
from membrane.ports import Commit, RecordKind
from models.bundle import SIGNATURE, Golden, Manifest, write_bundle
from models.pointers import PointerFile, Said
from models.registry import Registry
from models.signing import put_keys
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.log import SignalLog
from storage.records import RecordStore
from tests.models.test_signing import Ed25519PrivateKey, private, public
from training.publishing import DRAFTS
from training.shelf import KEPT, Shelf

WORD = Said("ana", "2026-11-23T00:00:00Z")


class Shop:
    """A data directory of two partitions, and bundles in it that nobody runs."""

    def __init__(self, folder):
        self.directory = DataDir.open(folder / "data", 2)
        self.models = self.directory.models_path
        self.models.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def bundle(self, until, name="online-churn", learned=0.0):
        """The digest of one that learned from labels up to `until`."""
        manifest = Manifest(
            name=name, kind="churn", revision="r", created="2026-11-23T00:00:00Z", fingerprint="f", features=("a",),
            classes=("stays", "closes"), metrics={"learned": learned}, provenance="tenant", labels_until=until,
        )  # fmt: skip
        made = self.folder / f"{name}-{until}-{learned}"
        write_bundle(made, manifest, Golden((), ()), b"no model")
        return Registry(self.models).install(made)

    def record(self, kind, digest="", challengers=()):
        body = {
            "kind": kind,
            "revision": "r",
            "digest": digest,
            "challengers": [{"digest": one} for one in challengers],
        }
        with closing(SignalLog(self.directory)) as log:
            log.append_record(RecordKind.REVISION, msgspec.json.encode(body), 0)

    def come_to(self, *offsets):
        """The stream has come so far in each partition."""
        for partition, offset in enumerate(offsets):
            with closing(RecordStore.open_for_writing(self.directory, partition)) as store:
                store.commit(Commit(next_offset=offset))

    def prune(self, *more):
        with closing(LabelledReader(self.directory)) as reader:
            Shelf(self.directory, reader, None).prune(more)

    def installed(self):
        return {one.digest for one in Registry(self.models).entries()}


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    shop.come_to(0, 0)
    return shop


def test_the_latest_of_each_name_stay_and_nobody_elses_is_touched(shop):
    churn = [shop.bundle(1 + number // 2, learned=number) for number in range(KEPT + 4)]
    trees = [shop.bundle(number, "trees-churn") for number in range(3)]
    own = [shop.bundle(number, "my-model") for number in range(KEPT + 2)]
    shop.prune(churn[1])
    expected = {churn[1], *churn[-KEPT:], *trees, *own}
    assert shop.installed() == expected
    shop.prune(churn[1])
    assert shop.installed() == expected


def test_what_answers_or_answered_or_runs_beside_stays(shop):
    old = [shop.bundle(number) for number in range(6)]
    latest = {shop.bundle(100 + number) for number in range(KEPT)}
    file = PointerFile(shop.models)
    for digest in old[:3]:
        file.change(lambda now, digest=digest: now.put_in_force("promote", "churn", digest, WORD))
    file.change(lambda now: now.rolled_back("churn", WORD))
    file.change(lambda now: now.challenged("churn", old[3], WORD))
    file.change(lambda now: now.challenged("churn", old[4], WORD, instead=old[3]))
    shop.prune()
    assert shop.installed() == {*latest, old[0], old[1], old[2], old[4]}
    assert file.change(lambda now: now.rolled_back("churn", WORD)).churn.champion in shop.installed()


def test_what_the_log_needs_stays_until_the_stream_is_past_it(shop):
    old = [shop.bundle(number) for number in range(4)]
    latest = {shop.bundle(100 + number) for number in range(KEPT)}
    shop.record("churn_model", old[0])
    shop.record("churn_model", "e" * 64)
    for digest in old[1:]:
        shop.record("churn_challengers", "d" * 64, [digest])
    shop.come_to(3, 5)
    shop.prune()
    assert shop.installed() == {*latest, *old}
    shop.come_to(4, 5)
    shop.prune()
    assert shop.installed() == {*latest, old[0], old[2], old[3]}
    shop.come_to(5, 5)
    shop.prune()
    assert shop.installed() == {*latest, old[0], old[3]}


def test_what_a_killed_process_left_is_taken_away_by_the_next(shop, monkeypatch):
    made = [shop.bundle(number) for number in range(KEPT + 2)]
    (shop.models / f"{DRAFTS}x").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("models.registry.Registry.sweep", lambda *_: None)
        patched.setattr("models.registry.shutil.rmtree", _killed)
        with pytest.raises(KeyboardInterrupt):
            shop.prune()
    assert shop.installed() == set(made[1:])  # whoever looks sees it whole or not at all
    shop.prune()
    assert shop.installed() == set(made[2:])
    assert not [path for path in shop.models.iterdir() if path.is_dir() and path.name.startswith(".")]


def _killed(*_, **__):
    raise KeyboardInterrupt


def test_where_keys_are_in_force_only_what_they_believe_is_named_and_that_is_told_once(shop, tmp_path, caplog):
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    believed, other = (private(tmp_path / f"{number}.key", key) for number, key in enumerate(keys))
    (tmp_path / "keys.pem").write_bytes(public(keys[0]))
    put_keys(tmp_path / "keys.pem", shop.models)
    for key, problem in ((None, "has no --signing-key"), (other, "signed by none of the model keys"), (believed, "")):
        caplog.clear()
        digest = shop.bundle(1, learned=float(len(problem)))
        with caplog.at_level(logging.WARNING), closing(LabelledReader(shop.directory)) as reader:
            shelf = Shelf(shop.directory, reader, key)
            for _ in range(2):
                shelf.nominate("churn", Registry(shop.models).load(digest), "membrane learn")
        assert [problem in one.message for one in caplog.records] == ([True] if problem else [])
        assert PointerFile(shop.models).read().churn.challenges(digest) is not bool(problem)


def test_a_key_that_is_none_is_refused_at_once(shop, tmp_path):
    (tmp_path / "no.key").write_text("nothing")
    with closing(LabelledReader(shop.directory)) as reader, pytest.raises(UsageError, match="a private key in PEM"):
        Shelf(shop.directory, reader, tmp_path / "no.key")


def test_a_bundle_that_is_put_is_signed(shop, tmp_path):
    key = private(tmp_path / "our.key", Ed25519PrivateKey.generate())
    shop.bundle(7)
    with closing(LabelledReader(shop.directory)) as reader:
        bundle = Shelf(shop.directory, reader, key).put_folder(tmp_path / "online-churn-7-0.0")
    assert (shop.models / bundle.digest / SIGNATURE).is_file()
