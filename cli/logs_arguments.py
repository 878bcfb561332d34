"""The options of the commands that run for long: how they log."""

from __future__ import annotations

import argparse

from cli.logs import FORMATS, LEVELS
from cli.options import CommandParser, one_of


def add_log_options(parser: CommandParser) -> None:
    """How it logs on standard error."""
    parser.option("--log-format", one_of(*FORMATS), "lines of text, or one JSON object a line", default="text")
    parser.option("--log-level", one_of(*LEVELS), "the least that is told", default="warning")


def log_words(args: argparse.Namespace) -> list[str]:
    """The same for a child."""
    return [f"--log-format={args.log_format}", f"--log-level={args.log_level}"]
