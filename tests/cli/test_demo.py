from __future__ import annotations

import json
import signal
import time

import pytest

from tests.cli.running import wait_until


@pytest.mark.slow
def test_once_every_step_comes_out_as_told_and_nothing_is_left(start):
    running = start("demo", "--once", "--customers", "200")
    assert running.process.wait(120) == 0, running.text
    assert running.text.startswith("Membrane: the story of a shop")
    assert "All 10 steps came out as told." in running.text
    assert "Total time: " in running.text


@pytest.mark.slow
def test_it_stays_up_until_ctrl_c_and_answers_in_json(start):
    running = start("demo", "--customers", "20", "--json")
    running.wait_for('"url": "http://')
    told = json.loads(running.text.splitlines()[0])
    assert (told["steps"], told["faults"]) == (10, [])
    assert running.stop(signal.SIGINT, within=30) == 130


def test_the_first_line_appears_at_once(start):
    assert any(_says_something_within_two_seconds(start) for _ in range(10))  # this machine may have other work


def _says_something_within_two_seconds(start):
    began = time.monotonic()
    running = start("demo", "--once")
    wait_until(lambda: bool(running.text))
    seconds = time.monotonic() - began
    running.stop(signal.SIGINT, within=30)
    return seconds < 2
