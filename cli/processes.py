"""Processes: children that die with their parent, and files that hold live pids."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

from cli.options import VARIABLE_PREFIX
from membrane.errors import UsageError

_PR_SET_PDEATHSIG: Final = 1
_ROOT: Final = Path(__file__).resolve().parents[1]


def follow_parent(parent: int) -> None:
    """From now on the kernel kills this process when its parent dies, however it dies; now if it is dead already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def leave_on_sigterm() -> None:
    """From now on SIGTERM ends this process in order, with exit code 0, wherever it is."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)


def spawn(command: list[str]) -> int:
    """Starts `membrane COMMAND` as our child in our process group; its pid. It dies with us.

    It runs the code that we run, whatever the working directory holds, and leaves Ctrl-C to us: it has SIGINT blocked.
    """
    return os.posix_spawn(sys.executable, command_line(command), own_environment(), setsigmask=[signal.SIGINT])


def command_line(command: list[str]) -> list[str]:
    """`membrane COMMAND` as a program and its arguments, for a child that is to die with us."""
    return [sys.executable, "-P", "-m", "cli.main", *command, "--parent-pid", str(os.getpid())]


def own_environment() -> dict[str, str]:
    """Our environment for a child: the packages that we run first on the path, and no options: flags say them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE_PREFIX)}
    others = os.environ.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": f"{_ROOT}{os.pathsep}{others}" if others else str(_ROOT)}


def reap(pid: int) -> int | None:
    """How a child ended: its exit code, or minus the number of the signal that killed it; None while it lives."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def describe_end(code: int) -> str:
    """How a process ended, in words.

    >>> describe_end(4), describe_end(-9)
    ('exit code 4', 'SIGKILL')
    """
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def write_whole(path: Path, text: str) -> None:
    """Puts a line of ASCII into a file that others wait for; they see the old or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="ascii")
    temporary.replace(path)


def write_pid(path: Path, pid: int) -> None:
    """Puts a pid into a file; readers see the old or the new one, whole."""
    write_whole(path, f"{pid}\n")


def read_pid(path: Path) -> int | None:
    """The pid in a file if that process lives, else None."""
    try:
        pid = int(path.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, ValueError, OverflowError):
        return None
    return pid if pid > 0 else None


def clear_pid(path: Path, pid: int) -> None:
    """Removes a pid file if it still holds that pid."""
    with suppress(OSError, ValueError):
        if int(path.read_text(encoding="ascii")) == pid:
            path.unlink()


@contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """Holds our pid in a file while the block runs. UsageError if the data directory cannot be one."""
    try:
        write_pid(path, os.getpid())
    except OSError as error:
        raise UsageError(f"--data {path.parents[1]}: a directory to write to was required: {error.strerror}") from error
    try:
        yield
    finally:
        clear_pid(path, os.getpid())
