"""The log follows the pointers: once for each change, again after a disk that refused, by whoever looks first."""

from __future__ import annotations

import msgspec
import pytest

from cli.prepare import SEED_BUNDLES, Wishes, prepare
from membrane.errors import StoreUnavailable
from models.bundle import read_bundle, write_bundle
from models.pointers import PointerFile, Said
from serving.champions import Champions
from storage.directory import DataDir
from storage.log import SignalLog

SAID = Said("ana", "2026-11-23T10:00:00Z")


class Place:
    """A data directory, a bundle that is installed in it, and two processes that look."""

    def __init__(self, folder):
        prepare(folder / "data", Wishes(partitions=1), 1_000)
        directory = DataDir.existing(folder / "data")
        self.log = SignalLog(directory)
        self.first, self.second = Champions(directory, self.log), Champions(directory, self.log)
        seed = read_bundle(SEED_BUNDLES / "churn")
        self.digest = write_bundle(
            folder / "other", msgspec.structs.replace(seed.manifest, name="other"), seed.golden, seed.model
        )
        self.first.registry.install(folder / "other")
        self.file = PointerFile(directory.models_path)

    def champion(self):
        return self.log.revisions()["churn_model"]["digest"]


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.log.close()


def test_whoever_looks_first_causes_the_record_and_nobody_does_so_twice(place):
    place.file.change(lambda now: now.put_in_force("promote", "churn", place.digest, SAID))
    before = place.log.end(0)
    for looking in (place.first, place.second, place.first):
        looking.follow(2_000)
    assert (place.champion(), place.log.end(0)) == (place.digest, before + 1)


def test_a_disk_that_refuses_is_tried_again_at_the_next_look(place, monkeypatch):
    place.file.change(lambda now: now.challenged("churn", place.digest, SAID))

    def refuse(*_):
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(place.log, "append_record", refuse)
        place.first.follow(2_000)
    assert (place.first.problems, "churn_challengers" in place.log.revisions()) == (["disk full"], False)
    place.first.follow(3_000)
    assert place.first.problems == []
    assert place.log.revisions()["churn_challengers"]["challengers"][0]["digest"] == place.digest


def test_a_file_that_stays_as_it_is_is_not_read_again(place, monkeypatch):
    place.first.follow(2_000)
    monkeypatch.setattr(PointerFile, "read", None)
    place.first.follow(3_000)
    assert place.first.problems == []


def test_a_log_from_before_the_file_says_who_answers(place):
    place.file.path.unlink()
    pointers = place.first.pointers()
    assert pointers.churn.champion == place.champion()
    before = place.log.end(0)
    changed, problems = place.first.change(lambda now: now.put_in_force("promote", "churn", place.digest, SAID), 2_000)
    assert (changed.churn.before, problems, place.log.end(0)) == (
        (read_bundle(SEED_BUNDLES / "churn").digest,),
        [],
        before + 1,
    )
