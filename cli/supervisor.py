"""The supervisor: starts the children, says when all is ready, restarts what dies, and stops all of it as one."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli.exits import ANOTHER_WRITER, DONE, FAILED, INTERRUPTED, UNHEALTHY, USAGE
from cli.processes import clear_pid, describe_end, reap, spawn, write_pid

MOST_RESTARTS: Final = 5
PER_SECONDS: Final = 60.0
STOP_SECONDS: Final = 4.0
_READY_POLL_SECONDS: Final = 0.05
_POLL_SECONDS: Final = 1.0
_HOPELESS: Final = frozenset({FAILED, USAGE, ANOTHER_WRITER})
_STOPPED_BY: Final = {signal.SIGTERM: DONE, signal.SIGHUP: DONE, signal.SIGINT: INTERRUPTED}
_HEARD: Final = frozenset({*_STOPPED_BY, signal.SIGCHLD})
_logger: Final = logging.getLogger("membrane.up")


@dataclass(slots=True)
class Child:
    """One process to keep alive: `membrane COMMAND`, its pid in a file. `replaceable`: another process may take over
    its work while it runs; then it is left ended and the others go on. `optional`: it is started once the others are
    ready, and where no restart helps it is left ended, too."""

    name: str
    command: list[str]
    pid_path: Path
    replaceable: bool = False
    optional: bool = False
    pid: int = 0
    restarts: deque[float] = field(default_factory=deque)

    def start(self) -> None:
        """Starts it."""
        self.pid = spawn(self.command)
        write_pid(self.pid_path, self.pid)
        _logger.info("%s started, pid %s", self.name, self.pid)

    def ended(self) -> int | None:
        """How it ended since it was started; None while it lives."""
        code = reap(self.pid) if self.pid else None
        if code is not None:
            clear_pid(self.pid_path, self.pid)
            self.pid = 0
        return code


class Supervisor:
    """Runs the children until told to stop. `is_ready` is asked until it says yes, then `announce` is called once."""

    def __init__(
        self, children: Sequence[Child], *, is_ready: Callable[[], bool], announce: Callable[[], None]
    ) -> None:
        self._children = children
        self._is_ready = is_ready
        self._announce = announce
        self._waiting = True

    def run(self) -> int:
        """The exit code: 0 after SIGTERM, 130 after Ctrl-C, 4 when a child dies too often, a child's own code when it
        ends for a reason that a restart does not mend. No child is left behind."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            self._start(optional=False)
            return self._watch()
        finally:
            stop(self._children)

    def _watch(self) -> int:
        while True:
            heard = signal.sigtimedwait(_HEARD, _READY_POLL_SECONDS if self._waiting else _POLL_SECONDS)
            if heard is not None and heard.si_signo in _STOPPED_BY:
                return _STOPPED_BY[signal.Signals(heard.si_signo)]
            for child in self._children:
                code = child.ended()
                end = None if code is None else self._restart(child, code)
                if end is not None:
                    return end
            if self._waiting and self._is_ready():
                self._waiting = False
                self._announce()
                self._start(optional=True)

    def _start(self, *, optional: bool) -> None:
        for child in self._children:
            if child.optional is optional:
                child.start()

    def _restart(self, child: Child, code: int) -> int | None:
        """Starts a child that has ended again; our exit code when that would be no use. One that was refused at the
        very start has nobody to leave its work to."""
        if code == ANOTHER_WRITER and child.replaceable and not self._waiting:
            _logger.warning(
                "%s was taken over by another process; the others go on (when it ends, start anew)", child.name
            )
            return None
        if code in _HOPELESS:
            return self._give_up(child, f"ended ({describe_end(code)})", code)
        now = time.monotonic()
        while child.restarts and child.restarts[0] <= now - PER_SECONDS:
            child.restarts.popleft()
        if len(child.restarts) == MOST_RESTARTS:
            often = f"ended {MOST_RESTARTS + 1} times within a minute, the last time {describe_end(code)}"
            return self._give_up(child, often, UNHEALTHY)
        child.restarts.append(now)
        count = len(child.restarts)
        _logger.warning(
            "%s ended (%s): restart %s of %s a minute", child.name, describe_end(code), count, MOST_RESTARTS
        )
        child.start()
        return None

    def _give_up(self, child: Child, how: str, code: int) -> int | None:
        """Our exit code when a child cannot go on; none when the others can do without it."""
        if child.optional:
            _logger.error("%s %s; the others go on without it", child.name, how)
            return None
        if code == UNHEALTHY:
            _logger.error("%s %s", child.name, how)
        return code


def stop(children: Sequence[Child]) -> None:
    """Ends every child: asked first, killed after four seconds. Call it with SIGCHLD blocked."""
    for child in children:
        _send(child, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _living(children) and (left := deadline - time.monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, left)
    for child in _living(children):
        _send(child, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        clear_pid(child.pid_path, child.pid)


def _living(children: Sequence[Child]) -> list[Child]:
    for child in children:
        child.ended()
    return [child for child in children if child.pid]


def _send(child: Child, number: signal.Signals) -> None:
    if child.pid:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)
