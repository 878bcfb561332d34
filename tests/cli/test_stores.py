from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli import dead_letters
from cli.main import main
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.set_aside import NewDeadLetter
from tests.cli.test_replay import event, write


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A directory with 20 signals and two dead letters in its log; no stream has run."""
    letters = [event(100, type="cx.unheard.of.v1"), event(101, time="2999-01-01T00:00:00Z")]
    file = write(tmp_path / "signals", [*(event(number) for number in range(20)), *letters])
    main(["replay", str(file), "--data", str(tmp_path / "data"), "--clock", "signals"])
    capsys.readouterr()
    return tmp_path / "data"


def told(capsys, *arguments: object):
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_rebuild_applies_the_whole_log_and_a_second_one_gives_the_same(data, capsys):
    before = told(capsys, "digest", "--data", data)
    first = told(capsys, "rebuild", "--data", data)
    second = told(capsys, "rebuild", "--data", data)
    assert (before["customers"], first["customers"]) == (0, 3)
    assert first == second == told(capsys, "digest", "--data", data)
    assert sum(first["offsets"]) == 20 + 3 * DataDir.existing(data).partitions  # and three revisions everywhere


def test_the_digest_is_told_to_people(data, capsys):
    assert main(["digest", "--data", str(data)]) == 0
    assert "(0 customers)" in capsys.readouterr().out


def test_dead_letters_are_listed_newest_first_and_page_by_page(data, capsys):
    letters = told(capsys, "dead-letters", "list", "--data", data)["dead_letters"]
    assert [letter["reason"] for letter in letters] == ["ahead_of_clock", "unknown_type"]
    assert json.loads(letters[1]["payload"])["type"] == "cx.unheard.of.v1"
    older = told(capsys, "dead-letters", "list", "--data", data, "--before", letters[0]["seq"], "--limit", 1)
    assert older["dead_letters"] == letters[1:]


def test_dead_letters_are_told_to_people(data, capsys):
    assert main(["dead-letters", "list", "--data", str(data)]) == 0
    assert "unknown_type  default  test 100" in capsys.readouterr().out


def test_dead_letters_that_can_be_processed_now_are_sent_again_once(data, capsys, monkeypatch):
    command = ["dead-letters", "replay", "--data", str(data), "--clock", "signals"]
    assert told(capsys, *command) == {"accepted": 0, "duplicates": 0, "erased": 0, "left": 2}
    monkeypatch.setattr("serving.incoming.AHEAD_MS", 10**15)  # as if a thousand years had passed
    before = told(capsys, "dead-letters", "list", "--data", data)["dead_letters"]
    assert told(capsys, *command) == {"accepted": 1, "duplicates": 0, "erased": 0, "left": 1}
    assert told(capsys, "dead-letters", "list", "--data", data)["dead_letters"] == before[1:]
    assert main(command) == 0
    assert capsys.readouterr().out == "0 accepted, 0 duplicates, 0 erased, 1 left\n"


def test_of_two_replays_at_once_the_slower_one_drops_no_letter_that_came_meanwhile(data, capsys, monkeypatch):
    command = ["dead-letters", "replay", "--data", str(data), "--clock", "signals"]
    monkeypatch.setattr("serving.incoming.AHEAD_MS", 10**15)
    newer = NewDeadLetter("unknown_type", "default", "c-0", 0, "test", "102", b"{}")

    def meanwhile(log):
        told(capsys, *command)
        log.append([], wall_ms(), [newer])

    assert told_with(capsys, monkeypatch, meanwhile, command) == {
        "accepted": 0, "duplicates": 1, "erased": 0, "left": 1,
    }  # fmt: skip
    letters = told(capsys, "dead-letters", "list", "--data", data)["dead_letters"]
    assert [letter["id"] for letter in letters] == ["102", "100"]


def test_a_letter_whose_customer_is_erased_meanwhile_is_counted(data, capsys, monkeypatch):
    command = ["dead-letters", "replay", "--data", str(data), "--clock", "signals"]
    monkeypatch.setattr("serving.incoming.AHEAD_MS", 10**15)

    def meanwhile(log):
        log.erase("default", "c-2", wall_ms(), wall_ms())  # whose letter is number 101

    assert told_with(capsys, monkeypatch, meanwhile, command) == {
        "accepted": 0, "duplicates": 0, "erased": 1, "left": 1,
    }  # fmt: skip


def told_with(capsys, monkeypatch, meanwhile, command):
    """What a replay tells when something else happens after it has read its letters."""
    send = dead_letters._send

    def first(log, letters):
        monkeypatch.setattr(dead_letters, "_send", send)
        meanwhile(log)
        return send(log, letters)

    monkeypatch.setattr(dead_letters, "_send", first)
    return told(capsys, *command)
