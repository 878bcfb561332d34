from __future__ import annotations

import gzip
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.errors import InvalidPrinciples, UsageError
from membrane.signals import check
from membrane.times import format_time
from training.ingesting import ingest
from training.mapping import read_mapping

MAPPING = """
source: shop
customer: who
signals:
  - type: order.placed
    when: {what: [order, ORDER]}
    time: at
    data: {amount: amount, currency: {value: EUR}}
  - type: usage.measured
    when: {what: use}
    time: at
    data:
      metric: {column: metric, values: {w: washes, d: drinks}, otherwise: others, default: none}
      value: amount
"""


def mapped(tmp_path, text=MAPPING):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    return read_mapping(path)


def taken(tmp_path, name, content, text=MAPPING):
    """What became of an export, and the signals."""
    source, out = tmp_path / name, tmp_path / "out"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = ingest(source, mapped(tmp_path, text), out)
    events = [msgspec.json.decode(line) for line in out.read_bytes().splitlines()]
    return found, events


def rows(*cells):
    return "who,at,what,amount,metric\n" + "".join(f"{row}\n" for row in cells)


def test_rows_become_the_signals_whose_condition_they_meet_in_time_order(tmp_path):
    found, events = taken(
        tmp_path,
        "in.csv",
        rows("ana,2026-03-02T10:00:00Z,order,12.5,", "bob,2026-03-01,use,3,w", "bob,2026-03-03,nothing,,"),
    )
    assert [(one["subject"], one["type"], one["time"], one["data"]) for one in events] == [
        ("bob", "cx.usage.measured.v1", "2026-03-01T00:00:00Z", {"metric": "washes", "value": 3.0}),
        ("ana", "cx.order.placed.v1", "2026-03-02T10:00:00Z", {"amount": 12.5, "currency": "EUR"}),
    ]
    assert (found.rows, found.signals, found.rows_without_signal, found.rows_refused) == (3, 2, 1, 0)
    assert found.types == {"cx.order.placed.v1": 1, "cx.usage.measured.v1": 1}


def test_words_are_translated_another_word_and_an_empty_cell_get_what_the_mapping_says(tmp_path):
    _, events = taken(tmp_path, "in.csv", rows(*(f"a,2026-01-01,use,1,{word}" for word in ("d", "x", ""))))
    assert sorted(one["data"]["metric"] for one in events) == ["drinks", "none", "others"]


def test_a_word_that_is_not_listed_is_refused_with_the_nearest_unless_the_mapping_says_otherwise(tmp_path):
    strict = MAPPING.replace(", otherwise: others, default: none", "").replace("{w: washes, d: drinks}", "{wash: w}")
    found, events = taken(tmp_path, "in.csv", rows("a,2026-01-01,use,1,wsah", "a,2026-01-01,use,1,wash"), strict)
    assert found.refusals == ["line 2: metric: one of wash was required, came 'wsah'; did you mean 'wash'?"]
    assert found.reasons == {"metric": 1}
    assert len(events) == 1


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (",2026-01-01,order,1,", "who: a customer was required, an empty cell came"),
        ("a,01/02/2026,order,1,", "at: a time as ISO 8601 was required, came '01/02/2026'"),
        ("a,2026-01-01,order,dear,", "order.placed amount (column amount): Expected"),
        ("a,2026-01-01,use,,w", "usage.measured value (column amount): required"),
        ("a/b,2026-01-01,order,1,", "subject: must not contain '/'"),
        ("a,1989-01-01,order,1,", "time: must not be before 1990"),
        ("a,2026-01-01,order", "cells: 5 cells were required, 3 came"),
        ("a,2026-01-01,order,1,2,3,4", "cells: 5 cells were required, 7 came"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_whole_with_its_line_and_the_reason(tmp_path, row, told):
    found, events = taken(tmp_path, "in.csv", rows("ana,2026-03-02,order,1,", row))
    [refusal] = found.refusals
    assert refusal.startswith(f"line 3: {told}")
    assert (found.rows_refused, len(events)) == (1, 1)


def test_a_time_without_an_offset_is_in_the_zone_and_the_format_of_the_mapping(tmp_path):
    local = 'timezone: America/Bogota\ntime_format: "%d.%m.%Y %H:%M"\n' + MAPPING
    _, events = taken(tmp_path, "in.csv", rows("ana,02.03.2026 10:00,order,1,"), local)
    assert events[0]["time"] == "2026-03-02T15:00:00Z"


def test_an_export_in_another_delimiter_and_encoding_can_be_read(tmp_path):
    text = rows("Peña,2026-01-01,order,1,").replace(",", ";").encode("cp1252")
    _, events = taken(tmp_path, "in.csv", text, 'delimiter: ";"\nencoding: cp1252\n' + MAPPING)
    assert events[0]["subject"] == "Peña"
    with pytest.raises(UsageError, match="text in utf-8 was required"):
        taken(tmp_path, "in.csv", text, 'delimiter: ";"\n' + MAPPING)


ORDER = {"who": "ana", "at": "2026-01-01", "what": "order", "amount": 1.5, "metric": None}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.json", json.dumps([ORDER])),
        ("in.ndjson", json.dumps(ORDER) + "\n\n"),
        ("in.jsonl.gz", gzip.compress(json.dumps(ORDER).encode(), mtime=0)),
        ("in.csv.gz", gzip.compress(rows("ana,2026-01-01,order,1.5,").encode(), mtime=0)),
        ("in.csv", "\ufeff" + rows("ana,2026-01-01,order,1.5,")),
    ],
)
def test_the_same_rows_in_any_form_give_the_same_signals(tmp_path, name, content):
    _, events = taken(tmp_path, name, content)
    assert [(one["subject"], one["data"]) for one in events] == [("ana", {"amount": 1.5, "currency": "EUR"})]
    assert len({one["id"] for one in events}) == 1
    assert events[0]["id"] == "order.placed-" + taken(tmp_path, "again.json", json.dumps([ORDER]))[1][0]["id"][13:]


def test_a_cell_of_an_object_in_an_object_is_named_with_a_dot(tmp_path):
    nested = MAPPING.replace("customer: who", "customer: requester.name")
    found, events = taken(tmp_path, "in.json", json.dumps([{**ORDER, "requester": {"name": "eva", "id": 7}}]), nested)
    assert events[0]["subject"] == "eva"
    assert found.columns_unused == ["who", "requester.id"]


def test_a_line_that_is_no_object_is_refused_and_the_others_are_taken(tmp_path):
    found, events = taken(tmp_path, "in.ndjson", f"{json.dumps(ORDER)}\n[1]\nnull\n{{")
    assert [refusal[:35] for refusal in found.refusals] == [
        f"line {n}: cells: a JSON object was required"[:35] for n in (2, 3, 4)
    ]
    assert len(events) == 1


def test_a_column_of_the_mapping_that_is_not_there_is_told_with_the_nearest_name(tmp_path):
    with pytest.raises(UsageError, match=r"there is no 'who'; did you mean 'whom'\?; came whom, at, what"):
        taken(tmp_path, "in.csv", "whom,at,what,amount,metric\n")
    order = {"whom" if name == "metric" else name: cell for name, cell in ORDER.items()}
    assert taken(tmp_path, "in.json", json.dumps([order]))[0].columns_missing == ["metric"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("in.xls", "", r"a name that ends in \.csv, \.json"),
        ("in.json", "{", "a JSON array of objects was required"),
        ("in.json", b"\xff", "a JSON array of objects was required"),
        ("in.csv.gz", "no gzip", "an export was required"),
        ("in.csv", "", "came nothing"),
        ("in.csv", rows() + '"' + "x" * 200_000, "CSV was required"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content, told):
    with pytest.raises(UsageError, match=told):
        taken(tmp_path, name, content)
    assert not (tmp_path / "out").exists()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 28), st.integers(1, 3)), max_size=12))
def test_each_fact_is_told_once_with_an_id_that_another_export_of_it_gives_again(tmp_path_factory, facts):
    tmp_path = tmp_path_factory.mktemp("ingest")
    lines = [f"{who},2026-01-{day:02},order,{amount}," for who, day, amount in facts]
    found, events = taken(tmp_path, "in.csv", rows(*lines))
    _, again = taken(tmp_path, "in.csv", rows(*reversed(lines)))
    assert found.signals == len(set(facts)) == len(events)
    assert found.duplicates == len(facts) - len(set(facts))
    assert {one["id"] for one in events} == {one["id"] for one in again}
    times = [one["time"] for one in events]
    assert times == sorted(times)
    assert all(check(msgspec.json.encode(one), "default").typed is not None for one in events)
    assert all(format_time(check(msgspec.json.encode(one), "t").stored.time) == one["time"] for one in events)


def test_with_an_id_of_columns_a_fact_that_changed_keeps_its_id(tmp_path):
    by_number = MAPPING.replace("    data: {amount", "    id: metric\n    data: {amount")
    first = taken(tmp_path, "in.csv", rows("a,2026-01-01,order,1,77"), by_number)[1]
    then = taken(tmp_path, "in.csv", rows("a,2026-01-02,order,2,77", "a,2026-01-02,order,2,78"), by_number)[1]
    assert [one["id"] == first[0]["id"] for one in then].count(True) == 1


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("order.placed", "order.plaiced", "did you mean 'order.placed'?"),
        ("amount: amount,", "amunt: amount,", "unknown field; did you mean 'amount'?"),
        ("      value: amount\n", "", "misses the field 'value'"),
        ("currency: {value: EUR}", "currency: {value: euros}", "must be what the slot holds"),
        ("{w: washes", "{w: {}", "must be what the slot holds"),
        ("values: {w: washes, d: drinks}, ", "", "needs 'values' beside it"),
        ("source: shop", "source: shop\ntimezone: Europe/Madird", "must be an IANA name"),
        ("source: shop", "source: shop\ndelimiter: ab", "must be one character"),
        ("source: shop", "source: shop\nencoding: utf-99", "must be an encoding"),
        ("source: shop\n", "", "misses the field 'source'"),
    ],
)
def test_a_fault_of_the_mapping_is_told_with_its_line(tmp_path, before, after, told):
    assert before in MAPPING
    with pytest.raises(InvalidPrinciples) as caught:
        mapped(tmp_path, MAPPING.replace(before, after, 1))
    assert told in str(caught.value)
    assert f"{tmp_path / 'map.yaml'}:" in str(caught.value)


def test_a_mapping_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="a mapping file was required"):
        read_mapping(tmp_path / "map.yaml")
