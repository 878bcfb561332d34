from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np

from membrane.times import DAY
from training import rates
from training.latent import Latent


def test_the_stretches_of_a_step_cover_it_once_for_every_customer():
    latent = Latent(500, 0, 30 * DAY, np.random.default_rng(1))
    for end in range(DAY, 30 * DAY + 1, DAY):
        segments, changes = latent.advance(end)
        spans = defaultdict(list)
        for customer, begin, until in zip(segments.customer, segments.begin, segments.end, strict=True):
            spans[int(customer)].append((int(begin), int(until)))
        assert len(spans) == 500
        assert changes == sorted(changes)
        for pieces in map(sorted, spans.values()):
            assert pieces[0][0] == end - DAY
            assert pieces[-1][1] == end
            assert all(before[1] == after[0] for before, after in itertools.pairwise(pieces))


def test_moves_follow_the_published_graph_and_those_who_leave_stay_away():
    latent = Latent(2_000, 0, 100 * DAY, np.random.default_rng(2))
    _, changes = latent.advance(100 * DAY)
    left = set()
    for change in changes:
        assert change.customer not in left
        if change.before == rates.ABSENT:
            assert not latent.established[change.customer]
        else:
            assert change.after in (*rates.NEXT_STAGE[change.before][0], rates.ABSENT)
        if change.after == rates.ABSENT:
            left.add(change.customer)
    assert left


def test_dwell_times_have_their_mean():
    latent = Latent(20_000, 0, 200 * DAY, np.random.default_rng(3))
    _, changes = latent.advance(200 * DAY)
    spent = [c.t - c.since for c in changes if c.before == rates.CRISIS and c.t < 150 * DAY]
    assert abs(np.mean(spent) / DAY - rates.DWELL_MEAN_DAYS[rates.CRISIS]) < 0.25
