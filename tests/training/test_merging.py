from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.training.learning import Rows, examples
from training.merging import Merged, Place

ALL = 2**62


def drained(merged):
    merged.look()
    return list(iter(merged.next, None))


def keys(rows):
    return [(one.partition, one.number) for one in rows]


def test_examples_come_by_the_time_of_their_partition_so_far():
    given_out = drained(Merged(Rows(examples(700)), [Place() for _ in range(4)], lambda: ALL))
    reached, order = {}, []
    for one in given_out:
        reached[one.partition] = max(reached.get(one.partition, 0), one.labelled_at)
        order.append((reached[one.partition], one.partition, one.number))
    assert len(given_out) == 700
    assert order == sorted(order)


def test_none_is_given_out_before_every_partition_has_passed_its_time():
    merged = Merged(Rows(examples(100)), [Place() for _ in range(4)], lambda: 50 * 60_000)
    given_out = drained(merged)
    assert 0 < len(given_out) < 100
    assert max(one.labelled_at for one in given_out) < 50 * 60_000


@given(
    watermarks=st.lists(st.integers(0, 130), max_size=6),
    stops=st.lists(st.integers(0, 60), max_size=6),
    partitions=st.integers(1, 5),
)
def test_the_order_does_not_depend_on_when_the_examples_come_nor_on_restarts(watermarks, stops, partitions):
    """Law: what is settled when it is looked at, and where the reader is taken down, changes nothing."""
    every = list(examples(120, partitions=partitions))
    whole = keys(drained(Merged(Rows(every), [Place() for _ in range(partitions)], lambda: ALL)))
    places, found = [Place() for _ in range(partitions)], []
    for watermark, stop in zip([*sorted(watermarks), 10**6], [*stops, *[10**6] * 7], strict=False):
        until = watermark * 60_000
        # Only what has been written by now can be read, in each partition as far as its clock has come and a bit more.
        written = [one for one in every if one.offset < watermark + 4]
        merged = Merged(Rows(written), places, lambda until=until: until)
        merged.look()
        for _ in range(stop):
            one = merged.next()
            if one is None:
                break
            found.append((one.partition, one.number))
        places = [Place(place.number, place.time) for place in merged.places]
    merged = Merged(Rows(every), places, lambda: ALL)
    assert found + keys(drained(merged)) == whole


def test_what_comes_later_is_seen_at_the_next_look():
    every = list(examples(60, partitions=2))
    rows, places = Rows(every[:30]), [Place(), Place()]
    merged = Merged(rows, places, lambda: ALL)
    first = drained(merged)
    merged._rows = Rows(every)
    assert merged.next() is None
    assert len(first) + len(drained(merged)) == 60
