from __future__ import annotations

import argparse
import json

import pytest

from cli import exits, main
from cli.arguments import build_parser
from cli.main import handler
from membrane.errors import (
    AnotherWriter,
    Fault,
    InvalidPrinciples,
    MembraneError,
    RecordUnreadable,
    StoreRefused,
    StoreUnavailable,
    UsageError,
)

COMMANDS = {
    "up", "serve", "stream", "replay", "dataset uci_incidents", "dataset completejourney", "dataset cdnow", "ingest",
    "simulate-customers",
    "decide", "learn", "explain", "follow", "ledger", "principles check", "principles test", "principles simulate",
    "principles shadow-report", "pause add", "pause end", "pause list", "models list", "models show",
    "models compare", "models promote", "models rollback", "models challenge", "models sign", "rebuild", "digest",
    "backup", "restore", "trim", "probe",
    "dead-letters replay", "dead-letters list", "doctor", "demo", "examples export", "examples status", "skew",
    "train stage", "train churn", "score",
}  # fmt: skip


def commands(parser: argparse.ArgumentParser, prefix: str = "") -> dict[str, argparse.ArgumentParser]:
    """Every command that can be run, by its words."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        return {prefix.strip(): parser}
    found = [commands(child, f"{prefix} {name}") for group in groups for name, child in group.choices.items()]
    return {name: child for part in found for name, child in part.items()}


def run_with(monkeypatch, error: BaseException, *arguments: str) -> int:
    def fail(_args):
        raise error

    monkeypatch.setattr(main, "handler", lambda name: fail)
    return main.main(["digest", *arguments])


def test_the_commands_are_those_of_the_contract():
    assert set(commands(build_parser())) == COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_exists_answers_in_json_and_shows_an_example(name):
    command = commands(build_parser())[name]
    assert callable(handler(command.get_default("handler")))
    assert f"example: membrane {name}" in command.format_help()
    assert "--json" in command.format_help()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 1),
        (InvalidPrinciples([Fault(1, 2, "when", "wrong", "f.yaml")]), 1),
        (MembraneError("x"), 1),
        (AnotherWriter("x"), 3),
        (StoreRefused("x"), 4),
        (StoreUnavailable("x"), 4),
        (RecordUnreadable("x"), 4),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a fault of ours"), 4),
    ],
)
def test_every_error_has_its_exit_code(monkeypatch, capsys, error, code):
    assert run_with(monkeypatch, error) == code


def test_a_mistake_of_the_user_shows_one_line_and_no_traceback(monkeypatch, capsys):
    run_with(monkeypatch, UsageError("--data x: a directory was required"))
    assert capsys.readouterr().err == "membrane: --data x: a directory was required\n"


def test_a_fault_of_ours_shows_where_it_is(monkeypatch, capsys):
    run_with(monkeypatch, ZeroDivisionError("ours"))
    assert "Traceback" in capsys.readouterr().err


def test_an_error_in_json_lists_every_fault(monkeypatch, capsys):
    faults = [Fault(3, 7, "when", "must be a boolean", "f.yaml"), Fault(5, 1, "effect", "unknown", "f.yaml")]

    run_with(monkeypatch, InvalidPrinciples(faults), "--json")

    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "InvalidPrinciples"
    assert [(fault["line"], fault["column"], fault["field"]) for fault in told["faults"]] == [
        (3, 7, "when"),
        (5, 1, "effect"),
    ]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["digest", "--nonsense"], ["up", "--port", "x"]])
def test_wrong_usage_exits_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == exits.USAGE
    assert "usage: membrane" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_named(capsys, tmp_path):
    assert main.main(["digest", "--data", str(tmp_path / "nowhere")]) == exits.FAILED
    assert f"--data {tmp_path / 'nowhere'}" in capsys.readouterr().err
