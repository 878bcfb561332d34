"""The stream as a process: one writer for each partition, two that share, and a clean end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from membrane.errors import AnotherWriter, UsageError
from storage.digest import digest
from storage.lock import partition_lock
from stream.runner import Stopping, StreamConfig, run_stream
from tests.stream.made import apply_log, log_ends, make_data, some_signals, state_of

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from pathlib import Path
from membrane.errors import AnotherWriter
from stream.runner import Stopping, StreamConfig, run_stream
data, runner, index, count, *at_once = sys.argv[1:]
stopping, share = Stopping(), (int(index), int(count))
if at_once == ["stop at once"]:
    stopping.ask()
try:
    run_stream(StreamConfig(Path(data), runner, 64, takeover=at_once == ["--takeover"], share=share), stopping)
except AnotherWriter:
    sys.exit(3)
"""
DEADLINE_SECONDS = 150

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a stream process; whatever still runs at the end is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def run(data: Path, runner: str = "plain", share: tuple[int, int] = (0, 1), *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", RUN, str(data), runner, *map(str, share), *more]
        running.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()


def until(true: Callable[[], bool]) -> None:
    """Waits for something, not for ever."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def applied(data: Path) -> bool:
    return digest(data).offsets == log_ends(data)


def stopped(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """The exit code after SIGTERM, and the seconds it took."""
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    return process.wait(DEADLINE_SECONDS), time.monotonic() - asked


def test_two_processes_with_a_share_each_equal_one_and_end_cleanly_when_told(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored: None
) -> None:
    signals = some_signals(300)
    one = make_data(tmp_path / "one", signals, partitions=3)
    apply_log(one, monkeypatch)
    two = make_data(tmp_path / "two", signals, partitions=3)
    processes = [start(two, "bytewax", (0, 2)), start(two, "plain", (1, 2))]
    until(lambda: applied(two))
    for process in processes:
        code, seconds = stopped(process)
        assert code == 0
        assert seconds < 5
    assert state_of(two) == state_of(one)


def test_a_second_writer_is_told_at_once_and_the_first_goes_on(start: Start, tmp_path: Path, restored: None) -> None:
    data = make_data(tmp_path / "data", some_signals(20))
    first = start(data)
    until(lambda: applied(data))
    asked = time.monotonic()
    with pytest.raises(AnotherWriter, match=f"process {first.pid}"):
        run_stream(StreamConfig(data, runner="plain"), stopped_already())
    assert time.monotonic() - asked < 5
    assert first.poll() is None


def test_who_took_over_gets_the_lock_once_the_other_is_gone(start: Start, tmp_path: Path, restored: None) -> None:
    data = make_data(tmp_path / "data", some_signals(20))
    old = start(data)
    until(lambda: applied(data))
    new = start(data, "plain", (0, 1), "--takeover")
    assert old.wait(DEADLINE_SECONDS) == 3
    locks = [partition_lock(data, number) for number in range(2)]

    def refused() -> bool:
        for lock in locks:
            if lock.acquire_if_free():
                lock.release()
                return False
        return True

    until(refused)
    with pytest.raises(AnotherWriter, match=f"process {new.pid}"):
        run_stream(StreamConfig(data, runner="plain"), stopped_already())
    assert new.poll() is None
    assert stopped(new)[0] == 0


def test_a_killed_writer_leaves_no_lock_behind(start: Start, tmp_path: Path, restored: None) -> None:
    data = make_data(tmp_path / "data", some_signals(20))
    first = start(data)
    until(lambda: applied(data))
    first.kill()
    first.wait()
    assert start(data, "plain", (0, 1), "stop at once").wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize("runner", ["plain", "bytewax"])
def test_told_to_stop_before_it_began_it_ends_without_applying_anything(
    runner: str, start: Start, tmp_path: Path
) -> None:
    data = make_data(tmp_path / "data", some_signals(20))
    assert start(data, runner, (0, 1), "stop at once").wait(DEADLINE_SECONDS) == 0
    assert digest(data).offsets == [0, 0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish_to_stop(number: signal.Signals, restored: None) -> None:
    stopping = Stopping()
    assert stopping() is False
    stopping.listen()
    os.kill(os.getpid(), number)
    assert stopping() is True


def test_another_number_of_partitions_than_there_are_is_refused(tmp_path: Path, restored: None) -> None:
    data = make_data(tmp_path / "data")
    with pytest.raises(UsageError, match="partitions"):
        run_stream(StreamConfig(data, partitions=5), stopped_already())


def stopped_already() -> Stopping:
    stopping = Stopping()
    stopping.ask()
    return stopping
