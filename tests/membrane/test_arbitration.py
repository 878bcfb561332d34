"""Arbitration among candidates that persuade."""

from hypothesis import given
from hypothesis import strategies as st

from membrane.arbitration import Contender, group_of, score, winner

contenders = st.lists(
    st.builds(
        Contender, st.text("abc", min_size=1, max_size=3), st.sampled_from([0.0, 0.5, 1.0, 2.0]), owed=st.booleans()
    ),
    max_size=6,
    unique_by=lambda one: one.candidate,
)


def test_the_score_is_propensity_times_value_and_what_is_missing_counts_as_one():
    assert score(0.5, 10.0) == 5.0
    assert score(None, 10.0) == 10.0
    assert score(0.5, None) == 0.5
    assert score(None, None) == 1.0
    assert score(0.0, 10.0) == 0.0


def test_the_highest_score_wins_and_a_tie_goes_to_the_smallest_id():
    assert winner([Contender("b", 1.0), Contender("a", 2.0)]) == "a"
    assert winner([Contender("b", 1.0), Contender("a", 1.0)]) == "a"


def test_what_is_owed_goes_before_what_is_only_wished():
    assert winner([Contender("upsell", 100.0), Contender("rescue", 0.1, owed=True)]) == "rescue"


def test_a_score_is_always_a_number_that_can_be_compared():
    """1e308 in a good moment, of a department whose lever takes it out of the race, came to no number at all."""
    assert score(None, 1e308, 1000.0, 0.0) == 0.0
    assert score(None, -1e308, 1000.0) < score(None, 1.0) < score(None, 1e308, 1000.0) < float("inf")


def test_nobody_wins_among_nobody():
    assert winner([]) is None


@given(contenders, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(found, random):
    shuffled = found.copy()
    random.shuffle(shuffled)
    assert winner(found) == winner(shuffled)


def test_groups_are_by_domain_all_together_or_none():
    assert group_of("per_domain", "sales") == "sales"
    assert group_of("one", "sales") == group_of("one", "marketing")
    assert group_of("none", "sales") is None
