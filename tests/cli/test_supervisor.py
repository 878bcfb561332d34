"""The supervisor over small children; each test runs it in a process of its own, whose signals it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from cli.processes import own_environment

SCRIPT = """
import os, sys
from pathlib import Path
from cli import supervisor
from cli.supervisor import Child, Supervisor
folder = Path(sys.argv[1])
def spawn(command):
    return os.posix_spawn(sys.executable, [sys.executable, "-c", *command], dict(os.environ))
supervisor.spawn = spawn
children = [
    Child(f"child {n}", [code], folder / f"{n}.pid", replaceable="now" in code, optional="optional" in code)
    for n, code in enumerate(sys.argv[2:])
]
def announce():
    print("ready", *(child.pid for child in children), flush=True)
sys.exit(Supervisor(children, is_ready=lambda: True, announce=announce).run())
"""
SLEEP = "import time; time.sleep(60)"
REPLACED = """
import sys, time
from pathlib import Path
while not Path({!r}, "now").exists():
    time.sleep(0.01)
sys.exit(3)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def supervise(folder, *children: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(folder), *children]
    return subprocess.Popen(command, env=own_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_children_and_then_the_supervisor(tmp_path, number, code):
    process = supervise(tmp_path, SLEEP, SLEEP)
    pids = [int(word) for word in process.stdout.readline().split()[1:]]

    process.send_signal(number)

    assert process.wait(30) == code
    process.communicate()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not list(tmp_path.iterdir())


def test_a_child_that_does_not_listen_is_killed_within_five_seconds(tmp_path):
    process = supervise(tmp_path, DEAF)
    process.stdout.readline()
    time.sleep(0.2)  # the child is on its way to be deaf
    began = time.monotonic()
    process.terminate()
    assert process.wait(6) == 0
    assert time.monotonic() - began < 5
    process.communicate()


def test_a_child_that_dies_is_started_five_times_and_then_all_ends_with_4(tmp_path):
    process = supervise(tmp_path, "import os; os.kill(os.getpid(), 11)", SLEEP)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 4
    assert errors.count("restart ") == 5
    assert "child 0 ended 6 times within a minute, the last time SIGSEGV" in errors


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_child_that_ends_for_a_reason_that_stays_is_not_started_again(tmp_path, code):
    process = supervise(tmp_path, f"raise SystemExit({code})", SLEEP)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "restart" not in errors


def test_a_child_that_was_taken_over_is_left_and_the_others_go_on(tmp_path):
    process = supervise(tmp_path, REPLACED.format(str(tmp_path)), SLEEP)
    _, other = process.stdout.readline().split()[1:]
    (tmp_path / "now").touch()
    assert "child 0 was taken over by another process; the others go on" in process.stderr.readline()
    assert process.poll() is None
    os.kill(int(other), 0)
    assert not (tmp_path / "0.pid").exists()
    process.terminate()
    process.communicate(timeout=5)
    assert process.returncode == 0


@pytest.mark.parametrize("code", [1, 3])
def test_an_optional_child_that_no_restart_helps_is_left_and_the_others_go_on(tmp_path, code):
    process = supervise(tmp_path, SLEEP, f"optional = 1; raise SystemExit({code})")
    error = process.stderr.readline()
    assert f"child 1 ended (exit code {code}); the others go on without it" in error
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
    process.communicate()


def test_an_optional_child_that_dies_too_often_is_left_and_the_others_go_on(tmp_path):
    process = supervise(tmp_path, SLEEP, "optional = 1; import os; os.kill(os.getpid(), 9)")
    errors = [process.stderr.readline() for _ in range(6)]
    assert "restart 5 of 5 a minute" in errors[4]
    assert "child 1 ended 6 times within a minute, the last time SIGKILL; the others go on without it" in errors[5]
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
    process.communicate()


def test_an_optional_child_is_started_once_the_others_are_ready(tmp_path):
    process = supervise(tmp_path, SLEEP, "optional = 1; import time; time.sleep(60)")
    first, second = process.stdout.readline().split()[1:]
    assert (int(first) > 0, int(second)) == (True, 0)
    deadline = time.monotonic() + 60
    while not (tmp_path / "1.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(int((tmp_path / "1.pid").read_text()), 0)
    process.terminate()
    assert process.wait(30) == 0
    process.communicate()


def test_pid_files_hold_the_pids_of_the_children(tmp_path):
    process = supervise(tmp_path, SLEEP, SLEEP)
    pids = process.stdout.readline().split()[1:]
    assert [(tmp_path / f"{number}.pid").read_text().strip() for number in range(2)] == pids
    process.terminate()
    process.communicate(timeout=5)
