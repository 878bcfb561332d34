"""`up`, `serve` and `stream` as real processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.processes import read_pid
from cli.services import free_port, is_ready
from membrane.errors import UsageError
from storage.directory import DataDir
from tests.cli.running import Running, Start, alive, wait_until


def pids(data: Path) -> dict[str, int | None]:
    return {role: read_pid(data / "run" / f"{role}.pid") for role in ("up", "api", "stream")}


def started_up(start: Start, data: Path, *arguments: object) -> tuple[Running, dict[str, int | None]]:
    running = start("up", "--data", data, "--port", 0, *arguments)
    running.wait_for("http://")
    return running, pids(data)


def ready(data: Path) -> bool:
    place = urlsplit((data / "run" / "api.url").read_text())
    return is_ready(place.hostname or "", place.port or 0)


def test_up_makes_a_directory_holds_live_pids_prints_its_url_and_ends_clean(start, tmp_path):
    data = tmp_path / "new"

    running, held = started_up(start, data)

    assert held["up"] == running.process.pid
    assert all(pid is not None and alive(pid) for pid in held.values())
    assert {os.getpgid(pid) for pid in held.values() if pid} == {os.getpgid(0)}
    assert ready(data)
    began = time.monotonic()
    assert running.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 5
    assert not any(pid is not None and alive(pid) for pid in held.values())
    assert pids(data) == {"up": None, "api": None, "stream": None}
    assert "Traceback" not in running.text


def test_a_second_writer_is_told_so_within_a_second(start, tmp_path):
    data = tmp_path / "data"
    first, held = started_up(start, data)
    for command in ("up", "stream", "rebuild"):
        assert any(_told_within_a_second(start, command, data) for _ in range(10))  # this machine may have other work
    assert pids(data) == held
    assert first.stop() == 0


def _told_within_a_second(start, command, data):
    began = time.monotonic()
    second = start(command, "--data", data)
    assert second.process.wait(60) == 3
    assert "one writer at a time" in second.text
    return time.monotonic() - began < 1


def test_ctrl_c_ends_all_with_130(start, tmp_path):
    running, held = started_up(start, tmp_path / "data", "--json")
    told = json.loads(next(line for line in running.text.splitlines() if line.startswith("{")))
    assert told["pids"] == {"api": held["api"], "stream": held["stream"]}
    assert running.stop(signal.SIGINT) == 130
    assert "Traceback" not in running.text


def test_when_up_is_killed_no_child_is_left(start, tmp_path):
    running, held = started_up(start, tmp_path / "data")
    running.process.kill()
    running.process.wait()
    children = [pid for role, pid in held.items() if role != "up" and pid]
    wait_until(lambda: not any(alive(pid) for pid in children), seconds=5)


def test_a_child_that_is_killed_is_started_again(start, tmp_path):
    data = tmp_path / "data"
    running, held = started_up(start, data)
    for role in ("stream", "api"):
        os.kill(held[role] or 0, signal.SIGKILL)
        wait_until(lambda role=role: pids(data)[role] not in (None, held[role]))
    wait_until(lambda: ready(data))
    assert "SIGKILL): restart 1 of 5" in running.text
    assert running.stop() == 0


def test_a_stream_that_dies_too_often_ends_up_with_4(start, tmp_path):
    data = tmp_path / "data"
    running, _ = started_up(start, data)
    deadline = time.monotonic() + 150
    while running.process.poll() is None and time.monotonic() < deadline:
        pid = pids(data)["stream"]
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    assert running.process.wait(5) == 4
    assert "the stream ended 6 times within a minute" in running.text


def test_a_port_that_is_taken_is_a_mistake_of_the_user(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = start("up", "--data", tmp_path / "data", "--port", taken.getsockname()[1])
        assert running.process.wait(30) == 1
    assert "cannot listen there" in running.text
    assert "Traceback" not in running.text


def test_options_may_come_from_the_environment(start, tmp_path):
    data = tmp_path / "data"
    running = start("up", MEMBRANE_DATA=str(data), MEMBRANE_PORT="0", MEMBRANE_PARTITIONS="2")
    running.wait_for("http://")
    assert DataDir.existing(data).partitions == 2
    assert running.stop() == 0


FAULTY = """
pack: ours
revision: 2026-11-23.1
principles:
  - {id: one, owner: nobody, text: {es: "uno", en: "one"}, when: stage.nam == "crisis", effect: forbid}
"""


def test_the_first_start_shows_every_fault_of_a_principle_file_and_exits_1(start, tmp_path):
    file = tmp_path / "faulty.yaml"
    file.write_text(FAULTY)
    running = start("up", "--data", tmp_path / "data", "--port", 0, "--principles", file)
    assert running.process.wait(30) == 1
    assert f"{file}:5:" in running.text
    assert "principles[0].owner" in running.text
    assert "principles[0].when" in running.text


def test_serve_and_stream_run_alone(start, tmp_path):
    data, port = tmp_path / "data", free_port("127.0.0.1")
    api = start("serve", "--data", data, "--port", port)
    stream = start("stream", "--data", data, "--runner", "plain")
    wait_until(lambda: is_ready("127.0.0.1", port))
    wait_until(lambda: pids(data)["stream"] == stream.process.pid)
    assert pids(data)["api"] == api.process.pid
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
    assert (stream.stop(), api.stop()) == (0, 0)
    assert pids(data) == {"up": None, "api": None, "stream": None}


@pytest.mark.parametrize("command", ["up", "serve"])
def test_sigterm_during_the_start_is_a_clean_end_too(start, tmp_path, command):
    data = tmp_path / "data"
    running = start(command, "--data", data, "--port", 0)
    wait_until(lambda: running.process.pid in pids(data).values())
    assert running.stop() == 0
    assert pids(data) == {"up": None, "api": None, "stream": None}


def test_a_host_that_is_not_ours_is_refused():
    with pytest.raises(UsageError, match="an address of this machine"):
        free_port("192.0.2.1")
