from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.errors import UsageError
from membrane.features import FEATURE_NAMES
from membrane.lapse import Lapse, read_lapse
from membrane.times import DAY, HOUR
from membrane.vocabulary import STAGES
from tests.training.signals import event, signals_file
from training.cutoffs import Question, churn_snapshots, stage_snapshots
from training.signal_file import SignalFile

T = 10_000 * DAY
CUTOFF = T + 40 * DAY
MONTH = 30 * DAY
END_OF_TIME = CUTOFF + 1_000 * DAY
END = event("somebody", "order.placed", CUTOFF + 400 * DAY)


def taken(tmp_path, events, question):
    file = SignalFile(signals_file(tmp_path / "signals", [*events, END]))
    snapshots = churn_snapshots(file, question)
    return {
        (customer, t): (label, known_at, row)
        for row, customer, t, label, known_at in zip(
            snapshots.rows,
            snapshots.customers.tolist(),
            snapshots.times.tolist(),
            snapshots.labels.tolist(),
            snapshots.known_at.tolist(),
            strict=True,
        )
    }


def labels(tmp_path, events, question):
    return {key: label for key, (label, *_) in taken(tmp_path, events, question).items()}


def column(row, name):
    return float(row[FEATURE_NAMES.index(name)])


def test_a_row_knows_what_came_before_the_cutoff_and_nothing_from_it_on(tmp_path):
    events = [event("c", "order.placed", CUTOFF + at) for at in (-2 * DAY, -1, 0, DAY)]
    [(_, _, row)] = taken(tmp_path, events, Question((CUTOFF,), MONTH)).values()
    assert column(row, "orders_total") == 2
    assert column(row, "orders_30d") == 2
    assert column(row, "order_recency") == pytest.approx(1 / DAY)
    assert column(row, "tenure") == 2


def test_windows_and_ages_are_as_of_the_cutoff_not_as_of_the_last_signal(tmp_path):
    [(_, _, row)] = taken(tmp_path, [event("c", "order.placed", T)], Question((CUTOFF,), MONTH)).values()
    assert (column(row, "orders_30d"), column(row, "orders_total"), column(row, "silence")) == (0, 1, 40)


@pytest.mark.parametrize(
    ("closed_at", "label"), [(0, 1), (MONTH - 1, 1), (MONTH, 0)], ids=["at once", "at the last moment", "too late"]
)
def test_who_closes_within_the_horizon_left(tmp_path, closed_at, label):
    events = [event("c", "account.opened", T), event("c", "account.closed", CUTOFF + closed_at)]
    [(found, known_at, _)] = taken(tmp_path, events, Question((CUTOFF,), MONTH)).values()
    assert found == label
    assert known_at == CUTOFF + (closed_at if label else MONTH)


def test_who_was_closed_or_not_yet_known_has_no_row(tmp_path):
    events = [
        event("closed", "account.opened", T), event("closed", "account.closed", T + 1),
        event("back", "account.closed", T), event("back", "account.opened", T + 1),
        event("later", "account.opened", CUTOFF),
    ]  # fmt: skip
    assert labels(tmp_path, events, Question((CUTOFF,), MONTH)) == {("back", CUTOFF): 0}


@settings(max_examples=40)
@given(st.lists(st.integers(0, 60), max_size=6))
def test_with_a_rule_as_long_as_the_horizon_who_is_silent_throughout_lapsed(tmp_path_factory, days):
    rule = read_lapse("no order.placed for 30d")
    events = [event("c", "account.opened", T), *(event("c", "order.placed", CUTOFF + day * DAY) for day in set(days))]
    found = labels(tmp_path_factory.mktemp("lapse"), events, Question((CUTOFF,), MONTH, rule))
    times = [CUTOFF + day * DAY for day in days]
    assert found == {("c", CUTOFF): rule.lapsed(times, CUTOFF - 1, END_OF_TIME)}
    assert found == {("c", CUTOFF): not any(day < 30 for day in days)}


@settings(max_examples=60)
@given(st.lists(st.integers(-20, 99), max_size=8), st.integers(1, 50))
def test_a_silence_that_begins_after_the_cutoff_and_is_full_within_the_horizon_is_a_lapse(tmp_path_factory, days, most):
    rule = Lapse(("cx.order.placed.v1",), most * DAY)
    events = [event("c", "account.opened", T), *(event("c", "order.placed", CUTOFF + day * DAY) for day in set(days))]
    found = labels(tmp_path_factory.mktemp("lapse"), events, Question((CUTOFF,), 100 * DAY, rule))
    times = [CUTOFF + day * DAY for day in days]
    begins = [CUTOFF - 1, *(t for t in times if t >= CUTOFF)]
    silent = [not any(b < t <= b + rule.ms for t in times) and b + rule.ms < CUTOFF + 100 * DAY for b in begins]
    assert found == {("c", CUTOFF): any(silent)}


def test_each_cutoff_has_a_row_of_what_was_known_then(tmp_path):
    cutoffs = (CUTOFF, CUTOFF + MONTH)
    events = [event("c", "order.placed", T), event("c", "order.placed", CUTOFF + DAY)]
    found = taken(tmp_path, events, Question(cutoffs, MONTH, read_lapse("no order.placed for 30d")))
    assert [column(found["c", cutoff][2], "orders_total") for cutoff in cutoffs] == [1, 2]
    assert [found["c", cutoff][0] for cutoff in cutoffs] == [0, 1]


def test_a_cutoff_whose_horizon_reaches_into_the_test_part_is_refused():
    with pytest.raises(UsageError, match="the test part would be learned from"):
        Question((CUTOFF, CUTOFF + MONTH - 1), MONTH)
    Question((CUTOFF, CUTOFF + DAY, CUTOFF + DAY + MONTH), MONTH)


def test_a_lapse_that_takes_longer_than_the_horizon_is_refused():
    with pytest.raises(UsageError, match=r"at least the 744h of --lapse were required, came 720h"):
        Question((CUTOFF,), MONTH, read_lapse("no order.placed for 31d"))


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [(CUTOFF, CUTOFF + MONTH, "signals from before it"), (T, CUTOFF + MONTH - DAY - 1, "until the end of its horizon")],
)
def test_a_file_that_does_not_reach_over_the_cutoff_and_its_horizon_is_refused(tmp_path, first, last, told):
    path = signals_file(tmp_path / "signals", [event("c", "order.placed", t) for t in (first, last)])
    with pytest.raises(UsageError, match=told):
        churn_snapshots(SignalFile(path), Question((CUTOFF,), MONTH))


def said(customer, value, about, given):
    data = {"target": "stage", "value": value, "by": "ana"} | ({"about_time": about} if about else {})
    return event(customer, "label.given", given, data)


def test_a_label_of_a_stage_gets_the_row_of_the_moment_that_it_is_about(tmp_path):
    events = [
        event("c", "order.placed", T), event("c", "order.placed", T + 2 * DAY),
        said("c", "strained", "1997-05-20T00:00:00Z", T + 9 * DAY),
        said("c", "steady", None, T + 10 * DAY),
        said("c", "furious", None, T + 11 * DAY),
        said("unknown before", "crisis", None, T),
        event("c", "label.given", T + 12 * DAY, {"target": "churn", "value": True, "by": "ana"}),
    ]  # fmt: skip
    about = T + DAY
    assert about == 864_086_400_000  # 1997-05-20
    snapshots = stage_snapshots(SignalFile(signals_file(tmp_path / "signals", events)))
    assert [STAGES[label] for label in snapshots.labels] == ["strained", "steady"]
    assert snapshots.times.tolist() == [about, T + 10 * DAY]
    assert snapshots.known_at.tolist() == [T + 9 * DAY, T + 10 * DAY]
    assert [column(row, "orders_total") for row in snapshots.rows] == [1, 2]


def test_a_file_without_labels_of_stages_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"label\.given signals of the target stage were required"):
        stage_snapshots(SignalFile(signals_file(tmp_path / "signals", [END])))


def test_rows_are_those_of_the_serving_fold_whatever_the_order_of_the_lines(tmp_path):
    events = [event(one, "message.received", T + n * HOUR, {"channel": "chat"}) for n in range(40) for one in "ab"]
    question = Question((CUTOFF,), MONTH)
    forth = churn_snapshots(SignalFile(signals_file(tmp_path / "forth", [*events, END])), question)
    back = churn_snapshots(SignalFile(signals_file(tmp_path / "back", [END, *reversed(events)])), question)
    by_customer = [dict(zip(s.customers.tolist(), map(np.ndarray.tobytes, s.rows), strict=True)) for s in (forth, back)]
    assert by_customer[0] == by_customer[1]
