"""The commands about models and their options."""

from __future__ import annotations

from cli.options import CommandParser, Commands, add_command, add_data, add_group, one_of, path, percent


def add_models(commands: Commands) -> None:
    """Adds them."""
    models = add_group(commands, "models", "Looks at models and puts them in force.")
    listing = add_command(
        models, "list", "cli.models:list_models", "Lists the installed models, and which answer or run beside.",
        "membrane models list --data ./shop",
    )  # fmt: skip
    show = add_command(
        models, "show", "cli.models:show", "Shows what a model says of itself, and what was done with it here.",
        "membrane models show seed-churn --data ./shop",
    )  # fmt: skip
    compare = add_command(
        models, "compare", "cli.models:compare", "Compares two models on labelled examples, with intervals.",
        "membrane models compare 3f2a71c0 ./bundles/churn --data ./shop",
    )  # fmt: skip
    promote = add_command(
        models, "promote", "cli.models:promote",
        "Puts a model in force if it passes the gate: better on the same labelled examples, calibrated, fast, sound.",
        "membrane models promote ./bundles/churn --data ./shop",
    )  # fmt: skip
    rollback = add_command(
        models, "rollback", "cli.models:rollback", "Puts the champion before the present one in force again.",
        'membrane models rollback churn --why "it alarms too often" --data ./shop',
    )  # fmt: skip
    challenge = add_command(
        models, "challenge", "cli.models:challenge", "Lets a model score beside the champion; it answers nobody.",
        "membrane models challenge ./bundles/churn --data ./shop",
    )  # fmt: skip
    sign = add_command(
        models, "sign", "cli.models:sign", "Signs a bundle with a private Ed25519 key.",
        "membrane models sign ./bundles/churn --key model.key",
    )  # fmt: skip
    compare.add_argument("first", metavar="A", help="a model")
    compare.add_argument("second", metavar="B", help="the model to compare it with")
    for parser in (show, promote, challenge):
        named = "its digest (or the beginning), revision or name; or a folder that holds a bundle"
        parser.add_argument("model", metavar="MODEL", help=named)
    rollback.add_argument("kind", metavar="KIND", type=one_of("stage", "churn"), help="stage or churn")
    sign.add_argument("bundle", metavar="BUNDLE", type=path, help="a folder that holds a bundle")
    sign.add_argument("--key", metavar="FILE", type=path, required=True, help="private key, PEM without a passphrase")
    for parser in (listing, show, compare, promote, rollback, challenge):
        add_data(parser)
    for parser in (compare, promote):
        _examples(parser)
    for parser in (promote, rollback, challenge):
        parser.option("--by", str, "who says so; the login name if it is left out", metavar="WHO")
        parser.option("--why", str, "the reason", default="", metavar="TEXT")
    # No variables: what is meant for one model must not linger for the next.
    for parser in (promote, challenge):
        parser.add_argument("--force", action="store_true", help="although a check fails; needs --why, and is recorded")
    challenge.add_argument("--withdraw", action="store_true", help="it shall run beside the champion no more")


def _examples(parser: CommandParser) -> None:
    examples = "labelled examples instead of those that DIR keeps: JSON, one a line, or an export (Parquet)"
    parser.option("--examples", path, examples, metavar="FILE")
    parser.option("--confidence", percent, "how sure it must be, in percent", default="95", metavar="P")
