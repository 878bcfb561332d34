from __future__ import annotations

from itertools import accumulate, cycle

import numpy as np
import pytest

from membrane.errors import InvalidBundle
from models.admission import BATCH, admit, measure_latency
from models.signing import ModelKeys

NO_KEYS = ModelKeys([])


def test_a_sound_bundle_of_the_right_kind_and_features_gets_in(maker):
    bundle = maker.write()
    model = admit(bundle, NO_KEYS, maker.fingerprint, kind="stage")
    assert admit(bundle, NO_KEYS, maker.fingerprint, digest=model.bundle.digest).bundle == model.bundle


def test_what_is_asked_for_must_be_what_is_there(maker):
    bundle = maker.write()
    with pytest.raises(InvalidBundle, match="kind churn required"):
        admit(bundle, NO_KEYS, maker.fingerprint, kind="churn")
    with pytest.raises(InvalidBundle, match="sha256"):
        admit(bundle, NO_KEYS, maker.fingerprint, digest="0" * 64)
    with pytest.raises(InvalidBundle, match="feature fingerprint"):
        admit(bundle, NO_KEYS, "e" * 64)


def test_the_latency_is_that_of_the_quickest_call(maker):
    model = admit(maker.write(), NO_KEYS, maker.fingerprint)
    clock = accumulate(cycle((0.0, 512e-6, 0.0, 256e-6)))
    found = measure_latency(model, np.zeros((3, len(maker.features)), np.float32), clock.__next__)
    assert (found.batch_row, found.one_row) == (256 / BATCH, 256)
