"""Runs the API: granian in this process, until SIGTERM or SIGINT, or until the parent is gone."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from membrane.errors import UsageError
from serving.config import ServeConfig
from serving.limits import HEADER_SECONDS
from serving.problems import report
from storage.directory import DataDir
from storage.metric_files import use_directory

if TYPE_CHECKING:
    from serving.app import Api
    from serving.services import Services

DRAIN_SECONDS: Final = 3.0
_METRIC_KINDS: Final = ("counter", "histogram", "gauge_livemostrecent")
_PARENT_SECONDS: Final = 0.5
_BACKLOG: Final = 1024
UNHEALTHY: Final = 4
_logger: Final = logging.getLogger("membrane.serving")


def serve(config: ServeConfig) -> int:
    """Serves until told to stop and returns the exit status: 0, 130 after Ctrl-C, 4 if it cannot go on.

    Raises UsageError (port taken, keys, host) and the errors of `Services.open` before it listens.
    """
    signal.signal(signal.SIGTERM, _leave)  # until the event loop takes over
    if not config.share_port:
        check_port(config.host, config.port)
    directory = DataDir.open(config.data, config.partitions)
    use_directory(directory.run_path / "metrics", _METRIC_KINDS)
    # Only now: prometheus-client decides when it is imported whether its metrics are shared.
    from serving.app import create_app  # noqa: PLC0415 - see above
    from serving.services import Services  # noqa: PLC0415 - see above

    services = Services.open(config)
    try:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        return asyncio.run(_run(create_app(services), services))
    finally:
        services.close()


def _leave(_number: int, _frame: object) -> None:
    sys.exit(0)


async def _run(app: Api, services: Services) -> int:
    """Serves, drains and returns the exit status: 0, 130 after Ctrl-C, 4 if a task beside the answers ended."""
    stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _stop_on_signals(stop)
    server = granian_server(app, services.config)
    serving = asyncio.create_task(server.serve())
    helpers = [asyncio.create_task(services.maintain())]
    if services.config.parent_pid is not None:
        helpers.append(asyncio.create_task(_watch_parent(services.config.parent_pid, stop)))
    for task in helpers:
        task.add_done_callback(lambda task: _helper_ended(task, stop))
    await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
    server.stop()  # type: ignore[no-untyped-call]
    # What is in flight is answered; who is still sending a body after this long is not waited for.
    await asyncio.wait([serving], timeout=DRAIN_SECONDS)
    for task in helpers:
        task.cancel()
    if serving.done():
        serving.result()
    return stop.result() if stop.done() else 0


def _stop_on_signals(stop: asyncio.Future[int]) -> None:
    for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stop, status)


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


def granian_server(app: object, config: ServeConfig) -> Server:
    """granian, with a cap on connections, and on the time for headers (of the first request and between requests)."""
    return Server(
        app,
        address=config.host,
        port=config.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(HEADER_SECONDS * 1000)),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=config.max_connections,
        log_enabled=False,
    )


def check_port(host: str, port: int) -> None:
    """UsageError if somebody listens on that port: granian would share it with them in silence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from error
