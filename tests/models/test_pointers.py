from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.errors import MembraneError, StoreRefused, UsageError
from models.gate import Check
from models.pointers import FILE, KEPT_CHANGES, MOST_CHALLENGERS, PointerFile, Pointers, Said, name_challenger

A, B, C, D, E = (letter * 64 for letter in "abcde")
SAID = Said("ana", "2026-11-23T10:00:00Z", "better")


def test_a_promotion_keeps_who_when_why_and_how_each_check_came_out():
    check = Check("log-loss", False, -0.1, "< 0")
    forced = Said("ana", "2026-11-23T10:00:00Z", "we know better", forced=True)
    pointers = (
        Pointers().put_in_force("promote", "churn", A, SAID).put_in_force("promote", "churn", B, forced, (check,))
    )
    assert (pointers.churn.champion, pointers.churn.before, pointers.stage.champion) == (B, (A,), None)
    change = pointers.history[-1]
    assert (change.act, change.digest, change.previous, change.said, change.checks) == (
        "promote",
        B,
        A,
        forced,
        (check,),
    )


def test_a_rollback_goes_back_one_champion_at_a_time_and_no_further():
    pointers = Pointers()
    for digest in (A, B, C):
        pointers = pointers.put_in_force("promote", "stage", digest, SAID)
    once = pointers.rolled_back("stage", SAID)
    twice = once.rolled_back("stage", SAID)
    assert (once.stage.champion, twice.stage.champion) == (B, A)
    assert all(twice.stage.has_answered(digest) for digest in (A, B, C))
    with pytest.raises(UsageError, match="there was none"):
        twice.rolled_back("stage", SAID)


def test_a_challenger_that_is_promoted_challenges_no_more():
    pointers = Pointers().put_in_force("install", "stage", A, SAID).challenged("stage", B, SAID)
    assert pointers.put_in_force("promote", "stage", B, SAID).stage.challengers == ()


def test_challengers_are_few_and_none_is_named_twice():
    pointers = Pointers().put_in_force("install", "stage", A, SAID)
    for digest in (B, C, D):
        pointers = pointers.challenged("stage", digest, SAID)
    assert len(pointers.stage.challengers) == MOST_CHALLENGERS
    with pytest.raises(UsageError, match="at most 3 challengers"):
        pointers.challenged("stage", E, SAID)
    for digest in (A, B):
        with pytest.raises(UsageError, match="already"):
            pointers.challenged("stage", digest, SAID)
    left = pointers.withdrawn("stage", C, SAID)
    assert [one.digest for one in left.stage.challengers] == [B, D]
    with pytest.raises(UsageError, match="is none"):
        left.withdrawn("stage", C, SAID)


@given(st.lists(st.tuples(st.sampled_from("prcw"), st.sampled_from([A, B, C, D, E])), max_size=40))
def test_whatever_is_done_the_champion_is_no_challenger_and_places_are_bounded(acts):
    pointers = Pointers()
    for act, digest in acts:
        try:
            pointers = {
                "p": lambda now, one: now.put_in_force("promote", "churn", one, SAID),
                "r": lambda now, _: now.rolled_back("churn", SAID),
                "c": lambda now, one: now.challenged("churn", one, SAID),
                "w": lambda now, one: now.withdrawn("churn", one, SAID),
            }[act](pointers, digest)
        except UsageError:
            continue
        now = pointers.churn
        named = [one.digest for one in now.challengers]
        assert now.champion not in named
        assert len(set(named)) == len(named) <= MOST_CHALLENGERS
        assert now.champion not in {*now.before, *now.retired}
        assert len(set(now.before)) == len(now.before)


def test_the_history_is_bounded():
    pointers = Pointers().put_in_force("install", "stage", A, SAID)
    for _ in range(KEPT_CHANGES):
        pointers = pointers.challenged("stage", B, SAID).withdrawn("stage", B, SAID)
    assert len(pointers.history) == KEPT_CHANGES


def test_the_file_reads_back_and_nothing_is_named_while_there_is_none(tmp_path):
    file = PointerFile(tmp_path / "models")
    assert (file.read(), file.stamp()) == (Pointers(), (0, 0))
    changed = file.change(lambda now: now.put_in_force("install", "stage", A, SAID))
    assert file.read() == changed
    assert file.stamp() != (0, 0)


@pytest.mark.parametrize("body", [b"", b"{", b'{"format": 2}', b'{"stag": {}}', b"\xff"])
def test_a_file_that_cannot_be_understood_is_refused_and_left_as_it_is(tmp_path, body):
    (tmp_path / FILE).write_bytes(body)
    with pytest.raises(StoreRefused, match="mend or remove it"):
        PointerFile(tmp_path).change(lambda now: now)
    assert (tmp_path / FILE).read_bytes() == body


def test_a_change_that_is_refused_leaves_the_file_and_nothing_beside_it(tmp_path):
    file = PointerFile(tmp_path)
    file.change(lambda now: now.put_in_force("install", "stage", A, SAID))
    before = sorted(tmp_path.iterdir()), (tmp_path / FILE).read_bytes()
    with pytest.raises(MembraneError):
        file.change(lambda now: now.rolled_back("stage", SAID))
    assert (sorted(tmp_path.iterdir()), (tmp_path / FILE).read_bytes()) == before


def test_changes_at_the_same_time_are_all_kept(tmp_path):
    file = PointerFile(tmp_path)

    def challenge(digest):
        PointerFile(tmp_path).change(lambda now: now.challenged("stage", digest, SAID))

    threads = [threading.Thread(target=challenge, args=(digest,)) for digest in (A, B, C)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.digest for one in file.read().stage.challengers} == {A, B, C}


def test_a_learner_replaces_its_own_challenger_and_nobody_elses(tmp_path):
    by_hand, learner = SAID, Said("learner", "2026-11-23T11:00:00Z")
    name_challenger(tmp_path, "churn", A, by_hand)
    for digest in (B, C, D):
        name_challenger(tmp_path, "churn", digest, learner)
    assert [one.digest for one in PointerFile(tmp_path).read().churn.challengers] == [A, D]
