"""The options of the commands that run for long: how they log."""

from __future__ import annotations

import argparse

from cli.logs import FORMATS, LEVELS
from cli.options import CommandParser, one_of


def add_log_options(parser: CommandParser) -> None:
    """How it logs on standard error."""
    formats = "text, or json: one object a line"
    parser.option("--log-format", one_of(*FORMATS), formats, default="text", metavar="FORMAT")
    levels = f"the least that is told: {', '.join(LEVELS)}"
    parser.option("--log-level", one_of(*LEVELS), levels, default="warning", metavar="LEVEL")


def log_words(args: argparse.Namespace) -> list[str]:
    """The same for a child."""
    return [f"--log-format={args.log_format}", f"--log-level={args.log_level}"]
