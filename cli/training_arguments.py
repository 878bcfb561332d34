"""The options of `membrane train` and `membrane score`."""

from __future__ import annotations

from typing import Any

from cli.options import CommandParser, path, whole
from cli.training_sources import add_sources


def add_training(commands: Any) -> None:
    """Adds both commands."""
    train: CommandParser = commands.add_parser(
        "train", help="Learns a model from labelled data.", description="Learns a model from labelled data."
    )
    kinds = train.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for kind, text in (
        ("stage", "Learns the stage of a customer: calibrated, exported, measured, with a model card."),
        ("churn", "Learns the risk of losing a customer: calibrated, exported, measured, with a model card."),
    ):
        example = f"membrane train {kind} --table customers.csv --label {kind} --out ./{kind}-model"
        parser: CommandParser = kinds.add_parser(kind, help=text, description=text, epilog=f"example: {example}")
        parser.set_defaults(handler="cli.train:train", kind=kind)
        parser.switch("--json", "answer in JSON")
        _add_table(parser)
        add_sources(parser)
        parser.option("--out", path, "folder for the bundle and its card", metavar="DIR", required=True)
        parser.option("--folds", whole(2, 20), "folds that judge, where there are no times", default=5, metavar="K")
        parser.option("--seed", whole(0), "the same seed gives the same model", default=7, metavar="S")
        parser.switch("--balanced", "weigh each class as if it were as frequent as the others")
        parser.switch("--progress", "show progress although standard error is no terminal")
    _add_score(commands)


def _add_table(parser: CommandParser) -> None:
    parser.option("--table", path, "CSV, CSV.gz or Parquet, a row each customer", metavar="FILE")
    parser.option("--label", str, "its column with what became of the customer", metavar="COL")
    parser.option("--positive", str, "the label of a customer that was lost", metavar="VALUE")
    parser.option("--drop", str, "columns to leave out, by commas", metavar="COL,COL")


def _add_score(commands: Any) -> None:
    text = "Applies a bundle that was trained on a table to another table."
    score: CommandParser = commands.add_parser(
        "score", help=text, description=text,
        epilog="example: membrane score --bundle ./churn-model --table customers.csv --out scores.csv",
    )  # fmt: skip
    score.set_defaults(handler="cli.train:score")
    score.switch("--json", "answer in JSON")
    score.option("--bundle", path, "folder of the bundle", metavar="DIR", required=True)
    score.option("--table", path, "CSV, CSV.gz or Parquet", metavar="FILE", required=True)
    score.option("--out", path, "CSV to write: a row each, a column each class", metavar="FILE", required=True)
