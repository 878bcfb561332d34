"""The arguments of `membrane learn`, and of the learner that is part of `up`."""

from __future__ import annotations

import argparse

from cli.logs_arguments import add_log_options
from cli.options import CommandParser, Commands, add_command, add_data, add_progress, one_of, path, whole
from membrane.times import parse_duration


def add_learning(commands: Commands) -> None:
    """`membrane learn`."""
    learn = add_command(
        commands, "learn", "cli.learning:learn",
        "Learns stage and churn from labels as they come, and publishes what it learned as challengers. Of its bundles "
        "the latest eight of each name are kept, and those that answer, have answered or run beside.",
        "membrane learn --data ./shop --once",
    )  # fmt: skip
    add_data(learn)
    learn.option("--every-labels", whole(10, 1_000_000), "publish after so many labels", default=200, metavar="N")
    learn.option("--every", duration, "publish after so long, if a tenth of these labels are new", default="10m")
    trees = "grow trees after so many labels, as a challenger; 0: none"
    learn.option("--trees-every", whole(0, 1_000_000), trees, default=2_000, metavar="N")
    _signing_key(learn)
    learn.switch("--once", "learn what there is, publish and exit")
    add_progress(learn)
    add_log_options(learn)
    learn.add_argument("--parent-pid", type=whole(1), help=argparse.SUPPRESS)
    learn.add_argument("--grow", choices=("stage", "churn"), help=argparse.SUPPRESS)
    learn.add_argument("--into", type=path, help=argparse.SUPPRESS)


def add_learn_option(up: CommandParser) -> None:
    """Whether a learner is part of `up`."""
    wishes = one_of("auto", "on", "off")
    up.option("--learn", wishes, "learn from labels beside it; auto: where River is installed", default="auto")
    _signing_key(up)


def _signing_key(parser: CommandParser) -> None:
    text = "private key (PEM without a passphrase) that the learner signs its bundles with"
    parser.option("--signing-key", path, text, metavar="FILE")


def duration(text: str) -> int:
    """A duration such as `90s` or `10m`, in milliseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a duration such as 90s, 10m or 1h, came {text!r}") from error
