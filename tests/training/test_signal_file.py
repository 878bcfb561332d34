from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membrane.errors import UsageError
from membrane.times import DAY, HOUR
from tests.training.signals import event, signals_file
from training.signal_file import SHOWN_REFUSALS, SignalFile

T = 10_000 * DAY


def ids(file, **options):
    return [signal.stored.id for signal in file.signals(**options)]


@settings(max_examples=40)
@given(times=st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_signals_come_by_time_and_those_of_one_time_by_line(tmp_path_factory, times):
    path = tmp_path_factory.mktemp("signals") / "signals"
    file = SignalFile(
        signals_file(path, [event("c", "order.placed", T + t * HOUR, name=str(n)) for n, t in enumerate(times)])
    )
    expected = [str(n) for _, n in sorted((t, n) for n, t in enumerate(times))]
    assert ids(file) == expected
    assert ids(file, before=T + 3 * HOUR) == expected[: sum(t < 3 for t in times)]
    assert (file.first_time, file.last_time) == (T + min(times) * HOUR, T + max(times) * HOUR)


def test_of_one_source_and_id_the_first_line_counts(tmp_path):
    lines = [event("c", "order.placed", T + 9, {"amount": 1}, "a"), event("c", "order.placed", T, {"amount": 2}, "a")]
    file = SignalFile(signals_file(tmp_path / "signals", lines))
    assert [signal.typed.amount for signal in file.signals()] == [1]
    assert file.duplicates == 1


def test_customers_can_be_picked_and_progress_reaches_the_end(tmp_path):
    lines = [event(one, "order.placed", T + n) for n, one in enumerate("abab")]
    read, seen = [], []
    file = SignalFile(
        signals_file(tmp_path / "signals", lines), progress=lambda done, total: read.append((done, total))
    )
    assert ids(file, customers={"b"}, progress=lambda done, total: seen.append((done, total))) == [
        f"b-order.placed-{T + n}" for n in (1, 3)
    ]
    size = (tmp_path / "signals").stat().st_size
    assert (read[-1], seen[-1]) == ((size, size), (4, 4))


def test_what_ingest_would_not_take_is_left_out_and_told_by_line(tmp_path):
    bad = [event("c", "order.placed", T) | {"time": "yesterday"}, event("c", "order.eaten", T)]
    path = signals_file(tmp_path / "signals", [*bad, event("c", "order.placed", T, name="good"), *bad * 3])
    file = SignalFile(path)
    assert ids(file) == ["good"]
    assert file.refusals.lines == 8
    assert len(file.refusals.reasons) == SHOWN_REFUSALS
    assert file.refusals.reasons[0].startswith("line 1: /time: must be RFC 3339")
    assert file.refusals.reasons[1] == "line 2: /type: a type that is known was required"


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "the file is empty"), ("\n", "the file is empty"), ("{}\n", "none of 1 lines is one; line 1: ")],
)
def test_a_file_without_signals_is_refused(tmp_path, text, told):
    (tmp_path / "signals").write_text(text)
    with pytest.raises(UsageError, match=told):
        SignalFile(tmp_path / "signals")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: a file of signals was required"):
        SignalFile(tmp_path / "nowhere")
