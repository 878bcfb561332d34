"""A learner that is killed again and again ends with the parameters of one that never was."""

from __future__ import annotations

import pytest

from tests.training.test_learner import kill_and_compare

pytestmark = pytest.mark.faults


def test_a_learner_killed_twenty_times_knows_what_a_clean_run_knows(tmp_path, tell):
    inside = kill_and_compare(tmp_path, kills=20, count=6_000, seed=5)
    assert inside >= 15
    tell(f"learner: 6,000 labels, 20 SIGKILLs ({inside} while learning), parameters and window equal to the bit")
