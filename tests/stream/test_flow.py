"""Law 1 on real stores: the runner, the batches and the number of processes do not show."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.flow import LogPart, LogSource
from tests.stream.made import append, apply_log, log_ends, make_data, some_signals, state_of

pytestmark = pytest.mark.usefixtures("restored")


@pytest.mark.parametrize("model", [False, True], ids=["rules", "model"])
def test_bytewax_plain_and_two_shares_write_the_same_stores(
    model: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = some_signals()
    ways = {
        "plain": [{"runner": "plain", "batch": 512}],
        "one by one": [{"runner": "plain", "batch": 1}],
        "bytewax": [{"runner": "bytewax", "batch": 7}],
        "two shares": [{"runner": "bytewax", "share": (0, 2)}, {"runner": "plain", "share": (1, 2)}],
    }
    states = {}
    for name, runs in ways.items():
        data = make_data(tmp_path / name, signals, partitions=3, model=model)
        for run in runs:
            apply_log(data, monkeypatch, **run)  # type: ignore[arg-type]
        states[name] = state_of(data)
        assert states[name][0].offsets == log_ends(data)
    assert states["plain"][0].customers == 30
    assert all(state == states["plain"] for state in states.values())


def test_a_stop_and_another_start_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signals = some_signals(200)
    whole = make_data(tmp_path / "whole", signals)
    apply_log(whole, monkeypatch)
    pieces = make_data(tmp_path / "pieces", signals[:90])
    apply_log(pieces, monkeypatch, runner="bytewax")
    append(pieces, signals[90:])
    apply_log(pieces, monkeypatch, runner="bytewax", batch=5)
    assert state_of(pieces) == state_of(whole)


@pytest.mark.parametrize("step", ["next_block", "apply", "write"])
def test_what_a_step_raises_comes_out_of_the_engine_as_it_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    data = make_data(tmp_path / "data", some_signals(10))

    class Broken(Exception):
        """Made up."""

    def broken(*_: object) -> None:
        raise Broken

    monkeypatch.setattr(f"stream.partition.Partition.{step}", broken)
    with pytest.raises(Broken):
        apply_log(data, monkeypatch, runner="bytewax")


class Idle:
    """A partition with nothing to do."""

    def next_block(self) -> None:
        return None


def test_an_idle_part_sleeps_a_little_holds_no_state_and_ends_when_told() -> None:
    asked: list[bool] = [False, True]
    source = LogSource({3: Idle()}, lambda: asked.pop(0))  # type: ignore[dict-item]
    assert source.list_parts() == ["3"]
    part = source.build_part("log", "3", None)
    assert isinstance(part, LogPart)
    assert (part.next_awake(), part.next_batch(), part.snapshot()) == (None, [], None)
    assert part.next_awake() is not None
    with pytest.raises(StopIteration):
        part.next_batch()
