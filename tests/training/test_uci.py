from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import pytest

from membrane.errors import InvalidSignal, UsageError
from membrane.fold import fold
from membrane.record import State
from membrane.signals import check, typed
from membrane.vocabulary import CASE_STATUSES
from training.tables import read_table
from training.uci import FILE_NAME, write_uci

HEADER = (
    "number,incident_state,reopen_count,caller_id,sys_updated_at,category,subcategory,priority,"
    "resolved_at,closed_at,closed_code,resolved_by"
)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "uci_incidents"
needs_data = pytest.mark.skipif(not (DATA / FILE_NAME).is_file(), reason="../shared/data/uci_incidents is not here")


def lines_of(tmp_path, rows):
    with gzip.open(tmp_path / FILE_NAME, "wt", encoding="utf-8") as file:
        file.write("\n".join((HEADER, *rows)) + "\n")
    counts = write_uci(tmp_path, tmp_path / "out.ndjson")
    return counts, [msgspec.json.decode(line) for line in (tmp_path / "out.ndjson").read_bytes().splitlines()]


LEAK = "LEAK1,LEAK2,LEAK3,LEAK4"
WAITING = "Awaiting User Info"


def test_an_incident_is_opened_updated_resolved_reopened_and_resolved_again(tmp_path):
    states = ["New,0", "Awaiting User Info,0", "Resolved,0", "Closed,0", "Active,1", "Resolved,1"]
    _, events = lines_of(tmp_path, [f"7,{s},42,2016-03-01T10:0{i},5,9,2,{LEAK}" for i, s in enumerate(states)])
    names = [event["type"].removeprefix("cx.case.").removesuffix(".v1") for event in events]
    assert names == ["opened", "updated", "resolved", "updated", "reopened", "resolved"]
    assert events[0]["data"] == {"case": "7", "category": "5", "product": "9", "severity": 2}
    assert events[1]["data"]["status"] == "waiting_on_customer"
    assert events[3]["data"]["status"] == "open"
    assert events[0] == {
        "specversion": "1.0", "id": "1", "source": "uci", "type": "cx.case.opened.v1", "subject": "42",
        "time": "2016-03-01T10:00:00Z", "datacontenttype": "application/json", "data": events[0]["data"],
    }  # fmt: skip


def test_a_first_row_that_is_resolved_opens_and_the_next_one_resolves(tmp_path):
    rows = [f"7,Resolved,0,42,2016-03-01T10:00,5,9,2,{LEAK}", f"7,Closed,0,42,2016-03-06T10:00,5,9,2,{LEAK}"]
    _, events = lines_of(tmp_path, rows)
    assert [event["type"] for event in events] == ["cx.case.opened.v1", "cx.case.resolved.v1"]


def test_rows_of_one_incident_within_a_minute_keep_their_order_as_seconds(tmp_path):
    at = "42,2016-03-01T10:00,5,9,2"
    rows = [f"7,New,0,{at},{LEAK}", f"8,New,0,{at},{LEAK}", f"7,Active,0,{at},{LEAK}", f"7,{WAITING},0,{at},{LEAK}"]
    _, events = lines_of(tmp_path, rows)
    assert [(event["id"], event["time"][-4:]) for event in events] == [
        ("1", ":00Z"), ("2", ":00Z"), ("3", ":01Z"), ("4", ":02Z"),
    ]  # fmt: skip
    state = State()
    for event in events:
        signal = check(msgspec.json.encode(event), "default").stored
        fold(state, signal, typed(signal), signal.time)
    assert {case.case: CASE_STATUSES[case.status] for case in state.cases} == {"7": "waiting_on_customer", "8": "open"}


def test_more_rows_than_a_minute_has_seconds_share_the_last_one(tmp_path):
    _, events = lines_of(tmp_path, [f"7,New,0,42,2016-03-01T10:00,5,9,2,{LEAK}"] * 62)
    assert [event["time"][-4:] for event in events[-3:]] == [":59Z"] * 3


def test_lines_come_in_time_order_and_by_row_number_within_a_minute(tmp_path):
    rows = [f"{n},New,0,1,2016-03-01T10:0{m},5,9,3,{LEAK}" for n, m in ((10, 5), (11, 1), (12, 5), (13, 1))]
    _, events = lines_of(tmp_path, rows)
    assert [event["id"] for event in events] == ["2", "4", "1", "3"]


def test_an_unknown_caller_is_written_without_a_subject(tmp_path):
    counts, events = lines_of(tmp_path, [f"7,New,0,?,2016-03-01T10:00,5,9,2,{LEAK}"])
    assert counts["no_subject"] == 1
    assert "subject" not in events[0]
    with pytest.raises(InvalidSignal, match="subject"):
        check(msgspec.json.encode(events[0]), "default")


def test_what_is_known_only_at_the_end_is_never_written(tmp_path):
    lines_of(tmp_path, [f"7,New,0,42,2016-03-01T10:00,5,9,2,{LEAK}"])
    assert b"LEAK" not in (tmp_path / "out.ndjson").read_bytes()


def test_a_folder_without_the_file_or_a_file_without_a_column_is_refused(tmp_path):
    with pytest.raises(UsageError, match="required"):
        write_uci(tmp_path, tmp_path / "out")
    with gzip.open(tmp_path / FILE_NAME, "wt", encoding="utf-8") as file:
        file.write("number,priority\n1,2\n")
    with pytest.raises(UsageError, match="caller_id"):
        write_uci(tmp_path, tmp_path / "out")


@needs_data
def test_the_whole_data_set_gives_71859_lines_by_the_mapping(tmp_path):
    seen = []
    counts = write_uci(DATA, tmp_path / "out", lambda done, total: seen.append((done, total)))
    assert seen[-1] == (71_859, 71_859)
    no_subject = counts.pop("no_subject")
    assert no_subject == 29
    assert sum(counts.values()) == 71_859
    events = [msgspec.json.decode(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert counts == Counter(event["type"] for event in events)
    assert len({event["id"] for event in events}) == 71_859
    times = [event["time"] for event in events]
    assert times == sorted(times)
    kinds = defaultdict(list)
    for event in events:
        kinds[event["data"]["case"]].append(event["type"])
    assert counts["cx.case.opened.v1"] == len(kinds) == 12_637
    assert counts["cx.case.reopened.v1"] == 175
    assert all(kind[0] == "cx.case.opened.v1" and kind.count(kind[0]) == 1 for kind in kinds.values())


@needs_data
def test_the_last_status_of_a_minute_is_the_one_that_counts(tmp_path):
    """Of every incident at the end of every minute, compared with the order of the file alone."""
    write_uci(DATA, tmp_path / "out")
    expected, rows = {}, list(read_table(DATA / FILE_NAME, "uci_incidents", ("number", "sys_updated_at")))
    for line, row in enumerate(rows, 1):
        expected[row["number"], row["sys_updated_at"]] = line
    told = {}
    for line in (tmp_path / "out").read_bytes().splitlines():
        event = msgspec.json.decode(line)
        told.setdefault((event["data"]["case"], event["time"][:16]), []).append((event["time"], int(event["id"])))
    assert {key: max(times)[1] for key, times in told.items()} == expected
    assert all(len({at for at, _ in times}) == len(times) for times in told.values())


@needs_data
def test_every_line_with_a_caller_is_a_valid_signal(tmp_path):
    write_uci(DATA, tmp_path / "out")
    refused = []
    for line in (tmp_path / "out").read_bytes().splitlines():
        try:
            assert check(line, "default").typed is not None
        except InvalidSignal as error:
            refused.append(error.pointer)
    assert refused == ["/subject"] * 29
