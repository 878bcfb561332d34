"""What the stream keeps to learn from, as learners read it."""

from __future__ import annotations

from array import array
from contextlib import closing

import apsw
import msgspec
import pytest

from membrane.errors import RecordUnreadable
from membrane.examples import Served, passed
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.ports import Commit, Learned
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.records import RecordStore

ROW = tuple(float(n) for n in range(len(FEATURE_NAMES)))
LABEL = (0, 3, 4_000, "closed", 20, 30)


def served() -> bytes:
    row = array("f", ROW).tobytes()
    return msgspec.msgpack.encode(Served(row, fingerprint(), {"m": (0.25, 0.75)}, {"churn_model": "m"}))


def examples(*offsets: int, due: int | None = None) -> list[tuple[int, str, str, int, int | None, bytes]]:
    return [(one, "t", f"c-{one}", 10 * one, due, served()) for one in offsets]


def learn(directory: DataDir, learned: Learned, partition: int = 0) -> None:
    store = RecordStore.open_for_writing(directory, partition)
    store.commit(Commit(next_offset=9, learned=learned))
    store.close()


@pytest.fixture
def reader(directory):
    with closing(LabelledReader(directory)) as reader:
        yield reader


def test_a_labelled_example_is_read_as_it_was_served(directory, reader):
    learn(directory, Learned(examples(4, 7), [(1, *LABEL, 7, 0)]), 1)
    [one] = reader.after(1, 0, 10)
    assert (one.partition, one.number, one.tenant, one.customer) == (1, 1, "t", "c-7")
    assert (one.offset, one.time, one.features, one.fingerprint) == (7, 70, ROW, fingerprint())
    assert (one.target, one.label, one.weight, one.by) == ("stage", 3, 0.4, "closed")
    assert (one.about, one.labelled_at, one.synthetic) == (20, 30, False)
    assert (one.scores, one.revisions) == ({"m": (0.25, 0.75)}, {"churn_model": "m"})
    assert reader.after(0, 0, 10) == []


def test_labels_are_tailed_by_number(directory, reader):
    labels = [(number, *LABEL, 4, 0) for number in range(1, 8)]
    learn(directory, Learned(examples(4), labels))
    assert [one.number for one in reader.after(0, 3, 2)] == [4, 5]
    assert [one.number for one in reader.every()] == list(range(1, 8))
    assert reader.counts() == {("stage", 3, "closed"): (7, 2.8)}
    assert reader.delays() == {"stage": [30 - 40] * 7}


def test_a_label_of_an_example_that_is_not_kept_any_more_is_not_written(directory, reader):
    labels = [(2, *LABEL, 7, 70), (3, *LABEL, 7, 69), (4, *LABEL, 99, 0)]
    learn(directory, Learned(examples(4, 7), labels))
    assert [one.number for one in reader.every()] == [3]


def test_the_oldest_examples_and_labels_are_dropped_and_labels_outlive_their_example(directory, reader):
    labels = [(number, *LABEL, 4, 0) for number in (1, 2, 3)]
    learn(directory, Learned(examples(4, 7, 9), labels, offset_bound=4, labels_bound=1))
    assert [one.offset for one in reader.examples(0)] == [7, 9]
    assert [one.number for one in reader.every()] == [2, 3]
    learn(directory, Learned(time_bound=70))
    assert [one.offset for one in reader.examples(0)] == [9]
    learn(directory, Learned(time_bound=1_000))
    assert reader.kept() == 0
    assert [one.offset for one in reader.every()] == [4, 4]


def test_horizons_are_waited_for_until_they_are_decided(directory):
    learn(directory, Learned(examples(4, 7, due=100), decided=[4]))
    store = RecordStore.open_for_writing(directory, 0)
    assert store.horizons(99) == []
    assert store.horizons(100) == [(100, 7, 70)]
    assert passed(70).about == 70
    store.close()


def test_a_store_of_before_there_was_anything_to_learn_from_has_nothing(directory, reader):
    RecordStore.open_for_writing(directory, 0).close()
    with closing(apsw.Connection(str(directory.records_path(0)))) as connection:
        connection.execute("DROP TABLE examples; DROP TABLE labelled").fetchall()
    assert (reader.after(0, 0, 10), reader.examples(0), reader.kept(), reader.counts()) == ([], [], 0, {})
    assert reader.unmatched() == [0, 0]
    learn(directory, Learned(examples(4)))
    assert reader.kept() == 1


def test_a_store_whose_examples_are_numbered_goes_on(directory, reader):
    learn(directory, Learned(examples(4)))
    with closing(apsw.Connection(str(directory.records_path(0)))) as connection:
        connection.execute("ALTER TABLE examples ADD COLUMN number INTEGER NOT NULL DEFAULT 1").fetchall()
    learn(directory, Learned(examples(7)))
    assert [one.offset for one in reader.examples(0)] == [4, 7]


def test_a_vector_that_is_none_is_told(directory, reader):
    learn(directory, Learned([(4, "t", "c", 10, None, b"\xc1")]))
    with pytest.raises(RecordUnreadable, match="a kept vector was required"):
        reader.examples(0)
