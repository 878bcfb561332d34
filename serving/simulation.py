"""POST /v1/principles/simulate: a draft tried on the contacts of the last days, in a process of its own.

Replaying the log takes a core for a while, which the decisions made here need. One simulation at a time, for at most
`SIMULATION_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from membrane.times import format_time, parse_time
from serving.limits import SIMULATION_SECONDS
from serving.problems import Problem, invalid_field, unavailable

Child = Callable[[list[str]], tuple[Sequence[str], Mapping[str, str]]]
"""The command line and the environment of `membrane COMMAND` as our child."""

_RETRY_AFTER_SECONDS: Final = 10
_logger: Final = logging.getLogger("membrane.serving")


class Simulations:
    """Runs `child`; Problem 503 without one."""

    def __init__(self, child: Child | None, data: str, *, seconds: float = SIMULATION_SECONDS) -> None:
        self._child = child
        self._data = data
        self._seconds = seconds
        self._one = asyncio.Lock()

    async def run(self, draft: bytes, tenant: str, days: int, at: int | None) -> bytes:
        """The outcome as JSON. Problem 429 while another runs, 503 when it takes too long or fails."""
        if self._child is None:
            raise unavailable("this process cannot start another: use `membrane principles simulate`")
        if self._one.locked():
            headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
            raise Problem(429, "busy", "a simulation is running: try again when it is done", headers=headers)
        words = ["principles", "simulate", "--json", "--draft=-", f"--data={self._data}", f"--tenant={tenant}"]
        words += [f"--days={days}", *(() if at is None else (f"--at={format_time(at)}",))]
        command, environment = self._child(words)
        async with self._one:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            return await self._outcome(process, draft)

    async def _outcome(self, process: Process, draft: bytes) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                outcome, told = await process.communicate(draft)
        except TimeoutError:
            detail = f"it took longer than {self._seconds:g} seconds: use `membrane principles simulate`, or fewer days"
            raise unavailable(detail) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            _logger.error("a simulation ended with %s: %s", process.returncode, told.decode(errors="replace").strip())
            raise unavailable("the simulation could not be made: its operator must look")
        return outcome


def parse_at(text: str | None) -> int | None:
    """The moment that a parameter names (ms); Problem 422."""
    try:
        return None if text is None else parse_time(text)
    except ValueError:
        raise invalid_field("at", "must be RFC 3339 with an offset, such as 2026-11-23T00:00:00Z") from None
