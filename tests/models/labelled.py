"""Labelled examples of made-up customers, and bundles that know more or less about them."""

from __future__ import annotations

import numpy as np

from membrane.labelled import Labelled

MADE = 1_795_000_000_000  # after the bundles of the tests were made


def examples(random, coef, *, count=600, customers=120, fingerprint, target="stage", weight=1.0, at=MADE):
    """Examples whose labels follow softmax(features @ coef.T), by customer and time."""
    rows = random.normal(0, 2, (count, coef.shape[1])).astype(np.float32)
    odds = np.exp(rows.astype(float) @ coef.T)
    odds /= odds.sum(axis=1, keepdims=True)
    labels = [int(random.choice(len(coef), p=one)) for one in odds]
    return [
        Labelled(
            partition=number % 2, number=number, tenant="default", customer=f"c-{number % customers}", offset=number,
            time=at + number, fingerprint=fingerprint, features=tuple(map(float, row)), target=target, label=label,
            weight=weight, by="label.given", about=at + number, labelled_at=at + number + 1,
        )
        for number, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]  # fmt: skip
