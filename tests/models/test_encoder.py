from __future__ import annotations

import msgspec
import pytest

from membrane.errors import UsageError
from models.encoder import Category, Encoder, Numeric

ENCODER = Encoder((Numeric("age", 40.0, flagged=True), Category("plan", ("basic", "gold"), flagged=False)))


def encoded(**cells):
    return ENCODER.encode(cells, "t.csv").tolist()


def test_numbers_stay_and_categories_get_a_column_each():
    assert ENCODER.names == ("age", "age is missing", "plan=basic", "plan=gold", "plan=(other)")
    assert encoded(age=["7", "1e3"], plan=["gold", "basic"]) == [[7, 0, 0, 1, 0], [1000, 0, 1, 0, 0]]


def test_a_category_that_training_did_not_see_is_another_and_so_is_a_missing_one_unless_it_was_seen_missing():
    assert encoded(age=["7", "7"], plan=["platinum", ""]) == [[7, 0, 0, 0, 1], [7, 0, 0, 0, 1]]
    seen = Encoder((Category("plan", ("basic",), flagged=True),))
    assert seen.encode({"plan": ["basic", "x", "NA"]}, "t").tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_missing_number_takes_the_default_and_is_flagged():
    assert encoded(age=["", "nan"], plan=["gold", "gold"]) == [[40, 1, 0, 1, 0], [40, 1, 0, 1, 0]]


@pytest.mark.parametrize("cell", ["seven", "inf", "1,5"])
def test_a_word_among_numbers_is_refused_with_its_line(cell):
    with pytest.raises(UsageError, match=r"t\.csv: line 3, column 'age': a finite number is required, got"):
        encoded(age=["7", cell], plan=["gold", "gold"])


def test_a_missing_column_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"column 'plan' is required, none is there; did you mean 'plans'\?"):
        ENCODER.encode({"age": ["1"], "plans": ["gold"]}, "t.csv")


def test_it_is_plain_data_and_its_fingerprint_is_that_of_its_columns():
    again = msgspec.json.decode(msgspec.json.encode(ENCODER), type=Encoder)
    assert again == ENCODER
    assert again.fingerprint == ENCODER.fingerprint
    assert Encoder(ENCODER.columns[:1]).fingerprint != ENCODER.fingerprint


def test_a_long_category_gets_a_name_that_a_manifest_takes_and_no_other_has():
    words = ("a" * 200 + "1", "a" * 200 + "2")
    names = Encoder((Category("c", words, flagged=False),)).names
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 128
