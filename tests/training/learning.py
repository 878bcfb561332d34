"""Labelled examples for tests of the learner, made by a rule from a seed, and a reader of them."""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import closing

import msgspec
import numpy as np

from membrane.examples import WHOLE, Served
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.labelled import TARGETS, Labelled
from membrane.ports import Commit, Learned
from storage.directory import DataDir
from storage.records import RecordStore
from training.publishing import Columns

OURS = Columns(FEATURE_NAMES, fingerprint())
COLUMNS = Columns(("tone_mean_7d", "open_cases", "third", "fourth", "fifth"), "f" * 64)
WIDTH = len(COLUMNS.names)


class Rows:
    """An in-memory `LabelledRows`."""

    def __init__(self, examples):
        self.by_partition = {}
        for one in examples:
            self.by_partition.setdefault(one.partition, []).append(one)

    def after(self, partition, number, limit):
        return [one for one in self.by_partition.get(partition, []) if one.number > number][:limit]


def examples(count, *, partitions=4, seed=3, turns_at=None, columns=COLUMNS):
    """So many examples of both targets over the partitions, a minute apart; from `turns_at` on, labels are given by
    another rule. The times of a partition do not always rise."""
    random = np.random.default_rng(seed)
    width = len(columns.names)
    units = np.resize([1, 10, 0.1, 1, 1], width)
    rows = (random.normal(0, 1, (count, width)) * units).astype(np.float32)
    stage, churn = random.normal(0, 1, (2, WIDTH, 6))[0], random.normal(0, 1, WIDTH)
    scaled = (rows / units)[:, :WIDTH]
    numbers = Counter()
    for i in range(count):
        partition = int(random.integers(partitions))
        turned = -1 if turns_at is not None and i >= turns_at else 1
        is_stage = bool(random.integers(2))
        logits = turned * 2 * scaled[i] @ (stage if is_stage else np.outer(churn, [-1, 1]))
        numbers[partition] += 1
        yield Labelled(
            partition=partition,
            number=numbers[partition],
            tenant="default",
            customer=f"c-{random.integers(40)}",
            offset=i,
            time=i * 60_000,
            fingerprint=columns.fingerprint,
            features=tuple(rows[i].tolist()),
            target="stage" if is_stage else "churn",
            label=int((logits + random.gumbel(0, 1, len(logits))).argmax()),
            weight=float(random.choice([1.0, 0.5, 0.3])),
            by="horizon",
            about=i * 60_000,
            labelled_at=max(0, i + int(random.integers(-3, 4))) * 60_000,
        )


def write(data, rows, *, settled):
    """Puts examples into the stores of a data directory of four partitions, as a stream does whose ticks are applied up
    to `settled` (epoch ms)."""
    directory = DataDir.open(data, 4)
    for partition in range(4):
        learned = Learned()
        for one in rows:
            if one.partition == partition:
                _add(learned, one)
        meta = msgspec.json.encode({"fired_until": settled})
        with closing(RecordStore.open_for_writing(directory, partition)) as store:
            store.commit(Commit(learned=learned, meta=meta, next_offset=len(rows)))


def _add(learned, one):
    body = msgspec.msgpack.encode(Served(array("f", one.features).tobytes(), one.fingerprint))
    label = (TARGETS.index(one.target), one.label, round(one.weight * WHOLE), one.by, one.about, one.labelled_at)
    learned.examples.append((one.offset, one.tenant, one.customer, one.time, None, body))
    learned.labels.append((one.number, *label, one.offset, -1))
