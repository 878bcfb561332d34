from __future__ import annotations

import json
from itertools import chain

import pytest

from cli.demo import BEGAN_DAYS_AGO
from cli.story import SHOP, STEPS, TENANT, events, neighbour
from membrane.ports import partition_of
from membrane.signals import check


def test_every_signal_of_the_story_is_sound_and_in_order():
    told = [event for number, step in enumerate(STEPS) for event in events(step, number, 1_700_000_000_000, "beside")]
    checked = [check(json.dumps(event).encode(), TENANT) for event in told]
    assert all(signal.typed is not None for signal in checked)
    times = [signal.stored.time for signal in checked]
    assert times == sorted(times)
    assert len({event["id"] for event in told}) == len(told)


@pytest.mark.parametrize("partitions", [1, 2, 8, 64])
def test_the_neighbour_lives_in_the_partition_of_the_shop(partitions):
    name = neighbour(partitions)
    assert name != SHOP
    assert partition_of(TENANT, name, partitions) == partition_of(TENANT, SHOP, partitions)


def test_every_step_is_told_in_both_languages_and_expects_something():
    assert all(set(step.title) == {"en", "es"} and step.expected.verdicts for step in STEPS)
    asked = [{candidate["id"] for candidate in step.candidates} for step in STEPS]
    assert all(set(step.expected.verdicts) <= ids for step, ids in zip(STEPS, asked, strict=True))


def test_the_story_plays_within_the_months_before_now():
    last = max(happening.at for happening in chain.from_iterable(step.happenings for step in STEPS))
    assert last < BEGAN_DAYS_AGO * 86_400_000
