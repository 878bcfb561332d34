from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cli.processes import clear_pid, describe_end, own_environment, pid_file, read_pid, write_pid
from membrane.errors import UsageError

_DEAD = 2**22 + 1  # above the greatest pid of Linux


def test_a_pid_file_holds_our_pid_while_we_run(tmp_path):
    path = tmp_path / "run" / "up.pid"
    with pid_file(path):
        assert read_pid(path) == os.getpid()
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "x", str(_DEAD), "-1", "9" * 40])
def test_a_pid_file_without_a_live_pid_tells_none(tmp_path, content):
    path = tmp_path / "up.pid"
    path.write_text(content)
    assert read_pid(path) is None


def test_a_pid_file_that_somebody_else_has_taken_over_is_left_alone(tmp_path):
    path = tmp_path / "up.pid"
    write_pid(path, 1)
    clear_pid(path, os.getpid())
    assert path.read_text() == "1\n"


def test_a_path_that_cannot_be_a_data_directory_is_a_mistake_of_the_user(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="a directory to write to was required"),
        pid_file(tmp_path / "file/run/up.pid"),
    ):
        pass


def test_a_child_gets_no_option_from_our_environment(monkeypatch):
    monkeypatch.setenv("MEMBRANE_PRINCIPLES", "etiquette.yaml")
    assert not any(name.startswith("MEMBRANE_") for name in own_environment())


def test_an_end_is_told_in_words():
    assert describe_end(3) == "exit code 3"
    assert describe_end(-signal.SIGKILL) == "SIGKILL"


def test_a_child_whose_parent_is_gone_already_ends_at_once():
    command = [sys.executable, "-m", "cli.main", "stream", "--data", "/nowhere", "--parent-pid", "1"]
    assert subprocess.run(command, env=own_environment(), check=False, timeout=10).returncode == 0
