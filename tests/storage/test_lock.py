"""One writer at a time, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from membrane.errors import AnotherWriter
from storage.lock import WriterLock, dir_lock, partition_lock

HOLDER = """
import sys
from storage.lock import WriterLock
WriterLock(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "x.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_told_the_pid_of_the_first(tmp_path, holder):
    with pytest.raises(AnotherWriter, match=f"process {holder.pid} is it"):
        WriterLock(tmp_path / "x.lock").acquire()


def test_the_kernel_frees_the_lock_of_a_killed_holder(tmp_path, holder):
    holder.kill()
    holder.wait()
    with WriterLock(tmp_path / "x.lock").acquire() as lock:
        assert lock.held


def test_a_takeover_goes_past_a_paused_holder_and_gets_the_lock_once_it_is_gone(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    lock = WriterLock(tmp_path / "x.lock").acquire(takeover=True)
    assert not lock.held
    assert lock.holder() == f"process {os.getpid()}"
    holder.kill()
    holder.wait()
    assert lock.acquire_if_free()
    assert lock.held
    lock.release()


def test_whoever_waits_gets_the_lock_of_one_who_soon_ends_and_says_so(tmp_path, holder):
    threading.Timer(0.2, holder.kill).start()
    with WriterLock(tmp_path / "x.lock").acquire(patience_seconds=10) as lock:
        assert lock.holder() == f"process {os.getpid()}"
        with pytest.raises(AnotherWriter, match=f"process {os.getpid()} is it"):
            WriterLock(tmp_path / "x.lock").acquire(patience_seconds=0.05)


def test_a_released_lock_can_be_taken_again(tmp_path):
    first = WriterLock(tmp_path / "x.lock").acquire()
    first.release()
    first.release()
    with first.acquire(), pytest.raises(AnotherWriter):
        WriterLock(tmp_path / "x.lock").acquire()


def test_a_lock_file_with_other_content_still_gives_a_message(tmp_path):
    path = tmp_path / "x.lock"
    with WriterLock(path).acquire():
        path.write_bytes(b"\xff")
        with pytest.raises(AnotherWriter, match="an unknown process is it"):
            WriterLock(path).acquire()


def test_each_role_and_each_partition_has_its_own_lock(tmp_path):
    locks = [
        dir_lock(tmp_path, "up"),
        dir_lock(tmp_path, "stream"),
        partition_lock(tmp_path, 0),
        partition_lock(tmp_path, 1),
    ]
    assert [lock.acquire().path.name for lock in locks] == [
        "up.lock",
        "stream.lock",
        "records-0.lock",
        "records-1.lock",
    ]
    assert all(lock.held for lock in locks)
    for lock in locks:
        lock.release()


def test_the_lock_is_had_before_anything_heavy_is_imported():
    heavy = "import sys, storage.lock; print({'apsw', 'numpy', 'msgspec', 'yaml'} & sys.modules.keys() or '')"
    shown = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""
