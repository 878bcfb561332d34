from __future__ import annotations

from membrane.times import DAY, format_time
from membrane.vocabulary import STAGES
from training.labels import TruthTable


def stretch(stage, since, until):
    return {"customer": "c", "stage": stage, "since": format_time(since), "until": format_time(until), "ended": True}


TABLE = TruthTable(
    [
        stretch("crisis", 10 * DAY, 20 * DAY),
        stretch("steady", DAY, 10 * DAY),
        {"customer": "c", "closed_at": format_time(20 * DAY)},
        {**stretch("steady", DAY, 100 * DAY), "customer": "stayer"},
    ],
    end_ms=100 * DAY,
)
STEADY, CRISIS = STAGES.index("steady"), STAGES.index("crisis")


def test_a_stage_holds_from_its_beginning_until_just_before_its_end():
    times = [DAY - 1, DAY, 10 * DAY - 1, 10 * DAY, 20 * DAY - 1, 20 * DAY]
    assert TABLE.stages(["c"] * 6, times).tolist() == [-1, STEADY, STEADY, CRISIS, CRISIS, -1]


def test_a_customer_without_truth_has_no_label():
    assert TABLE.stages(["other"], [DAY]).tolist() == [-1]


def test_closing_within_thirty_days_is_a_label_until_the_account_is_closed():
    late = TruthTable([{"customer": "c", "closed_at": format_time(50 * DAY)}], end_ms=100 * DAY)
    times = [20 * DAY - 1, 20 * DAY, 50 * DAY - 1, 50 * DAY]
    assert late.closes(["c"] * 4, times).tolist() == [0, 1, 1, -1]


def test_what_would_be_seen_only_after_the_end_is_unknown():
    assert TABLE.closes(["stayer"] * 2, [70 * DAY, 70 * DAY + 1]).tolist() == [0, -1]
