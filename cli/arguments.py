"""Every command, its options and an example. What runs it is named, not imported: see `cli.main`."""

from __future__ import annotations

import argparse
from typing import Final

from cli.examples_arguments import add_examples
from cli.ingest_arguments import add_ingest
from cli.learning_arguments import add_learn_option, add_learning
from cli.logs_arguments import add_log_options
from cli.models_arguments import add_models
from cli.options import (
    CommandParser,
    Commands,
    add_command,
    add_data,
    add_group,
    add_progress,
    moment,
    one_of,
    path,
    share,
    whole,
)
from cli.training_arguments import add_training

DEFAULT_PORT: Final = 8080
_NAMED: Final = str


def build_parser() -> CommandParser:
    """The parser of `membrane`; the environment is read when it is built."""
    parser = CommandParser(
        prog="membrane",
        description="Tells each department, before it acts, whether it may contact a customer, and why.",
        epilog="example: membrane up --data ./shop --port 8080\n"
        "Each option can also be given as MEMBRANE_<NAME>; the flag wins.\n"
        "Exit codes: 0 done, 1 a check failed or a mistake of yours, 2 usage, 3 another writer, 4 unhealthy, "
        "130 Ctrl-C.",
    )
    parser.set_defaults(parent_pid=None, log_format=None)  # of a command that does not have them
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_services(commands)
    _add_signals(commands)
    _add_questions(commands)
    _add_probe(commands)
    _add_principles(commands)
    _add_demo(commands)
    _add_stores(commands)
    add_training(commands)
    add_examples(commands)
    return parser


def _add_services(commands: Commands) -> None:
    up = add_command(
        commands, "up", "cli.services:up", "Runs the whole service on one data directory.",
        "membrane up --data ./shop --port 8080 --clock wall",
    )  # fmt: skip
    serve = add_command(
        commands, "serve", "cli.services:serve", "Runs the decision API alone.", "membrane serve --data ./shop"
    )
    stream = add_command(
        commands, "stream", "cli.services:stream", "Runs the stream alone: from the log to customer records.",
        "membrane stream --data ./shop --runner plain",
    )  # fmt: skip
    for parser in (up, serve, stream):
        add_data(parser)
        parser.option("--partitions", whole(1, 256), "partitions of the log, fixed when DATA is made", metavar="N")
        parser.add_argument("--parent-pid", type=whole(1), help=argparse.SUPPRESS)
        _service_options(parser)
        add_log_options(parser)
    add_learn_option(up)
    add_learning(commands)
    stream.switch("--takeover", "take over from a writer that hangs")
    stream.option("--share", share, "which share of the partitions is ours, of how many", default="0/1", metavar="I/N")


def _service_options(parser: CommandParser) -> None:
    """The same for all three, so that one environment fits them; each heeds what concerns it."""
    parser.option("--host", _NAMED, "address to listen on", default="127.0.0.1")
    parser.option("--port", whole(0, 65535), "port to listen on; 0 picks a free one", default=DEFAULT_PORT, metavar="N")
    parser.option("--clock", one_of("wall", "signals"), "what moves time", default="wall")
    parser.option("--principles", path, "principle file to put in force", metavar="FILE")
    parser.option("--models", path, "folder of model bundles to put in force", metavar="DIR")
    parser.option("--model-keys", path, "public keys: only bundles signed by one of them get in", metavar="FILE")
    parser.option("--tenants", path, "file of what each tenant sets, to put in force", metavar="FILE")
    parser.option("--keys", path, "keys file; without one only loopback is served", metavar="FILE")
    parser.option("--runner", one_of("bytewax", "plain"), "what drives the stream", default="bytewax")
    parser.option("--batch", whole(1, 100_000), "most signals in one commit", default=512, metavar="N")
    parser.option("--go-live", moment, "signals before TIME build state but cause nothing", metavar="TIME")


def _add_signals(commands: Commands) -> None:
    replay = add_command(
        commands, "replay", "cli.replay:replay", "Sends a file of signals (a CloudEvent a line).",
        "membrane replay signals.ndjson --url http://127.0.0.1:8080",
    )  # fmt: skip
    replay.add_argument("file", metavar="FILE", help="NDJSON file, - for standard input")
    _target(replay)
    replay.option("--clock", one_of("wall", "signals"), "what moves time, with --data", default="wall")
    replay.option("--rate", whole(1), "at most so many signals a second", metavar="N")
    add_progress(replay)
    dataset = add_group(commands, "dataset", "Turns a public data set into signals.")
    uci = add_command(
        dataset, "uci_incidents", "cli.datasets:uci_incidents", "Writes uci_incidents as signals.",
        "membrane dataset uci_incidents --from ./uci_incidents --out uci.ndjson",
    )  # fmt: skip
    uci.option("--from", path, "folder of the data set", metavar="DIR", required=True)
    uci.option("--out", path, "file to write", metavar="FILE", required=True)
    add_progress(uci)
    journey = add_command(
        dataset, "completejourney", "cli.datasets:completejourney",
        "Writes completejourney as signals: a year of a household panel's campaigns, coupons and baskets.",
        "membrane dataset completejourney --from ./completejourney --out journey.ndjson",
    )  # fmt: skip
    journey.option("--from", path, "folder of the data set", metavar="DIR", required=True)
    cases = "folder of uci_incidents: give each household the cases of one of its callers (a synthetic join)"
    journey.option("--with-cases", path, cases, metavar="DIR")
    journey.option("--out", path, "file to write", metavar="FILE", required=True)
    add_progress(journey)
    cdnow = add_command(
        dataset, "cdnow", "cli.datasets:cdnow", "Writes cdnow as signals: the purchases of a cohort of 1997.",
        "membrane dataset cdnow --from ./cdnow --out cdnow.ndjson",
    )  # fmt: skip
    cdnow.option("--from", path, "folder of the data set", metavar="DIR", required=True)
    cdnow.option("--out", path, "file to write", metavar="FILE", required=True)
    add_progress(cdnow)
    add_ingest(commands)
    simulate = add_command(
        commands, "simulate-customers", "cli.datasets:simulate_customers",
        "Writes the signals of simulated customers, and the truth behind them.",
        "membrane simulate-customers --customers 2000 --days 30 --seed 7 --out sim.ndjson --truth truth.ndjson",
    )  # fmt: skip
    simulate.option("--customers", whole(1), "how many customers", metavar="N", required=True)
    simulate.option("--days", whole(1, 3650), "how many days", metavar="D", required=True)
    simulate.option("--seed", whole(0), "the same seed gives the same bytes", metavar="S", default=0)
    simulate.option("--start", moment, "when it begins, a whole hour", metavar="TIME", default="2026-01-01T00:00:00Z")
    simulate.option("--out", path, "file for the signals", metavar="FILE", required=True)
    simulate.option("--truth", path, "file for the truth", metavar="FILE", required=True)
    add_progress(simulate)


def _add_questions(commands: Commands) -> None:
    decide = add_command(
        commands, "decide", "cli.decide:decide",
        "Asks whether a customer may be contacted; without --customer the request is read as JSON from standard input, "
        "with --batch many of them from a file.",
        "membrane decide --customer c-42 --domain marketing --kind upsell --channel email --url http://127.0.0.1:8080",
    )  # fmt: skip
    _target(decide)
    for name in ("customer", "domain", "kind", "channel"):
        decide.option(f"--{name}", _NAMED, f"the {name}")
    decide.option("--language", one_of("en", "es"), "language of the reasons", metavar="LANG")
    decide.option("--clock", one_of("wall", "signals"), "what time it is, with --data", default="wall")
    # No variable: MEMBRANE_BATCH is how many signals the stream commits at once.
    decide.add_argument("--batch", metavar="FILE", help="a file of requests, one a line; - for standard input")
    decide.option("--out", path, "file for the answers of a batch, one a line", metavar="FILE")
    add_progress(decide)
    explain = add_command(
        commands, "explain", "cli.explain:explain",
        "Decides a logged decision again from its evidence and the log; exits 1 unless each bit of it is the same.",
        "membrane explain fb5de7134f05140e-3 --data ./shop --today",
    )  # fmt: skip
    explain.add_argument("decision", metavar="DECISION", help="id of the decision")
    add_data(explain)
    _tenant(explain)
    explain.switch("--today", "also decide it by what is known and in force now")
    explain.option("--clock", one_of("wall", "signals"), "what time it is, with --today", default="wall")
    follow = add_command(
        commands, "follow", "cli.follow:follow",
        "Prints stage changes, obligations and revoked permits as they happen, a JSON document a line.",
        "membrane follow --url http://127.0.0.1:8080",
    )  # fmt: skip
    _url(follow)
    follow.option("--after", _NAMED, "go on behind the event of this id", metavar="ID")
    ledger = add_command(
        commands, "ledger", "cli.ledger:ledger",
        "What departments asked of customers' attention by week, what they got, and in favour of whom not.",
        "membrane ledger --data ./shop --weeks 4 --plot ledger.svg",
    )  # fmt: skip
    add_data(ledger)
    _tenant(ledger)
    ledger.option("--weeks", whole(1, 1_000), "the last so many weeks with decisions", default=12, metavar="N")
    _plot(ledger)


def _add_probe(commands: Commands) -> None:
    probe = add_command(
        commands, "probe", "cli.probe:probe",
        "Sends a synthetic signal of the tenant _probe, and asks for a decision once it is applied.",
        "membrane probe --url http://127.0.0.1:8080 --within 10",
    )  # fmt: skip
    probe.option("--url", _NAMED, "a running API", metavar="URL")
    probe.option("--key", _NAMED, "key of that API, of the tenant _probe", metavar="KEY")
    probe.option("--data", path, "a data directory instead of an API", metavar="DIR")
    probe.option("--clock", one_of("wall", "signals"), "what moves time, with --data", default="wall")
    probe.option("--within", whole(1, 3_600), "how many seconds it may take", default=10, metavar="SECONDS")


def _add_principles(commands: Commands) -> None:
    _add_pauses(commands)
    principles = add_group(commands, "principles", "Checks, tests and tries principle files.")
    for name, handler, text in (
        ("check", "cli.principles:check", "Shows every fault of a principle file, and what is suspicious about it."),
        ("test", "cli.principles:test", "Runs the tests inside a principle file, and says what they cover."),
    ):
        parser = add_command(principles, name, handler, text, f"membrane principles {name} etiquette.yaml")
        parser.add_argument("file", type=path, metavar="FILE", help="principle file")
        if name == "check":
            parser.option("--data", path, "a data directory: what would it refuse of the last 30 days?", metavar="DIR")
            parser.switch("--save", "add the customers that show what was found to the file, as tests")
            parser.switch("--read-back", "say each condition in words")
            parser.option("--language", one_of("en", "es"), "language of sentences", default="en", metavar="LANG")
        parser.option("--base", path, "what a tenant's own file extends (else the pack that ships)", metavar="FILE")
    report = add_command(
        principles, "shadow-report", "cli.shadow:shadow_report",
        "Counts in the decision log what principles with `status: shadow` would have changed.",
        "membrane principles shadow-report --data ./shop --since 2026-11-01T00:00:00Z",
    )  # fmt: skip
    add_data(report)
    report.option("--tenant", _NAMED, "whose decisions alone")
    report.option("--since", moment, "only decisions for TIME and later", metavar="TIME")
    simulate = add_command(
        principles, "simulate", "cli.simulate:simulate",
        "What a draft would have changed of the contacts that were made.",
        "membrane principles simulate --draft etiquette.yaml --days 30 --data ./shop",
    )  # fmt: skip
    simulate.option("--draft", path, "principle file to try; - for standard input", metavar="FILE", required=True)
    add_data(simulate)
    _tenant(simulate)
    simulate.option("--days", whole(1, 3650), "the contacts of so many days", default=30, metavar="N")
    simulate.option("--at", moment, "the end of these days; the latest signal if it is left out", metavar="TIME")
    simulate.add_argument("--parent-pid", type=whole(1), help=argparse.SUPPRESS)
    _plot(simulate)
    add_progress(simulate)


def _add_demo(commands: Commands) -> None:
    demo = add_command(
        commands, "demo", "cli.demo:demo",
        "Plays the story of a shop in crisis through real processes, and 2,000 simulated customers beside it.",
        "membrane demo --once",
    )  # fmt: skip
    demo.switch("--once", "check every step and exit")
    demo.option("--lang", one_of("es", "en", "both"), "language of the reasons", default="both")
    demo.option("--customers", whole(1, 100_000), "how many simulated customers", default=2000, metavar="N")


def _add_pauses(commands: Commands) -> None:
    pause = add_group(commands, "pause", "Makes a domain, a principle, or what persuades a customer wait.")
    add = add_command(
        pause, "add", "cli.pauses:add", "Pauses a domain, a principle or what persuades a customer, until a moment.",
        'membrane pause add --domain marketing --until 2026-12-01T08:00:00Z --by ana --why "outage" --data ./shop',
    )  # fmt: skip
    add.option("--domain", _NAMED, "the domain: all that goes out but help and duty is deferred")
    add.option("--principle", _NAMED, "the principle: it counts for nobody", metavar="ID")
    add.option("--customer", _NAMED, "the customer: neither persuaded nor asked for opinions")
    add.option("--until", moment, "when it ends", metavar="TIME", required=True)
    end = add_command(
        pause, "end", "cli.pauses:end", "Ends a pause before its time.",
        'membrane pause end 1f2e3d4c5b6a7988 --by ana --why "the outage is over" --data ./shop',
    )  # fmt: skip
    end.add_argument("pause", metavar="PAUSE", help="its id")
    listing = add_command(
        pause, "list", "cli.pauses:list_pauses", "Lists what is paused, by whom, why and until when.",
        "membrane pause list --data ./shop --all",
    )  # fmt: skip
    listing.switch("--all", "those that have ended, too")
    for parser in (add, end):
        parser.option("--by", _NAMED, "who says so", metavar="WHO", required=True)
        parser.option("--why", _NAMED, "the reason", metavar="TEXT", required=True)
    for parser in (add, end, listing):
        _target(parser)
        parser.option("--clock", one_of("wall", "signals"), "what time it is, with --data", default="wall")


def _add_stores(commands: Commands) -> None:
    add_models(commands)
    for name, handler, text in (
        ("rebuild", "cli.stores:rebuild", "Makes the customer records anew from the log."),
        ("digest", "cli.stores:digest", "Says in three hashes what records, outbox and examples hold."),
        ("doctor", "cli.doctor:doctor", "Says what is wrong with a data directory, and what to do."),
    ):
        parser = add_command(commands, name, handler, text, f"membrane {name} --data ./shop")
        add_data(parser)
        if name == "rebuild":
            add_progress(parser)
        if name == "doctor":
            parser.option("--tenants", path, "a tenants file to check", metavar="FILE")
            free = "port that `up` is to have: is it free?"
            parser.option("--port", whole(0, 65535), free, default=DEFAULT_PORT, metavar="N")
            parser.switch("--base-rates", "say for which share of the customers each principle holds now")
    _add_backups(commands)
    trim = add_command(
        commands, "trim", "cli.stores:trim",
        "Keeps the records as they were at a moment (checkpoint), and drops the log before it.",
        "membrane trim --data ./shop --before 2026-08-01T00:00:00Z",
    )  # fmt: skip
    add_data(trim)
    trim.option("--before", moment, "what was received before TIME goes", metavar="TIME", required=True)
    add_progress(trim)
    letters = add_group(commands, "dead-letters", "Looks at signals that were set aside.")
    listing = add_command(
        letters, "list", "cli.stores:list_dead_letters", "Lists the signals that were set aside, newest first.",
        "membrane dead-letters list --data ./shop --limit 20",
    )  # fmt: skip
    add_data(listing)
    listing.option("--limit", whole(1, 100_000), "how many", default=100, metavar="N")
    listing.option("--before", whole(1), "only those before this number", metavar="SEQ")
    again = add_command(
        letters, "replay", "cli.dead_letters:replay",
        "Sends again what was set aside and could be processed now; what cannot stays.",
        "membrane dead-letters replay --data ./shop",
    )  # fmt: skip
    add_data(again)
    again.option("--clock", one_of("wall", "signals"), "what moves time", default="wall")
    add_progress(again)


def _add_backups(commands: Commands) -> None:
    backup = add_command(
        commands, "backup", "cli.backup:backup", "Copies a data directory into a folder, beside whoever runs it.",
        "membrane backup --data ./shop --out ./shop-backup",
    )  # fmt: skip
    add_data(backup)
    backup.option("--out", path, "folder to make, missing or empty", metavar="FOLDER", required=True)
    add_progress(backup)
    restore = add_command(
        commands, "restore", "cli.backup:restore", "Makes a new data directory of a backup, checked file by file.",
        "membrane restore --from ./shop-backup --data ./shop-again",
    )  # fmt: skip
    restore.option("--from", path, "folder of the backup", metavar="FOLDER", required=True)
    restore.option("--data", path, "data directory to make, missing or empty", metavar="DIR", required=True)
    add_progress(restore)


def _target(parser: CommandParser) -> None:
    parser.option("--url", _NAMED, "a running API", metavar="URL")
    parser.option("--key", _NAMED, "key of that API", metavar="KEY")
    parser.option("--data", path, "a data directory instead of an API", metavar="DIR")
    parser.option("--tenant", _NAMED, "whose customers, with --data", default="default")


def _url(parser: CommandParser) -> None:
    parser.option("--url", _NAMED, "a running API", metavar="URL", default=f"http://127.0.0.1:{DEFAULT_PORT}")
    parser.option("--key", _NAMED, "key of that API", metavar="KEY")


def _tenant(parser: CommandParser) -> None:
    parser.option("--tenant", _NAMED, "whose customers", default="default")


def _plot(parser: CommandParser) -> None:
    parser.option("--plot", path, "SVG to draw", metavar="FILE")
