"""The options of `membrane ingest`."""

from __future__ import annotations

from cli.options import Commands, add_command, add_progress, path


def add_ingest(commands: Commands) -> None:
    """Adds the command."""
    parser = add_command(
        commands, "ingest", "cli.ingest:ingest_export",
        "Turns a CSV or JSON export of another system into signals, as a mapping file says.",
        "membrane ingest --map tickets.yaml --in tickets.csv --out tickets.ndjson --dry-run",
    )  # fmt: skip
    parser.option("--map", path, "mapping file", metavar="FILE", required=True)
    parser.option(
        "--in", path, "the export: .csv, .json, .ndjson or .jsonl, also with .gz", metavar="FILE", required=True
    )
    parser.option("--out", path, "file for the signals; not needed with --dry-run", metavar="FILE")
    parser.switch("--dry-run", "write nothing; exit 1 if a row is refused")
    add_progress(parser)
