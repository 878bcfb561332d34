"""The options of `membrane examples` and `membrane skew`."""

from __future__ import annotations

from cli.options import Commands, add_command, add_data, add_group, add_progress, moment, path


def add_examples(commands: Commands) -> None:
    """Adds the commands."""
    examples = add_group(commands, "examples", "Looks at what there is to learn from.")
    export = add_command(
        examples, "export", "cli.examples:export",
        "Writes the labelled examples as Parquet: features as served, labels, and what was done in between.",
        "membrane examples export --data ./shop --out examples.parquet",
    )  # fmt: skip
    export.option("--out", path, "file to write, or a folder for examples.parquet", metavar="FILE", required=True)
    export.option("--since", moment, "only labels found out at TIME and later", metavar="TIME")
    add_progress(export)
    status = add_command(
        examples, "status", "cli.examples:status", "Counts kept vectors and labels, and says how late labels come.",
        "membrane examples status --data ./shop",
    )  # fmt: skip
    skew = add_command(
        commands, "skew", "cli.examples:skew",
        "Makes every kept vector again from the log; exits 1 unless each bit is as it was served.",
        "membrane skew --data ./shop",
    )  # fmt: skip
    add_progress(skew)
    for parser in (export, status, skew):
        add_data(parser)
