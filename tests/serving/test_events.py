"""CloudEvents over HTTP: the three content modes, and bodies that are none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.events import BATCH, BINARY, SINGLE, content_mode, events, split_batch
from serving.events import _split_by_brackets as split_deep
from serving.problems import Problem

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def headers(content_type: str, **more: str) -> list[tuple[bytes, bytes]]:
    named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in more.items()}}
    return [(name.encode(), value.encode()) for name, value in named.items()]


@pytest.mark.parametrize("media_type", [SINGLE, BATCH, SINGLE.upper(), f"{BATCH}; charset=UTF-8"])
def test_structured_modes_go_by_their_media_type(media_type):
    assert content_mode(headers(media_type)) == media_type.lower().partition(";")[0]


def test_plain_json_is_the_binary_mode_if_attributes_come_in_headers():
    assert content_mode(headers("application/json", ce_specversion="1.0")) == BINARY


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/json", f"{SINGLE}; charset=latin-1", "garbage;;="]
)
def test_any_other_media_type_is_refused(media_type):
    with pytest.raises(Problem) as caught:
        content_mode(headers(media_type))
    assert caught.value.status == 415


def test_a_binary_event_takes_its_attributes_from_headers_percent_decoded():
    found = events(BINARY, headers("application/json", ce_specversion="1.0", ce_id="a%20%C3%B1"), b'{"x": 1}')
    assert json.loads(found[0]) == {"specversion": "1.0", "id": "a ñ", "data": {"x": 1}}


def test_a_binary_event_without_a_body_has_empty_data():
    assert json.loads(events(BINARY, headers("application/json", ce_id="1"), b"")[0]) == {"id": "1", "data": {}}


def test_a_binary_attribute_that_is_not_utf8_names_its_field():
    with pytest.raises(Problem) as caught:
        events(BINARY, headers("application/json", ce_id="%FF"), b"{}")
    assert (caught.value.status, caught.value.errors[0][0]) == (422, "/id")


@pytest.mark.parametrize("mode", [SINGLE, BATCH, BINARY])
@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'["\xff"]', b"[1,]", b"nul", b"[1] [2]"])
def test_what_is_not_json_in_utf8_is_refused_whole(mode, body):
    if mode == BINARY and not body:
        return
    with pytest.raises(Problem) as caught:
        events(mode, headers(mode), body)
    assert caught.value.status == 400


def test_a_batch_must_be_an_array():
    with pytest.raises(Problem) as caught:
        events(BATCH, headers(BATCH), b'{"id": 1}')
    assert caught.value.status == 422


def test_a_batch_of_more_than_a_thousand_is_refused():
    assert len(events(BATCH, headers(BATCH), json.dumps([0] * 1000).encode())) == 1000
    with pytest.raises(Problem) as caught:
        events(BATCH, headers(BATCH), json.dumps([0] * 1001).encode())
    assert caught.value.status == 413


def test_one_event_nested_too_deeply_leaves_the_others_whole():
    deep = b"[" * 50_000 + b"]" * 50_000
    assert split_batch(b'[{"a": "[,"}, ' + deep + b', {"b": 2}]') == [b'{"a": "[,"}', deep, b'{"b": 2}']


def test_half_of_a_surrogate_pair_spoils_only_its_own_event():
    half, sound = b'{"text": "\\ud83d, ]"}', b'{"b": 2}'
    assert events(BATCH, headers(BATCH), b"[" + half + b", " + sound + b"]") == [half, sound]
    for body in (b'["\\ud83d", NaN]', b'["\\ud83d"', b'["\\ud8"]', b'["\\ud83d" 1]'):
        with pytest.raises(Problem) as caught:
            events(BATCH, headers(BATCH), body)
        assert caught.value.status == 400


@pytest.mark.parametrize("end", [b"", b"]]", b"}"])
def test_deep_bodies_that_do_not_close_are_not_json(end):
    with pytest.raises(Problem) as caught:
        split_batch(b"[" * 50_000 + b"1" + b"]" * 49_999 + end)
    assert caught.value.status == 400


@given(st.lists(VALUES, min_size=1))
def test_counting_brackets_splits_as_a_parser_does(values):
    body = json.dumps(values, ensure_ascii=False).encode()
    assert [json.loads(event) for event in split_deep(body)] == values
