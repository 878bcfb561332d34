"""The deadline of one decision."""

import pytest

from membrane.deadline import Deadline, OutOfTime


def test_a_deadline_that_has_passed_is_not_asked_again():
    answers = iter([False, True])
    deadline = Deadline(lambda: next(answers))
    deadline.check()
    assert not deadline.passed
    for _ in range(3):
        with pytest.raises(OutOfTime):
            deadline.check()
    assert deadline.passed


def test_there_need_be_none():
    Deadline().check()
