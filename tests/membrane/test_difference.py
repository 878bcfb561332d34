from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from membrane.difference import differences

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(documents)
def test_nothing_differs_from_itself(document):
    assert list(differences(document, document)) == []


@given(documents, documents)
def test_each_place_holds_what_is_told_of_it(before, after):
    for found in differences({"x": before}, {"x": after}):
        assert found.before != found.after
        for document, value in (({"x": before}, found.before), ({"x": after}, found.after)):
            assert at(document, found.pointer) == value


def at(document, pointer):
    for step in pointer.split("/")[1:]:
        if isinstance(document, dict):
            document = document.get(step)
        else:
            document = document[int(step)] if int(step) < len(document) else None
    return document


def test_what_only_one_of_them_has_is_none_in_the_other():
    found = [tuple(one) for one in differences({"a": [1]}, {"a": [1, 2], "b": 3})]
    assert found == [("/a/1", None, 2), ("/b", None, 3)]
