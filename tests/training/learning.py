"""Labelled examples for tests of the learner, made by a rule from a seed, and a reader of them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from membrane.labelled import Labelled
from training.publishing import Columns

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


def examples(count, *, partitions=4, seed=3, turns_at=None):
    """So many examples of both targets over the partitions, a minute apart; from `turns_at` on, labels are given by
    another rule. The times of a partition do not always rise."""
    random = np.random.default_rng(seed)
    rows = (random.normal(0, 1, (count, WIDTH)) * [1, 10, 0.1, 1, 1]).astype(np.float32)
    stage, churn = random.normal(0, 1, (2, WIDTH, 6))[0], random.normal(0, 1, WIDTH)
    scaled = rows / [1, 10, 0.1, 1, 1]
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
            fingerprint=COLUMNS.fingerprint,
            features=tuple(rows[i].tolist()),
            target="stage" if is_stage else "churn",
            label=int((logits + random.gumbel(0, 1, len(logits))).argmax()),
            weight=float(random.choice([1.0, 0.5, 0.3])),
            by="horizon",
            about=i * 60_000,
            labelled_at=max(0, i + int(random.integers(-3, 4))) * 60_000,
        )
