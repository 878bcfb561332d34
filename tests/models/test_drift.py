from __future__ import annotations

import random

import msgspec

from models.drift import MOST_VALUES, Detector, Watch


def run(values, cuts=()):
    """Which of the values showed a change; at each of `cuts` the detector is made again from what it keeps."""
    detector, found = Detector(Watch(0.002)), []
    for number, value in enumerate(values):
        if number in cuts:
            detector = Detector(msgspec.json.decode(msgspec.json.encode(detector.watch), type=Watch))
        if detector.update(value):
            found.append(number)
        assert len(detector.watch.values) <= MOST_VALUES
    return found, detector.watch


def errors(seed, *stretches):
    dice = random.Random(seed)
    return [float(dice.random() < share) for share, count in stretches for _ in range(count)]


def test_a_change_of_the_error_is_found_soon_and_once():
    found, watch = run(errors(1, (0.1, 1_000), (0.5, 600)))
    assert len(found) == watch.detections == 1
    assert 1_000 <= found[0] < 1_150


def test_a_change_is_found_after_the_window_has_been_cut_many_times():
    assert run(errors(2, (0.1, 9_000), (0.5, 400)))[0][-1] >= 9_000


def test_an_error_that_falls_is_no_drift():
    detector = Detector(Watch(0.002, rises=True))
    assert not any(detector.update(value) for value in errors(6, (0.6, 800), (0.1, 800)))
    assert any(detector.update(value) for value in errors(7, (0.5, 300)))
    assert detector.watch.detections == 1


def test_no_change_is_found_where_there_is_none():
    assert sum(len(run(errors(seed, (0.2, 4_000)))[0]) for seed in range(5)) <= 1


def test_a_detector_made_again_from_what_it_keeps_finds_the_same():
    dice = random.Random(5)
    for seed in range(5):
        values = errors(seed, (0.1, 1_500), (0.4, 700), (0.1, 900))
        cuts = set(dice.sample(range(len(values)), 40))
        assert run(values, cuts) == run(values)
