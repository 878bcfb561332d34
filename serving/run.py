"""Runs the API: uvicorn in this process, until SIGTERM or SIGINT, or until the parent is gone."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import uvloop

from serving.config import ServeConfig
from serving.http import DRAIN_SECONDS, Server, listening_socket
from serving.problems import report
from serving.tracing import Traced
from storage.directory import DataDir
from storage.metric_files import use_directory
from storage.traces import open_traces

if TYPE_CHECKING:
    from serving.app import Api
    from serving.services import Services
    from storage.otel import Traces

_METRIC_KINDS: Final = ("counter", "histogram", "gauge_livemostrecent")
_PARENT_SECONDS: Final = 0.5
UNHEALTHY: Final = 4
_logger: Final = logging.getLogger("membrane.serving")


def serve(config: ServeConfig) -> int:
    """Serves until told to stop and returns the exit status: 0, 130 after Ctrl-C, 4 if it cannot go on.

    Raises UsageError (port taken, keys, host) and the errors of `Services.open` before it listens.
    """
    signal.signal(signal.SIGTERM, _leave)  # until the event loop takes over
    listening = listening_socket(config.host, config.port, share=config.share_port)
    directory = DataDir.open(config.data, config.partitions)
    use_directory(directory.run_path / "metrics", _METRIC_KINDS)
    # Only now: prometheus-client decides when it is imported whether its metrics are shared.
    from serving.app import create_app  # noqa: PLC0415 - see above
    from serving.services import Services  # noqa: PLC0415 - see above

    services, traces = Services.open(config), open_traces("serve")
    try:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(create_app(services), services, listening, traces))
    finally:
        services.close()
        if traces is not None:
            traces.close()


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)


async def _run(app: Api, services: Services, listening: socket.socket, traces: Traces | None) -> int:
    """Serves, drains and returns the exit status: 0, 130 after Ctrl-C, 4 if a task beside the answers ended."""
    stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _stop_on_signals(stop)
    asyncio.get_running_loop().set_exception_handler(_report)
    server = Server(app if traces is None else Traced(app, traces), services.config)
    serving = asyncio.create_task(server.serve([listening]))
    helpers = [asyncio.create_task(services.maintain()), asyncio.create_task(app.revoker.run())]
    if services.config.parent_pid is not None:
        helpers.append(asyncio.create_task(_watch_parent(services.config.parent_pid, stop)))
    for task in helpers:
        task.add_done_callback(lambda task: _helper_ended(task, stop))
    ends: list[asyncio.Future[Any]] = [serving, stop]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    # What is in flight is answered; who is still sending a body after this long is not waited for.
    await asyncio.wait([serving], timeout=DRAIN_SECONDS + 1)
    for task in helpers:
        task.cancel()
    if serving.done():
        serving.result()
    return stop.result() if stop.done() else 0


def _stop_on_signals(stop: asyncio.Future[int]) -> None:
    for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stop, status)


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong beside a request; the words of the loop would show what was being handled."""
    if "exception" in context:
        report(context["exception"])
    else:
        _logger.error("the event loop: %s", context["message"])


def _stop(stop: asyncio.Future[int], status: int) -> None:
    if not stop.done():
        stop.set_result(status)


def _helper_ended(task: asyncio.Task[None], stop: asyncio.Future[int]) -> None:
    """Ends the process when what works beside the answers has ended: it would answer as if no time passed."""
    if stop.done() or task.cancelled():
        return
    _logger.error("a task beside the API ended, so it stops: start it again (`membrane up` does)")
    error = task.exception()
    if error is not None:
        report(error)
    _stop(stop, UNHEALTHY)


async def _watch_parent(parent: int, stop: asyncio.Future[int]) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - nobody tells us of it
        await asyncio.sleep(_PARENT_SECONDS)
    _stop(stop, 0)
