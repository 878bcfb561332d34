from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from storage.directory import DataDir
from storage.learner import LearnerStore
from tests.training.learning import COLUMNS, WIDTH, Rows, examples
from training.learner import Learner, Options
from training.merging import Merged
from training.prequential import TREES
from training.publishing import Columns, install

ROOT = Path(__file__).parents[2]
ALL = 2**62


class Heard:
    """A sink that remembers."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *what: self.told.append((name, *what))


def learner(
    store, rows, *, every_labels=200, every_seconds=1e9, trees_every=0, columns=COLUMNS, partitions=4, now=lambda: 0.0
):
    options = Options(every_labels=every_labels, every_seconds=every_seconds, trees_every=trees_every)
    return Learner(
        store, lambda places: Merged(rows, places, lambda: ALL), columns, options,
        partitions=4, sink=Heard(), now=now,
    )  # fmt: skip


def known(store):
    """Everything in the store."""
    targets = {kind: (store.target(kind), store.recent(kind)) for kind in ("stage", "churn")}
    customers = [("default", f"c-{number}") for number in range(40)]
    return store.places(), targets, [store.previous(kind, who) for kind in targets for who in customers]


def learned(data, rows, *, kill_before=lambda: False):
    """Learns all there is, a new learner wherever it is to be killed; what the store then knows."""
    directory = DataDir.open(data, 4)
    while True:
        with closing(LearnerStore.open(directory)) as store:
            one = learner(store, rows)
            while not kill_before():
                for kind in one.due():
                    one.published(kind, one.draft(kind))
                if not one.step():
                    return known(store)


def test_everything_is_learned_once_whatever_cuts_it(tmp_path):
    rows, dice = Rows(examples(700)), random.Random(2)
    clean = learned(tmp_path / "clean", rows)
    cut = learned(tmp_path / "cut", rows, kill_before=lambda: dice.random() < 0.4)
    assert cut == clean


def test_a_step_that_the_store_does_not_take_is_made_again(tmp_path, monkeypatch):
    """Killed anywhere before the commit is done: memory is lost, and the next process begins where the store is."""
    rows = Rows(examples(600))
    clean = learned(tmp_path / "clean", rows)
    commit, fails = LearnerStore.commit, iter([False, True, False, True, True] + [False] * 100)

    def failing(store, step):
        if next(fails):
            raise InterruptedError
        commit(store, step)

    monkeypatch.setattr(LearnerStore, "commit", failing)
    while True:
        try:
            assert learned(tmp_path / "cut", rows) == clean
            break
        except InterruptedError:
            continue


def test_a_target_is_published_after_so_many_labels_and_at_the_end(tmp_path):
    directory = DataDir.open(tmp_path, 4)
    with closing(LearnerStore.open(directory)) as store:
        one = learner(store, Rows(examples(500)), every_labels=60)
        published = []
        while one.step():
            for kind in one.due():
                bundle = one.draft(kind)
                one.published(kind, bundle)
                published.append((kind, one.learners[kind].learned, bundle.manifest.parent))
        assert {count % 60 for _, count, _ in published} == {0}
        assert [parent is None for kind, _, parent in published if kind == "stage"] == [True, False, False, False]
        assert one.due(at_end=True) == ["stage", "churn"]


def test_time_publishes_what_is_new_if_it_is_enough(tmp_path):
    clock = [0.0]
    with closing(LearnerStore.open(DataDir.open(tmp_path, 4))) as store:
        one = learner(store, Rows(examples(400)), every_labels=1_000, every_seconds=600, now=lambda: clock[0])
        while one.step():
            pass
        assert one.due() == []
        clock[0] = 601.0
        assert one.due() == ["stage", "churn"]
        one.published("stage", one.draft("stage"))
        clock[0] = 1_300.0
        assert one.due() == ["churn"]


def test_trees_are_due_after_so_many_labels_and_answer_from_then_on_after_a_restart_too(tmp_path):
    rows, directory = Rows(examples(500)), DataDir.open(tmp_path, 4)
    with closing(LearnerStore.open(directory)) as store:
        one = learner(store, rows, trees_every=100)
        while not one.trees_due():
            one.step()
        [kind] = one.trees_due()
        assert one.learners[kind].learned == 100
        one.grown(kind, install(directory.models_path, one.draft(kind)))
        one.step()
        assert [TREES in answered.answers for answered in one.learners[kind].window][99:101] == [False, True]
    with closing(LearnerStore.open(directory)) as store:
        again = learner(store, rows, trees_every=100)
        assert again.reached.trees[kind] == one.reached.trees[kind]
        again.grown(kind, None)
        assert again.reached.trees[kind].digest == one.reached.trees[kind].digest
        assert kind not in again.trees_due()


def test_too_few_labels_or_one_class_alone_are_not_published(tmp_path):
    of_one = [msgspec.structs.replace(row, label=0) for row in examples(400)]
    for name, rows in (("few", list(examples(60))), ("one", of_one)):
        with closing(LearnerStore.open(DataDir.open(tmp_path / name, 4))) as store:
            one = learner(store, Rows(rows))
            while one.step():
                pass
            assert one.due(at_end=True) == []


def test_an_export_that_is_refused_is_counted_and_not_tried_again_with_the_same_labels(tmp_path, monkeypatch):
    with closing(LearnerStore.open(DataDir.open(tmp_path, 4))) as store:
        one = learner(store, Rows(examples(300)))
        while one.step():
            pass
        target = one.learners["stage"]
        monkeypatch.setattr(target, "probabilities", lambda rows: np.full((len(rows), 6), 1 / 6))
        bundle = one.draft("stage")
        one.published("stage", bundle)
        assert bundle is None
        assert one.reached.refused == {"stage": 1}
        assert ("refused", "stage") in one._sink.told
        assert one.due(at_end=True) == ["churn"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"synthetic": True}, "synthetic"),
        ({"fingerprint": "0" * 64}, "other_features"),
        ({"features": (float("nan"),) * WIDTH}, "unusable"),
        ({"features": (float("inf"),) * WIDTH}, "unusable"),
        ({"features": (1.0,)}, "unusable"),
        ({"label": 6}, "unusable"),
        ({"label": -1}, "unusable"),
        ({"weight": 0.0}, "unusable"),
        ({"weight": float("nan")}, "unusable"),
    ],
)
def test_what_cannot_be_learned_from_is_passed_over_and_counted(tmp_path, change, reason):
    rows = list(examples(120))
    rows[50] = msgspec.structs.replace(rows[50], **change)
    with closing(LearnerStore.open(DataDir.open(tmp_path, 4))) as store:
        one = learner(store, Rows(rows))
        while one.step():
            pass
        assert one.reached.skipped == {reason: 1}
        assert one.passed() == 120


def test_other_features_are_learned_anew_behind_the_same_place(tmp_path):
    rows, directory = list(examples(300)), DataDir.open(tmp_path, 4)
    with closing(LearnerStore.open(directory)) as store:
        one = learner(store, Rows(rows))
        while one.step():
            pass
    more = [
        msgspec.structs.replace(row, number=row.number + 300, fingerprint="0" * 64) for row in examples(100, seed=9)
    ]
    with closing(LearnerStore.open(directory)) as store:
        one = learner(store, Rows([*rows, *more]), columns=Columns(COLUMNS.names, "0" * 64))
        while one.step():
            pass
        assert sum(target.learned for target in one.learners.values()) == 100


def test_memory_and_the_store_are_bounded(tmp_path):
    """Two halves of a stream: what is kept of the second is no more than of the first."""
    rows = list(examples(5_000))
    sizes = []
    with closing(LearnerStore.open(DataDir.open(tmp_path, 4))) as store:
        for end in (2_500, 5_000):
            one = learner(store, Rows(rows[:end]))
            while one.step():
                pass
            sizes.append(
                {k: (len(store.target(k)), len(store.recent(k)), len(t.window)) for k, t in one.learners.items()}
            )
    for first, second in zip(sizes[0].values(), sizes[1].values(), strict=True):
        assert second[1:] == first[1:] == (1_000, 1_000)
        assert first[0] < second[0] < 60_000


def test_a_killed_process_learns_nothing_twice(tmp_path):
    kill_and_compare(tmp_path, kills=2, count=1_500, seed=1)


def kill_and_compare(folder, *, kills, count, seed):
    """SIGKILLs a learning process so many times at moments drawn from the seed; what it knows in the end is what a
    process knows that nobody killed. Returns how many of the kills came while it was learning."""
    dice, inside = random.Random(seed), 0
    with _learning(folder / "clean", count) as process:
        began = time.monotonic()
        assert process.wait(240) == 0
        whole = time.monotonic() - began
    for _ in range(kills):
        with _learning(folder / "killed", count) as process:
            time.sleep(dice.random() * 1.5 * whole / kills)
            inside += process.poll() is None
            process.kill()
    with _learning(folder / "killed", count) as process:
        assert process.wait(240) == 0
    stores = []
    for name in ("clean", "killed"):
        with closing(LearnerStore.open(DataDir.open(folder / name, 4))) as store:
            stores.append(known(store))
    assert stores[1] == stores[0]
    return inside


@contextmanager
def _learning(data, count):
    """A process that has begun to learn."""
    words = [sys.executable, "-m", "tests.training.learning_process", str(data), str(count)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"learning\n"
        yield process
