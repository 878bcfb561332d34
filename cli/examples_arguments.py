"""The options of `membrane examples` and `membrane skew`."""

from __future__ import annotations

from typing import Any, Final

from cli.options import CommandParser, moment, path

_DATA: Final = "membrane-data"


def add_examples(commands: Any) -> None:
    """Adds the commands."""
    text = "Looks at what there is to learn from."
    group = commands.add_parser("examples", help=text, description=text)
    examples = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    export = _command(
        examples, "export", "cli.examples:export",
        "Writes the labelled examples as Parquet: features as served, labels, and what was done in between.",
        "membrane examples export --data ./shop --out examples.parquet",
    )  # fmt: skip
    export.option("--out", path, "file to write, or a folder for examples.parquet", metavar="FILE", required=True)
    export.option("--since", moment, "only labels found out at TIME and later", metavar="TIME")
    export.switch("--progress", "show progress although standard error is no terminal")
    _command(
        examples, "status", "cli.examples:status", "Counts kept vectors and labels, and says how late labels come.",
        "membrane examples status --data ./shop",
    )  # fmt: skip
    skew = _command(
        commands, "skew", "cli.examples:skew",
        "Makes every kept vector again from the log; exits 1 unless each bit is as it was served.",
        "membrane skew --data ./shop",
    )  # fmt: skip
    skew.switch("--progress", "show progress although standard error is no terminal")


def _command(commands: Any, name: str, handler: str, text: str, example: str) -> CommandParser:
    parser: CommandParser = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
    parser.set_defaults(handler=handler)
    parser.switch("--json", "answer in JSON")
    parser.option("--data", path, "data directory", default=_DATA, metavar="DIR")
    return parser
