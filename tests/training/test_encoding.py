from __future__ import annotations

from pathlib import Path

import pytest

from membrane.errors import UsageError
from training.encoding import table_examples
from training.table_file import Table

LABEL = ["yes", "no"] * 20


def made(label=LABEL, kind="churn", positive=None, drop=(), **columns):
    table = Table(Path("t.csv"), {**columns, "churn": label}, "0" * 64)
    return table_examples(kind, table, "churn", positive=positive, drop=drop)


def refused(problem, **arguments):
    with pytest.raises(UsageError, match=problem):
        made(**arguments)


def test_numbers_and_categories_become_rows_and_yes_means_churn():
    examples, notes = made(age=["1", "2.5"] * 20, plan=["a", "b"] * 20)
    assert examples.names == ("age", "plan=a", "plan=b", "plan=(other)")
    assert examples.rows[:2].tolist() == [[1, 1, 0, 0], [2.5, 0, 1, 0]]
    assert examples.labels[:2].tolist() == [1, 0]
    assert examples.slices["plan"].tolist() == ["a", "b"] * 20
    assert notes == ()


def test_a_missing_number_takes_the_median_and_a_rare_category_is_another():
    examples, _ = made(age=["", "1", "3", "5"] * 10, plan=["a"] * 35 + ["rare"] * 5)
    assert examples.names == ("age", "age is missing", "plan=a", "plan=(other)")
    assert examples.rows[0].tolist() == [3, 1, 1, 0]
    assert examples.rows[39].tolist() == [5, 0, 0, 1]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ([""] * 40, "it holds nothing"),
        (["NA"] * 40, "it holds nothing"),
        (["7"] * 40, "it holds '7' in every row"),
        ([f"c-{i}" for i in range(40)], "an identifier or free text"),
        ([str(i) for i in range(40)], "it counts the rows"),
    ],
)
def test_a_column_of_no_use_is_left_out_and_told(column, told):
    examples, [note] = made(age=["1", "2"] * 20, odd=column)
    assert examples.names == ("age",)
    assert note.startswith("column 'odd' is left out: ")
    assert told in note


def test_rows_without_a_label_are_left_out_and_told():
    examples, notes = made(label=["", "yes", "no", "no"] * 10, age=["1", "2"] * 20)
    assert len(examples.labels) == 30
    assert notes == ("10 rows without a label are left out",)


def test_numbers_with_a_word_among_them_are_refused_with_its_row():
    refused("numbers in 39 of 40 cells, but row 13 holds '12,5'.*--drop age", age=["1"] * 11 + ["12,5", *"2" * 28])


def test_a_column_can_be_dropped():
    examples, _ = made(age=["1", "2"] * 20, bad=["1"] * 39 + ["x"], drop=("bad",))
    assert examples.names == ("age",)


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (["yes"] * 40, r"at least two classes are required, got 'yes' \(40\)"),
        ([""] * 40, "at least two classes are required, got none"),
        (["left", "stayed"] * 20, r"--positive VALUE must say which value means churn; it holds 'left' \(20\)"),
    ],
)
def test_a_label_that_cannot_be_learned_is_refused(label, problem):
    refused(problem, label=label, age=["1", "2"] * 20)


def test_the_positive_label_can_be_named_and_must_be_there():
    examples, _ = made(label=["left", "stayed"] * 20, positive="left", age=["1", "2"] * 20)
    assert examples.labels[:2].tolist() == [1, 0]
    refused(r"--positive 'gone' must be one of its values", positive="gone", age=["1", "2"] * 20)


def test_stages_are_read_by_their_names():
    examples, _ = made(label=["crisis", "steady"] * 20, kind="stage", age=["1", "2"] * 20)
    assert examples.labels[:2].tolist() == [0, 5]
    refused("stages are required .*, got 'crysis'", label=["crysis", "steady"] * 20, kind="stage", age=["1", "2"] * 20)


def test_a_label_that_is_not_there_is_told_with_the_nearest_name():
    table = Table(Path("t.csv"), {"Churn": LABEL}, "0" * 64)
    with pytest.raises(UsageError, match=r"column 'churn' is required, none is there; did you mean 'Churn'\?"):
        table_examples("churn", table, "churn")


def test_a_table_of_nothing_but_a_label_is_refused():
    refused("a column beside 'churn' to learn from is required")
