"""Challengers see the rows of the champion, in its place, and nothing that they do reaches a customer's record."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from membrane.errors import InvalidBundle
from membrane.features import fingerprint
from membrane.ports import RecordKind
from membrane.settings import TenantSettings
from models.bundle import MODEL, read_bundle, write_bundle
from models.registry import Registry
from models.scorer import ChallengerModel
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.log import SignalLog
from stream.block import Block, decode_block
from stream.library import FileLibrary
from stream.meta import read_meta
from stream.steps import PartitionSteps
from tests.fakes import LinearScorer, MemoryLog, MemoryStore, OneLibrary
from tests.strategies import START, signal
from tests.stream.made import NOW, SEED, apply_log, make_data, some_signals, state_of
from tests.stream.test_laws import run


class Beside:
    """A challenger that notes what it was shown; `broken`: it gives no numbers."""

    kind = "stage"

    def __init__(self, revision, *, broken=False):
        self.revision, self.broken, self.shown = revision, broken, []

    def probabilities(self, rows):
        self.shown += rows.tolist()
        return np.full((len(rows), 6), np.nan if self.broken else 1 / 6)


class WithChallengers(OneLibrary):
    """A library with one scorer, and challengers by their digests."""

    def __init__(self, **challengers):
        super().__init__(LinearScorer())
        self.challengers = challengers

    def challenger(self, digest):
        if digest == "unusable":
            raise InvalidBundle("unusable: golden outputs required")
        return self.challengers[digest] if digest in self.challengers else super().challenger(digest)


def challenge(log, *digests):
    body = {"kind": "stage_challengers", "revision": "r", "digest": "d"}
    body["challengers"] = [{"revision": one, "digest": one} for one in digests]
    log.add(RecordKind.REVISION, msgspec.json.encode(body))


def a_log(*digests):
    """A log that names the challengers before its signals; another record of the same length where there are none."""
    log = MemoryLog()
    log.revision("principles", "a" * 64)
    log.revision("stage_model", "a" * 64)
    challenge(log, *digests)
    for number in range(40):
        data = (
            {"case": "A", "category": "net", "severity": 2}
            if number % 9 == 0
            else {"channel": "chat", "sentiment": -0.8}
        )
        kind = "case.opened" if number % 9 == 0 else "message.received"
        log.signal(signal(number, kind, START + number * 3_600_000, data, customer=f"c-{number % 4}"))
        log.tick(START + number * 3_600_000)
    return log


def outcome(store):
    return store.records, store.due, store.effects, store.obligations


@pytest.mark.parametrize(
    "digests", [("sound",), ("broken",), ("missing",), ("unusable",), ("sound", "broken", "missing")]
)
def test_no_challenger_changes_a_record_an_effect_or_what_is_due(digests):
    library = WithChallengers(sound=Beside("sound"), broken=Beside("broken", broken=True))
    assert outcome(run(a_log(*digests), [7], library=library)) == outcome(run(a_log(), [7], library=library))


def test_a_challenger_is_shown_every_row_of_the_champion_from_its_record_on():
    class Noting(LinearScorer):
        def __init__(self):
            super().__init__()
            self.shown = []

        def score(self, rows):
            self.shown += rows.tolist()
            return super().score(rows)

    library = WithChallengers(sound=Beside("sound"))
    champion = library._scorer = Noting()
    log = a_log("sound")
    for size in (1, 5, 1_000):
        library.challengers["sound"].shown.clear()
        champion.shown.clear()
        run(log, [size], library=library)
        assert champion.shown == library.challengers["sound"].shown != []


def test_the_latest_word_on_challengers_counts_and_is_known_again_after_a_restart():
    library = WithChallengers(one=Beside("one"), two=Beside("two"))
    log = a_log("one")
    challenge(log, "two")
    rows = len(log.records)
    log.signal(signal(900, "message.received", START + 10**9, {"channel": "chat", "sentiment": 0.5}, customer="c-1"))
    store = run(log, [rows], library=library)
    assert read_meta(store.body).challengers == {"stage_challengers": ["two"]}
    assert (len(library.challengers["one"].shown) > 0, len(library.challengers["two"].shown)) == (True, 1)
    again = PartitionSteps(0, store, library, TenantSettings())
    assert [one.revision for one in again._in_force.challengers] == ["two"]


def test_rows_are_counted_by_whether_they_were_scored():
    library = WithChallengers(sound=Beside("sound"), broken=Beside("broken", broken=True))
    store = MemoryStore()
    steps = PartitionSteps(0, store, library, TenantSettings())
    log = a_log("sound", "broken")
    counted = Counter()
    while (first := steps.next_offset) < len(log.records):
        applied = steps.apply(decode_block(Block(0, first, log.records[first:], True)), START)
        steps.write(applied)
        counted += applied.challenged
    assert counted["stage", "sound", "scored"] == counted["stage", "broken", "failed"] > 0
    assert counted["stage", "sound", "failed"] == counted["stage", "broken", "scored"] == 0


# ---- real bundles, the real stream ----------------------------------------------------------------------------------


def a_challenger(data, tmp_path, name="challenger", **changes):
    """An installed copy of the seed's stage model under another name."""
    seed = read_bundle(SEED / "stage")
    manifest = msgspec.structs.replace(seed.manifest, name=name, **changes)
    write_bundle(tmp_path / name, manifest, seed.golden, seed.model)
    return Registry(DataDir.existing(data).models_path).install(tmp_path / name)


def name_it(data, *digests):
    log = SignalLog(DataDir.existing(data))
    body = {"kind": "stage_challengers", "revision": "r", "digest": "d"}
    named = [{"revision": "r", "digest": one} for one in digests]
    log.append_record(RecordKind.REVISION, msgspec.json.encode({**body, "challengers": named}), NOW)
    log.close()


def applied(path, monkeypatch, tmp_path, spoil=lambda place: None, **options):
    """What the stream makes of a log that names a challenger, which is spoilt before it runs."""
    data = make_data(path, model=True)
    digest = a_challenger(data, tmp_path / path.name)
    name_it(data, digest)
    log = SignalLog(DataDir.existing(data), clock="signals")
    log.append(some_signals(200), NOW)
    log.close()
    spoil(DataDir.existing(data).models_path / digest)
    told = apply_log(data, monkeypatch, **options)
    assert told.dropped == []
    found, metas = state_of(data)
    return found.records_sha256, found.outbox_sha256, metas, scored(data, digest)


def scored(data, digest):
    """How many of the kept vectors hold what the champion gave, and how many what the challenger did."""
    reader = LabelledReader(DataDir.existing(data))
    try:
        kept = [one.served.scores for partition in (0, 1) for one in reader.examples(partition)]
    finally:
        reader.close()
    champion = read_bundle(SEED / "stage").revision
    return sum(champion in one for one in kept), sum(any(digest[:8] in name for name in one) for one in kept)


def truncate(place):
    (place / MODEL).write_bytes((place / MODEL).read_bytes()[:-100])


def flip(place):
    body = bytearray((place / MODEL).read_bytes())
    body[len(body) // 2] ^= 4
    (place / MODEL).write_bytes(bytes(body))


def remove(place):
    for file in place.iterdir():
        file.unlink()
    place.rmdir()


@pytest.mark.parametrize("spoil", [truncate, flip, remove], ids=lambda one: one.__name__)
def test_a_challenger_that_is_spoilt_on_the_disk_holds_nothing_up(tmp_path, monkeypatch, spoil):
    *sound, (kept, beside) = applied(tmp_path / "sound", monkeypatch, tmp_path)
    assert applied(tmp_path / "spoilt", monkeypatch, tmp_path, spoil) == (*sound, (kept, 0))
    assert kept == beside > 0


@pytest.mark.parametrize(("runner", "batch"), [("plain", 1), ("bytewax", 64)])
def test_neither_the_runner_nor_the_batches_show(tmp_path, monkeypatch, restored, runner, batch):
    one = applied(tmp_path / "one", monkeypatch, tmp_path, runner=runner, batch=batch)
    assert one == applied(tmp_path / "other", monkeypatch, tmp_path)


def test_a_challenger_whose_runtime_fails_gives_no_numbers_and_does_not_raise():
    bundle = read_bundle(SEED / "stage")
    challenger = ChallengerModel(bundle, fingerprint())
    assert np.isnan(challenger.probabilities(np.zeros((3, 2), np.float32))).all()  # of a width that it does not take
    assert not np.isnan(challenger.probabilities(np.zeros((3, len(bundle.manifest.features)), np.float32))).any()


def test_the_library_gives_challengers_by_digest(tmp_path):
    registry = Registry(tmp_path / "models")
    digest = registry.install(SEED / "churn")
    library = FileLibrary(tmp_path / "principles", tmp_path / "models")
    assert library.challenger(digest).kind == "churn"
    assert library.challenger(digest) is library.challenger(digest)
