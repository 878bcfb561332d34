"""Faults 5 and 6: a second writer, and a paused writer that comes back after another has taken over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from storage.directory import DataDir
from storage.lock import partition_lock
from tests.faults.conftest import MadeLog, Tell
from tests.faults.sizes import short_and_full
from tests.processes import SINGLE, applied, digest, event, run, stream, up, wait_applied, wait_until

SEED = 20261123
SIGNALS = 3_000


def test_a_second_writer_is_told_so_within_a_second(tmp_path: Path, tell: Tell) -> None:
    data, seconds = tmp_path / "data", []
    with up(data, "--runner", "plain") as first:
        pids = {first.pid("up"), first.pid("stream")}
        for kind in ("up", "stream", "stream --runner bytewax"):
            began = time.monotonic()
            second = run(*kind.split(), "--data", data, *(("--port", 0) if kind == "up" else ()))
            seconds.append(time.monotonic() - began)
            assert second.returncode == 3
            assert "one writer at a time" in second.stderr
            assert any(f"process {pid} " in second.stderr for pid in pids)
        assert {first.pid("up"), first.pid("stream")} == pids
        assert first.is_ready()
    # The best of three: the machine may be busy with other tests.
    assert min(seconds) < 1
    tell(f"fault 5: second writers refused 3 of 3 with exit 3, after {min(seconds):.2f} to {max(seconds):.2f} s")


@pytest.mark.parametrize("runner", ["plain", "bytewax"])
@pytest.mark.parametrize("pauses", short_and_full(1, 10))
def test_a_paused_writer_that_was_taken_over_ends_without_another_write(
    tmp_path: Path, made_log: Callable[[int], MadeLog], tell: Tell, runner: str, pauses: int
) -> None:
    made, random = made_log(SIGNALS), Random(f"{SEED} {runner}")
    for number in range(pauses):
        data = made.copy(tmp_path / f"data-{number}")
        with stream(data, "--runner", runner, "--batch", 32) as old:
            wait_until(lambda: applied(data) > 0, "the first commit", every=0.002)  # noqa: B023
            time.sleep(random.uniform(0, 0.1))
            _pause_between_commits(old.process.pid, data)
            paused_at = applied(data)
            with stream(data, "--runner", runner, "--batch", 32, "--takeover") as new:
                wait_until(lambda: applied(data) > paused_at, "commits of the new writer")  # noqa: B023
                os.kill(old.process.pid, signal.SIGCONT)
                assert old.process.wait(30) == 3
                assert "a newer writer has taken over" in old.errors()
                new.wait_applied()
                assert new.stop() == 0
        assert digest(data) == made.digest
    tell(f"fault 6: {runner}, seed {SEED}: {pauses} pauses and takeovers, exit 3, stale writes 0, digest equal")


def test_the_api_of_an_up_whose_stream_was_taken_over_goes_on_and_a_third_writer_is_refused(
    tmp_path: Path, tell: Tell
) -> None:
    data = tmp_path / "data"
    with up(data, "--runner", "plain", "--clock", "signals") as running, running.client() as client:
        with stream(data, "--runner", "plain", "--takeover") as new:
            wait_until(lambda: "was taken over by another process" in running.errors(), "the word of `up`")
            wait_until(lambda: _is_refused(data), "the lock of the new writer")
            signal_ = event("s-1", "message.received", "c-1", "2026-11-20T00:00:00Z", channel="email")
            assert client.post("/v1/signals", json=signal_, headers=SINGLE).status_code == 202
            wait_applied(data)
            assert client.get("/v1/customers/c-1").status_code == 200
            assert new.stop() == 0
        assert running.is_ready()
        assert running.stop() == 0
    tell("fault 6: the stream of `up` taken over: the API goes on, a third writer is refused with exit 3")


def _is_refused(data: Path) -> bool:
    return all(_taken(data, number) for number in range(DataDir.existing(data).partitions))


def _taken(data: Path, partition: int) -> bool:
    lock = partition_lock(data, partition)
    taken = not lock.acquire_if_free()
    lock.release()
    return taken


def _pause_between_commits(pid: int, data: Path) -> None:
    """SIGSTOP; one that hits inside a commit holds the store's own lock, and nobody can take that over: try again."""
    os.kill(pid, signal.SIGSTOP)
    while any(map(_is_locked, data.glob("records-*.db"))):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.003)
        os.kill(pid, signal.SIGSTOP)


def _is_locked(path: Path) -> bool:
    with closing(apsw.Connection(str(path))) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE; ROLLBACK")
        except apsw.BusyError:
            return True
    return False
