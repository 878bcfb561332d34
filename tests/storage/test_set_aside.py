"""Dead letters: one is forgotten only with the signal that came of it, and no two ever have the same number."""

from __future__ import annotations

from dataclasses import replace

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import StoreUnavailable
from storage import set_aside
from storage.directory import DataDir
from storage.log import SignalLog
from storage.set_aside import NewDeadLetter


def letters(*ids: str) -> list[NewDeadLetter]:
    return [NewDeadLetter("unknown_type", "t", "c-1", 0, "crm", one, b'{"subject": "c-1"}') for one in ids]


def numbers(log: SignalLog) -> list[int]:
    return [letter.seq for letter in log.dead_letters(100)]


def trim(log: SignalLog) -> None:
    log.trim(0, 0, 2**40)


def erase(log: SignalLog) -> None:
    log.erase("t", "c-1", 1, 1)


def send_again(log: SignalLog) -> None:
    log.send_again([], log.dead_letters(1), 1)


@given(steps=st.lists(st.sampled_from(["set aside", "poison", trim, erase, send_again]), max_size=8))
def test_a_number_is_never_given_twice(tmp_path_factory, steps):
    log = SignalLog(DataDir.open(tmp_path_factory.mktemp("data"), 1))
    given_to: dict[int, tuple[object, ...]] = {}
    for moment, step in enumerate(["set aside", *steps, "set aside"]):
        if step == "set aside":
            log.append([], moment, letters(f"{moment}-a", f"{moment}-b"))
        elif step == "poison":
            log.tick(moment * 20_000)
            log.poison(0, log.end(0) - 1, moment)
        else:
            step(log)
        for letter in log.dead_letters(100):
            assert given_to.setdefault(letter.seq, (letter.id, letter.received_ms)) == (letter.id, letter.received_ms)
    log.close()


def test_whoever_replays_the_same_letters_later_drops_none_that_came_meanwhile(log, make_signal):
    log.append([], 1, letters("1", "2", "3"))
    read_by_both, signals = log.letters_after(0, 500), [make_signal(number) for number in "123"]
    assert log.send_again(signals, read_by_both, 2) == [True] * 3
    log.append([], 3, letters("4"))
    assert log.send_again(signals, read_by_both, 4) == [False] * 3
    assert [letter.id for letter in log.dead_letters(9)] == ["4"]


@pytest.mark.parametrize("other", [{"received_ms": 7}, {"source": "shop"}, {"id": "9"}])
def test_a_letter_of_the_same_number_that_is_another_one_stays(log, other):
    """Versions of before gave numbers again."""
    log.append([], 1, letters("1"))
    [letter] = log.dead_letters(9)
    log.send_again([], [replace(letter, **other)], 2)
    assert log.dead_letters(9) == [letter]


def test_a_letter_goes_with_its_signal_or_not_at_all(log, make_signal, monkeypatch):
    log.append([], 1, letters("1"))
    [letter] = log.dead_letters(9)

    def fail(*_):
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(set_aside, "drop", fail)
        with pytest.raises(StoreUnavailable):
            log.send_again([make_signal("1")], [letter], 2)
    assert log.dead_letters(9) == [letter]
    assert log.send_again([make_signal("1")], [letter], 3) == [True]
    assert log.dead_letters(9) == []


def test_the_letters_of_a_directory_of_before_keep_their_numbers_and_new_ones_come_after(log):
    with apsw.Connection(str(log.directory.log_path)) as connection:
        connection.execute("INSERT INTO dead_letters VALUES(41, 'unknown_type', 1, 't', 0, 'crm', '1', x'', NULL)")
    log.append([], 2, letters("2"))
    assert numbers(log) == [42, 41]
