from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from membrane.errors import UsageError
from membrane.features import FEATURE_NAMES, fingerprint
from membrane.labelled import Labelled
from membrane.lapse import read_lapse
from membrane.times import DAY
from tests.training.signals import event, signals_file
from training.cutoffs import Question
from training.fitting import Plan, train
from training.gathering import churn_from_signals, from_labelled, stage_from_signals
from training.signal_file import SignalFile

T = 10_000 * DAY
CUTOFF = T + 40 * DAY
MONTH = 30 * DAY
PLAN = Plan(
    name="test", revision="2026-01-01.1", created="2026-01-01T00:00:00Z", folds=2, resamples=5, candidates=("linear",)
)


def shop(tmp_path, customers=200, until=CUTOFF + 2 * MONTH):
    """Who orders every second day goes on; who orders every fifth stops at some time."""
    events = []
    for number in range(customers):
        step = 2 if number % 2 else 5
        stop = until if number % 2 else T + (10 + number % 60) * DAY
        events += [event(f"c-{number}", "order.placed", t) for t in range(T, stop, step * DAY)]
    events.append(event("last", "order.placed", until))
    return SignalFile(signals_file(tmp_path / "signals", events))


def asked(*cutoffs):
    return Question(cutoffs, MONTH, read_lapse("no order.placed for 30d"))


def test_with_one_cutoff_folds_of_the_customers_judge_and_with_several_the_last(tmp_path):
    file = shop(tmp_path)
    one, two = churn_from_signals(file, asked(CUTOFF)), churn_from_signals(file, asked(CUTOFF - MONTH, CUTOFF))
    assert one.examples.times is None
    assert set(two.examples.times.tolist()) == {CUTOFF - MONTH, CUTOFF}
    assert two.examples.groups is not None
    assert (two.horizon_ms, two.examples.fingerprint) == (MONTH, fingerprint())
    report = train("churn", two.examples, replace(PLAN, horizon_ms=two.horizon_ms)).report
    assert (report.learned, report.tested) == (200, 200)
    assert report.figures["auc"].value > 0.8
    assert any("made again of the signals before their moment" in note for note in two.notes)


def test_what_was_left_out_of_the_file_is_told(tmp_path):
    file = shop(tmp_path)
    lines = file.path.read_bytes()
    file.path.write_bytes(lines + lines.splitlines(keepends=True)[0] + b"{}\n")
    notes = churn_from_signals(SignalFile(file.path), asked(CUTOFF)).notes
    assert notes[1] == "1 signals came more than once; the first counts"
    assert notes[2].startswith("1 lines are no signals and were left out; line ")


def test_a_column_that_is_the_label_is_told_of_the_trained_model(tmp_path):
    found = churn_from_signals(shop(tmp_path), asked(CUTOFF)).examples
    rows = found.rows.copy()
    rows[:, FEATURE_NAMES.index("nps_last")] = found.labels
    notes = train("churn", replace(found, rows=rows), PLAN).report.notes
    assert any(note.startswith("nps_last alone separates the classes (AUC 1.000)") for note in notes)


def said(customer, value, about, given):
    data = {"target": "stage", "value": value, "by": "ana"}
    return event(customer, "label.given", given, data | {"about_time": about})


def test_labels_of_stages_judge_from_the_cutoff_on_and_those_given_too_late_are_left_out(tmp_path):
    day = "1997-05-2{}T00:00:00Z"
    events = [
        *(event(one, "order.placed", T) for one in "abc"),
        said("a", "steady", day.format(1), T + 3 * DAY),
        said("b", "steady", day.format(1), T + 9 * DAY),
        said("c", "steady", day.format(7), T + 9 * DAY),
    ]
    file = SignalFile(signals_file(tmp_path / "signals", events))
    found = stage_from_signals(file, T + 4 * DAY)
    assert found.examples.groups.tolist() == ["a", "c"]
    assert (found.test_from, found.notes[-1]) == (T + 4 * DAY, "1 labels given too late left out")
    with pytest.raises(UsageError, match="labels given before it and about moments after it were required"):
        stage_from_signals(file, T + 30 * DAY)


def labelled(time, label, *, delay=DAY, **more):
    given = {
        "partition": 0, "number": 1, "tenant": "default", "customer": f"c-{time}", "offset": 1, "time": time,
        "fingerprint": fingerprint(), "features": (float(label),) * len(FEATURE_NAMES), "target": "churn",
        "label": label, "weight": 0.5, "by": "closed", "about": time, "labelled_at": time + delay,
    }  # fmt: skip
    return Labelled(**given | more)


def test_joined_labels_judge_by_the_latest_fifth_and_learn_what_was_known_when_it_begins():
    rows = [labelled(T + n * DAY, n % 2) for n in range(100)]
    found = from_labelled("churn", rows)
    times = found.examples.times
    assert found.test_from == T + 80 * DAY
    assert times[times < found.test_from].max() == T + 50 * DAY  # whose 30 days have passed by then
    assert (times >= found.test_from).sum() == 20
    assert found.notes == ("29 labels found out after the test part begins left out",)
    assert (set(found.examples.weights.tolist()), set(found.examples.delays_ms.tolist())) == ({0.5}, {DAY})


def test_where_no_label_was_known_before_the_test_part_folds_of_the_customers_judge():
    found = from_labelled("churn", [labelled(T + n * DAY, n % 2) for n in range(20)])
    assert (found.examples.times, found.test_from, len(found.examples.labels)) == (None, None, 20)
    assert "judged by folds of the customers" in found.notes[-1]


def test_labels_of_other_kinds_features_and_made_up_customers_are_no_examples():
    mine, made_up = labelled(T, 3, target="stage"), labelled(T, 1, target="stage", synthetic=True)
    others = [labelled(T, 0, target="stage", fingerprint="0" * 64), labelled(T, 1), made_up]
    found = from_labelled("stage", [mine, *others])
    assert found.examples.labels.tolist() == [3]
    assert found.notes[0] == "1 labels of vectors of other features left out"
    with pytest.raises(UsageError, match="there are none; 1 are of other features"):
        from_labelled("stage", others)
    with pytest.raises(UsageError, match=r"labels of the target stage were required, there are none$"):
        from_labelled("stage", [])


def test_the_rows_are_as_they_were_served():
    row = tuple(np.float32(n / 3).item() for n in range(len(FEATURE_NAMES)))
    found = from_labelled("churn", [labelled(T, 1, features=row)])
    assert found.examples.rows.astype(np.float32).tolist() == [list(row)]
