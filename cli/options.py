"""Options of commands: each can also be given as `MEMBRANE_<NAME>`, and the flag wins."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from membrane.times import DAY, HOUR, parse_date, parse_time

VARIABLE_PREFIX: Final = "MEMBRANE_"
DEFAULT_DATA: Final = "membrane-data"
MOST_PERIOD_MS: Final = 3660 * DAY
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})

Converter = Callable[[str], Any]
Commands = Any  # argparse keeps the type of subparsers to itself


class CommandParser(argparse.ArgumentParser):
    """A parser whose options read their defaults from the environment."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def option(
        self,
        flag: str,
        convert: Converter,
        text: str,
        *,
        default: object = None,
        metavar: str | None = None,
        required: bool = False,
    ) -> None:
        """An option with a value. A default that is text is converted like a value that was given."""
        variable = environment_name(flag)
        given = os.environ.get(variable)
        self.add_argument(
            flag,
            type=convert,
            default=default if given is None else given,
            metavar=metavar or flag.lstrip("-").upper(),
            required=required and given is None,
            help=f"{text}{_default_text(default)} [{variable}]",
        )

    def switch(self, flag: str, text: str) -> None:
        """An option without a value."""
        variable = environment_name(flag)
        given = os.environ.get(variable, "").lower()
        if given not in _TRUE | _FALSE:
            self.error(f"{variable}: must be 1 or 0, came {given!r}")
        self.add_argument(flag, action="store_true", default=given in _TRUE, help=f"{text} [{variable}]")


def add_command(commands: Commands, name: str, handler: str, text: str, example: str) -> CommandParser:
    """A command, run by `handler` (`module:function`); each answers in JSON if asked."""
    parser: CommandParser = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
    parser.set_defaults(handler=handler)
    parser.switch("--json", "answer in JSON")
    return parser


def add_group(commands: Commands, name: str, text: str) -> Commands:
    """Commands under a common name."""
    parser: CommandParser = commands.add_parser(name, help=text, description=text)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_data(parser: CommandParser) -> None:
    """The data directory that a command works on."""
    parser.option("--data", path, "data directory", default=DEFAULT_DATA, metavar="DIR")


def add_progress(parser: CommandParser) -> None:
    """For work that takes long."""
    parser.switch("--progress", "show progress although standard error is no terminal")


def environment_name(flag: str) -> str:
    """The variable that stands for a flag.

    >>> environment_name("--go-live")
    'MEMBRANE_GO_LIVE'
    """
    return VARIABLE_PREFIX + flag.lstrip("-").replace("-", "_").upper()


def came_from_environment(flag: str, value: object) -> bool:
    """Whether the value of a flag is the one in the environment (and so yields to another flag)."""
    return os.environ.get(environment_name(flag)) == str(value)


def one_of(*choices: str) -> Converter:
    """One of some words."""

    def convert(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"must be {' or '.join(choices)}, came {text!r}")
        return text

    return convert


def whole(least: int, most: int = 2**31 - 1) -> Converter:
    """A whole number between two bounds, ends included."""

    def convert(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, came {text!r}")
        return number

    return convert


def percent(text: str) -> float:
    """A share from 50 up to below 100, in percent.

    >>> percent("95")
    0.95
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 50 <= value < 100:
        raise argparse.ArgumentTypeError(f"must be a number of percent from 50 up to below 100, came {text!r}")
    return value / 100


def moment(text: str) -> int:
    """An RFC 3339 time, in epoch milliseconds."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be RFC 3339 with an offset, such as 2026-11-23T00:00:00Z, came {text!r}"
        ) from error


def moment_or_date(text: str) -> int:
    """An RFC 3339 time, or a date (its first moment in UTC), in epoch milliseconds."""
    for read in (parse_date, parse_time):
        with suppress(ValueError):
            return read(text)
    raise argparse.ArgumentTypeError(f"must be a date such as 2026-11-23, or an RFC 3339 time, came {text!r}")


def period(text: str) -> int:
    """A time span in days or hours, in milliseconds.

    >>> period("30d") == period("720h")
    True
    """
    count, unit = text[:-1], {"d": DAY, "h": HOUR}.get(text[-1:])
    if unit is None or not (count.isascii() and count.isdigit()) or not 0 < int(count) * unit <= MOST_PERIOD_MS:
        raise argparse.ArgumentTypeError(f"must be a time span such as 30d or 48h, at most 3660d, came {text!r}")
    return int(count) * unit


def share(text: str) -> tuple[int, int]:
    """`I/N`: the I-th (from 0) of N processes.

    >>> share("1/2")
    (1, 2)
    """
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 0 to N-1, such as 0/2, came {text!r}")
    return int(index), int(count)


path: Final[Converter] = Path


def _default_text(default: object) -> str:
    return "" if default is None else f" (default {default})"
