"""The options of `membrane train` and `membrane score`."""

from __future__ import annotations

from cli.options import CommandParser, Commands, add_command, add_group, add_progress, path, whole
from cli.training_sources import add_sources


def add_training(commands: Commands) -> None:
    """Adds both commands."""
    kinds = add_group(commands, "train", "Learns a model from labelled data.")
    for kind, text in (
        ("stage", "Learns the stage of a customer: calibrated, exported, measured, with a model card."),
        ("churn", "Learns the risk of losing a customer: calibrated, exported, measured, with a model card."),
    ):
        example = f"membrane train {kind} --table customers.csv --label {kind} --out ./{kind}-model"
        parser = add_command(kinds, kind, "cli.train:train", text, example)
        parser.set_defaults(kind=kind)
        _add_table(parser)
        add_sources(parser)
        parser.option("--out", path, "folder for the bundle and its card", metavar="DIR", required=True)
        parser.option("--folds", whole(2, 20), "folds that judge, where there are no times", default=5, metavar="K")
        parser.option("--seed", whole(0), "the same seed gives the same model", default=7, metavar="S")
        parser.switch("--balanced", "weigh each class as if it were as frequent as the others")
        add_progress(parser)
    _add_score(commands)


def _add_table(parser: CommandParser) -> None:
    parser.option("--table", path, "CSV, CSV.gz or Parquet, a row each customer", metavar="FILE")
    parser.option("--label", str, "its column with what became of the customer", metavar="COL")
    parser.option("--positive", str, "the label of a customer that was lost", metavar="VALUE")
    parser.option("--drop", str, "columns to leave out, by commas", metavar="COL,COL")


def _add_score(commands: Commands) -> None:
    score = add_command(
        commands, "score", "cli.train:score", "Applies a bundle that was trained on a table to another table.",
        "membrane score --bundle ./churn-model --table customers.csv --out scores.csv",
    )  # fmt: skip
    score.option("--bundle", path, "folder of the bundle", metavar="DIR", required=True)
    score.option("--table", path, "CSV, CSV.gz or Parquet", metavar="FILE", required=True)
    score.option("--out", path, "CSV to write: a row each, a column each class", metavar="FILE", required=True)
