from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.metric_files import DIRECTORY_VARIABLE
from tests.cli.fake_api import Server
from tests.cli.running import Running, Start, clean_environment


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `membrane ARGUMENTS`; whatever still runs at the end is ended."""
    started: list[Running] = []

    def run(*arguments: object, **variables: str) -> Running:
        output = tmp_path / f"output-{len(started)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *map(str, arguments)],
                env=clean_environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        started.append(Running(process, output))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(10)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MEMBRANE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(DIRECTORY_VARIABLE, "")  # so that what a command sets is unset at the end
    monkeypatch.delenv(DIRECTORY_VARIABLE)


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers HTTP requests as it is told to."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()
