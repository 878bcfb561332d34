from __future__ import annotations

import random

import msgspec
import pytest

from models.drift import DELTA_ERROR, DELTA_FEATURE, Detector, Watch, squashed


def again(detector):
    """The detector made again from what is saved of it."""
    return Detector(msgspec.json.decode(msgspec.json.encode(detector.watch()), type=Watch))


def run(values, cuts=(), delta=DELTA_ERROR):
    """Which of the values showed a change; at each of `cuts` the detector is made again from what it keeps."""
    detector, found = Detector(Watch(delta)), []
    for number, value in enumerate(values):
        if number in cuts:
            detector = again(detector)
        if detector.update(value):
            found.append(number)
    return found, detector.watch()


def errors(seed, *stretches):
    dice = random.Random(seed)
    return [float(dice.random() < share) for share, count in stretches for _ in range(count)]


def feature(seed, *stretches):
    dice = random.Random(seed)
    return [squashed(dice.gauss(mean, 1.0)) for mean, count in stretches for _ in range(count)]


def test_a_change_of_the_error_is_found_soon_and_once():
    found, watch = run(errors(1, (0.1, 1_000), (0.5, 600)))
    assert len(found) == watch.detections == 1
    assert 1_000 <= found[0] < 1_150


@pytest.mark.parametrize("seed", range(5))
def test_a_small_rise_is_found_after_many_labels_and_where_there_is_none_none_is(seed):
    """A window of the latest thousand would not show it."""
    assert run(errors(seed, (0.2, 8_000)))[0] == []
    [found] = run(errors(seed, (0.2, 8_000), (0.27, 2_000)))[0]
    assert 8_000 <= found < 9_500


@pytest.mark.parametrize("seed", range(5))
def test_a_feature_that_moves_is_found_and_one_that_does_not_is_not(seed):
    assert run(feature(seed, (0.0, 8_000)), delta=DELTA_FEATURE)[0] == []
    [found] = run(feature(seed, (0.0, 8_000), (0.3, 1_500)), delta=DELTA_FEATURE)[0]
    assert 8_000 <= found < 9_000


def test_an_error_that_falls_is_no_drift():
    detector = Detector(Watch(DELTA_ERROR, rises=True))
    assert not any(detector.update(value) for value in errors(6, (0.6, 800), (0.1, 800)))
    assert any(detector.update(value) for value in errors(7, (0.5, 300)))
    assert detector.watch().detections == 1


def test_what_is_kept_grows_with_the_logarithm_of_the_labels():
    sizes = [len(run(errors(8, (0.2, count)))[1].window) for count in (1_000, 10_000, 100_000)]
    assert sizes[2] - sizes[1] <= 2 * (sizes[1] - sizes[0])
    assert sizes[2] < 4_000


def test_a_detector_made_again_from_what_it_keeps_finds_the_same():
    dice = random.Random(5)
    for seed in range(5):
        values = errors(seed, (0.1, 1_500), (0.4, 700), (0.1, 900))
        cuts = set(dice.sample(range(len(values)), 40))
        assert run(values, cuts) == run(values)


def test_what_another_version_of_river_packed_is_not_opened():
    kept = run(errors(9, (0.1, 1_000)))[1]
    other = msgspec.structs.replace(kept, version="0.0.1", window=b"\xff" * 40)
    detector = Detector(other)
    assert not any(detector.update(value) for value in errors(9, (0.5, 600)))
    assert detector.watch().version == kept.version
