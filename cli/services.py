"""`up`, `serve` and `stream`: the processes of one data directory."""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from cli.logs_arguments import log_words
from cli.output import print_json, say
from cli.processes import command_line, leave_on_sigterm, own_environment, pid_file, read_pid, write_whole
from cli.supervisor import Child, Supervisor
from membrane.errors import UsageError
from storage.clock import wall_ms
from storage.lock import WriterLock, dir_lock
from storage.traces import INSTALL, are_installed, are_wanted

READY_SECONDS: Final = 0.5
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask, not where to listen
URL_FILE: Final = "api.url"
_logger: Final = logging.getLogger("membrane.up")


def up(args: argparse.Namespace) -> int:
    """Takes the directory, prepares it and supervises its processes."""
    leave_on_sigterm()
    _look_for_traces(args)
    run, learns = args.data / "run", _learns(args.learn)
    with only_one(args.data), pid_file(run / "up.pid"):
        _prepare(args)
        port = args.port or free_port(args.host)
        url = f"http://{_address(args.host)}:{port}"
        write_whole(run / URL_FILE, url)
        _forget_metrics(run)
        children = [
            Child("the API", _serve_command(args, port), run / "api.pid"),
            Child("the stream", _stream_command(args), run / "stream.pid", replaceable=True),
        ]
        if learns:
            children.append(Child("the learner", _learn_command(args), run / "learn.pid", optional=True))
        supervisor = Supervisor(
            children, is_ready=lambda: is_ready(args.host, port), announce=lambda: _announce(args, url, children)
        )
        try:
            return supervisor.run()
        finally:
            (run / URL_FILE).unlink(missing_ok=True)


def serve(args: argparse.Namespace) -> int:
    """The decision API."""
    leave_on_sigterm()
    _look_for_traces(args)
    if args.parent_pid is None:
        _prepare(args)
    from serving.config import ServeConfig
    from serving.run import serve as run_api

    config = ServeConfig(
        data=args.data,
        host=args.host,
        port=args.port or free_port(args.host),
        partitions=args.partitions,
        clock=args.clock,
        keys=args.keys,
        parent_pid=args.parent_pid,
        child=lambda words: (command_line(words), own_environment()),
    )
    if args.parent_pid is not None:
        return run_api(config)
    say(f"serving {args.data} at http://{_address(args.host)}:{config.port}")
    with pid_file(args.data / "run" / "api.pid"):
        return run_api(config)


def stream(args: argparse.Namespace) -> int:
    """The stream."""
    from stream.runner import StreamConfig, run_stream

    _look_for_traces(args)
    path = args.data / "run" / "stream.pid"

    def ready() -> None:
        if args.parent_pid is None:
            _prepare(args)

    # A second writer, about to be refused, leaves the pid of the first one; so does a child, whose pid `up` writes.
    ours = args.parent_pid is None and (args.takeover or read_pid(path) is None)
    with pid_file(path) if ours else nullcontext():
        return run_stream(
            StreamConfig(
                data=args.data,
                runner=args.runner,
                batch=args.batch,
                takeover=args.takeover,
                share=args.share,
                partitions=args.partitions,
                prepare=ready,
            )
        )


def _prepare(args: argparse.Namespace) -> None:
    """An empty directory gets what we ship; what is asked for is put in force, or a warning says why not."""
    from cli.prepare import Wishes, prepare

    wishes = Wishes(
        partitions=args.partitions,
        principles=args.principles,
        models=args.models,
        go_live=args.go_live,
        tenants=args.tenants,
        model_keys=args.model_keys,
    )
    for warning in prepare(args.data, wishes, wall_ms()):
        _logger.warning("%s", warning)


def _look_for_traces(args: argparse.Namespace) -> None:
    """Says what to install for the traces that the environment asks for; `up` says it for its children."""
    if args.parent_pid is None and are_wanted() and not are_installed():
        _logger.warning("the environment asks for traces (OTEL_EXPORTER_OTLP_...), none are sent: %s", INSTALL)


@contextmanager
def only_one(data: Path, role: str = "up", patience_seconds: float = 0.0) -> Iterator[WriterLock]:
    """Holds the lock of a role over a whole directory, by default that of whoever runs it. AnotherWriter if it is
    taken for longer than one wants to wait, UsageError for a bad path."""
    lock = dir_lock(data, role)
    try:
        lock.acquire(patience_seconds=patience_seconds)
    except OSError as error:
        raise UsageError(f"--data {data}: a directory to write to was required: {error.strerror}") from error
    with lock:
        yield lock


def free_port(host: str) -> int:
    """A port that nobody listens on just now. UsageError if the host is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UsageError(f"--host {host}: an address of this machine was required: {error.strerror}") from error


def is_ready(host: str, port: int) -> bool:
    """Whether the API can answer."""
    connection = http.client.HTTPConnection(_ANYWHERE.get(host, host), port, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _address(host: str) -> str:
    host = _ANYWHERE.get(host, host)
    return f"[{host}]" if ":" in host else host


def _announce(args: argparse.Namespace, url: str, children: list[Child]) -> None:
    if args.json:
        api, stream = children[:2]
        print_json({"url": url, "data": str(args.data), "pids": {"api": api.pid, "stream": stream.pid}})
    else:
        say(f"membrane is ready at {url} (data in {args.data}, clock: {args.clock}; Ctrl-C ends it)")


def _forget_metrics(run: Path) -> None:
    from storage.metric_files import forget_all

    forget_all(run / "metrics")


def _serve_command(args: argparse.Namespace, port: int) -> list[str]:
    """What `up` has put in force is not given again."""
    command = ["serve", *_flag("--data", args.data), *_flag("--host", args.host), *_flag("--port", port)]
    command += [*_flag("--clock", args.clock), *log_words(args)]
    return command + (_flag("--keys", args.keys) if args.keys else [])


def _stream_command(args: argparse.Namespace) -> list[str]:
    command = ["stream", *_flag("--data", args.data), *_flag("--runner", args.runner), *_flag("--batch", args.batch)]
    return command + log_words(args)


def _learns(wish: str) -> bool:
    """Whether `up` runs a learner: `auto` where what it needs is installed. UsageError where it is not, for `on`."""
    installed = importlib.util.find_spec("river") is not None
    if wish == "on" and not installed:
        raise UsageError("--learn on: the extra `train` is required, River is not installed")
    return wish != "off" and installed


def _learn_command(args: argparse.Namespace) -> list[str]:
    command = ["learn", *_flag("--data", args.data), *log_words(args)]
    return command + (_flag("--signing-key", args.signing_key) if args.signing_key else [])


def _flag(name: str, value: object) -> list[str]:
    """As one word: a value may begin with a dash."""
    return [f"{name}={value}"]
