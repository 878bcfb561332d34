from __future__ import annotations

import argparse

import pytest

from cli.options import CommandParser, came_from_environment, moment, one_of, path, share, whole


def parser() -> CommandParser:
    made = CommandParser(prog="test")
    made.option("--port", whole(0, 65535), "port", default=8080)
    made.option("--go-live", moment, "time")
    made.option("--clock", one_of("wall", "signals"), "clock", default="wall")
    made.switch("--once", "once")
    return made


def test_an_option_takes_its_default_when_nobody_gives_it():
    assert parser().parse_args([]) == argparse.Namespace(port=8080, go_live=None, clock="wall", once=False)


def test_the_environment_gives_an_option(monkeypatch):
    monkeypatch.setenv("MEMBRANE_PORT", "9000")
    monkeypatch.setenv("MEMBRANE_GO_LIVE", "1970-01-01T00:00:01Z")
    monkeypatch.setenv("MEMBRANE_ONCE", "yes")

    found = parser().parse_args([])

    assert (found.port, found.go_live, found.once) == (9000, 1000, True)


def test_the_flag_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("MEMBRANE_PORT", "9000")
    assert parser().parse_args(["--port", "1"]).port == 1


@pytest.mark.parametrize(
    ("variable", "value", "required"),
    [
        ("MEMBRANE_PORT", "65536", "a whole number from 0 to 65535"),
        ("MEMBRANE_CLOCK", "sundial", "must be wall or signals"),
        ("MEMBRANE_ONCE", "perhaps", "must be 1 or 0"),
    ],
)
def test_a_wrong_value_in_the_environment_is_a_usage_error(monkeypatch, capsys, variable, value, required):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([])
    assert ended.value.code == 2
    assert required in capsys.readouterr().err


def test_an_option_that_is_required_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MEMBRANE_OUT", "there")
    made = CommandParser(prog="test")
    made.option("--out", path, "file", required=True)
    assert str(made.parse_args([]).out) == "there"


def test_where_a_value_comes_from_is_known(monkeypatch):
    monkeypatch.setenv("MEMBRANE_URL", "http://there")
    assert came_from_environment("--url", "http://there")
    assert not came_from_environment("--url", "http://here")


@pytest.mark.parametrize("text", ["", "2", "2/2", "1-2", "-1/2", "a/b"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="I/N"):
        share(text)


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_a_moment_needs_a_date_a_time_and_an_offset(text):
    with pytest.raises(argparse.ArgumentTypeError, match="RFC 3339"):
        moment(text)


@pytest.mark.parametrize("text", ["-1", "1.5", "", "ten", "٣"])
def test_a_whole_number_is_written_in_digits(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number"):
        whole(0)(text)
