"""Where `membrane train` takes its examples from, beside a table: a file of signals, or a data directory."""

from __future__ import annotations

import argparse
import hashlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.options import CommandParser, moment_or_date, path, period
from cli.output import ProgressBar
from membrane.errors import UsageError
from membrane.lapse import Lapse, read_lapse

if TYPE_CHECKING:
    from training.gathering import Gathered

DEFAULT_HORIZON: Final = "30d"
_CUTOFF: Final = (
    "with --signals: what was known before it goes into a row, what comes from it on is the label; of several the last "
    "judges; a date or a time, as often as you like"
)


def add_sources(parser: CommandParser) -> None:
    """Adds the options of both."""
    signals = "file of signals (a CloudEvent a line), folded as the service folds them"
    parser.option("--signals", path, signals, metavar="FILE")
    parser.add_argument("--cutoff", type=moment_or_date, action="append", metavar="DATE", help=_CUTOFF)
    horizon = "with --signals: who leaves within it is lost"
    parser.option("--horizon", period, horizon, default=DEFAULT_HORIZON, metavar="SPAN")
    lapse = "with --signals: who counts as lost without a word, such as 'no order.placed for 30d'"
    parser.option("--lapse", str, lapse, metavar="RULE")
    served = "data directory: the vectors that were served, with the labels that were found out later"
    parser.option("--data", path, served, metavar="DIR")


def from_signals(args: argparse.Namespace, bar: ProgressBar) -> Gathered:
    """Of --signals. UsageError for options that do not go together, and what the reading raises."""
    from training.cutoffs import Question
    from training.gathering import churn_from_signals, stage_from_signals
    from training.signal_file import SignalFile

    cutoffs = sorted(set(args.cutoff or ()))
    if args.kind == "stage" and (len(cutoffs) != 1 or args.lapse is not None):
        raise UsageError("train stage --signals: one --cutoff DATE and no --lapse is required")
    if not cutoffs:
        raise UsageError("train churn --signals: at least one --cutoff DATE is required")
    if args.kind == "stage":
        return stage_from_signals(SignalFile(args.signals, bar), cutoffs[0], bar)
    question = Question(tuple(cutoffs), args.horizon, _lapse(args.lapse))
    return churn_from_signals(SignalFile(args.signals, bar), question, bar)


def from_data(args: argparse.Namespace) -> Gathered:
    """Of --data: what the stream has kept and joined. UsageError where there is nothing to learn from."""
    from storage.directory import DataDir
    from storage.examples import LabelledReader
    from training.gathering import from_labelled

    with closing(LabelledReader(DataDir.existing(args.data))) as reader:
        return from_labelled(args.kind, reader.every())


def sha256_of(file: Path) -> str:
    """Of a file's bytes."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _lapse(text: str | None) -> Lapse | None:
    if text is None:
        return None
    try:
        return read_lapse(text)
    except ValueError as error:
        raise UsageError(f"--lapse: {error}") from error
