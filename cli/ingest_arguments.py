"""The options of `membrane ingest`."""

from __future__ import annotations

from typing import Any

from cli.options import CommandParser, path


def add_ingest(commands: Any) -> None:
    """Adds the command."""
    text = "Turns a CSV or JSON export of another system into signals, as a mapping file says."
    parser: CommandParser = commands.add_parser(
        "ingest",
        help=text,
        description=text,
        epilog="example: membrane ingest --map tickets.yaml --in tickets.csv --out tickets.ndjson --dry-run",
    )
    parser.set_defaults(handler="cli.ingest:ingest_export")
    parser.option("--map", path, "mapping file", metavar="FILE", required=True)
    parser.option(
        "--in", path, "the export: .csv, .json, .ndjson or .jsonl, also with .gz", metavar="FILE", required=True
    )
    parser.option("--out", path, "file for the signals; not needed with --dry-run", metavar="FILE")
    parser.switch("--dry-run", "write nothing; exit 1 if a row is refused")
    parser.switch("--progress", "show progress although standard error is no terminal")
    parser.switch("--json", "answer in JSON")
