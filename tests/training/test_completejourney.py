from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from membrane.errors import UsageError
from membrane.signals import check
from membrane.times import HOUR, parse_time
from tests.training.panel import PANEL, written
from training import uci
from training.completejourney import CAMPAIGNS, write_completejourney

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA, CASES = SHARED / "completejourney", SHARED / "uci_incidents"
needs_data = pytest.mark.skipif(
    not ((DATA / CAMPAIGNS).is_file() and (CASES / uci.FILE_NAME).is_file()),
    reason="../shared/data/completejourney and uci_incidents are not here",
)
INCIDENTS = (
    "number,incident_state,reopen_count,caller_id,sys_updated_at,category,subcategory,priority\n"
    "7,New,0,42,2016-02-29T10:00,5,9,2\n7,Resolved,0,42,2016-03-01T11:00,5,9,2\n"
    "8,New,0,?,2016-02-29T10:00,5,9,2\n9,New,0,43,2016-02-29T12:00,5,9,3\n"
)


def lines_of(folder, **options):
    counts = write_completejourney(folder, folder / "out", **options)
    return counts, [msgspec.json.decode(line) for line in (folder / "out").read_bytes().splitlines()]


def of_type(events, name):
    return [(event["subject"], event["time"], event["data"]) for event in events if event["type"] == f"cx.{name}.v1"]


def test_a_campaign_sent_a_coupon_redeemed_and_a_basket_become_signals_in_time_order(tmp_path):
    _, events = lines_of(written(tmp_path, PANEL))
    times = [event["time"] for event in events]
    assert times == sorted(times)
    sent = {"domain": "marketing", "kind": "cross_sell", "channel": "letter", "campaign": "1"}
    assert of_type(events, "contact.made") == [
        (one, "2017-03-03T10:00:00Z", {**sent, "contact": f"campaign-1-{one}"}) for one in ("105", "77")
    ]
    assert of_type(events, "contact.answered") == [
        ("105", "2017-03-05T12:00:00Z", {"contact": "campaign-1-105", "outcome": "converted"})
    ]
    assert of_type(events, "order.placed") == [
        ("105", "2017-01-28T19:06:53Z", {"amount": 3.96, "currency": "USD"}),
        ("88", "2017-03-26T17:22:21Z", {"amount": 1.0, "currency": "USD"}),
    ]
    assert {one for one, _, _ in of_type(events, "account.opened")} == {"105", "77", "88"}


def test_with_cases_each_household_gets_those_of_one_caller_whole_weeks_later_and_always_the_same(tmp_path):
    written(tmp_path, PANEL | {uci.FILE_NAME: INCIDENTS})
    _, events = lines_of(tmp_path, cases=tmp_path)
    opened = of_type(events, "case.opened")
    assert {data["case"] for _, _, data in opened} == {"7", "9"}
    assert len({household for household, _, _ in opened}) == 2
    assert all(time > "2017-01-02" and time[11:] in {"10:00:00Z", "12:00:00Z"} for _, time, _ in opened)
    [(whose, begun, _)] = [one for one in opened if one[2]["case"] == "7"]
    [(household, ended, _)] = of_type(events, "case.resolved")
    assert (household, parse_time(ended) - parse_time(begun)) == (whose, 25 * HOUR)
    assert lines_of(tmp_path, cases=tmp_path)[1] == events


def test_a_missing_file_or_column_is_named(tmp_path):
    written(tmp_path, PANEL)
    with pytest.raises(UsageError, match=uci.FILE_NAME):
        lines_of(tmp_path, cases=tmp_path)
    written(tmp_path, {CAMPAIGNS: "campaign_id\n1\n"})
    with pytest.raises(UsageError, match="household_id not found"):
        lines_of(tmp_path)


@needs_data
def test_every_line_of_the_whole_is_a_valid_signal_of_its_own_id(tmp_path):
    counts = write_completejourney(DATA, tmp_path / "out", cases=CASES)
    assert (counts["cx.contact.made.v1"], counts["cx.contact.answered.v1"]) == (3_308, 974)
    assert (counts["cx.order.placed.v1"], counts["cx.account.opened.v1"], counts["no_subject"]) == (24_020, 1_198, 0)
    seen = Counter()
    for line in (tmp_path / "out").read_bytes().splitlines():
        assert check(line, "default").typed is not None
        event = msgspec.json.decode(line)
        seen[event["source"], event["id"]] += 1
    assert set(seen.values()) == {1}
