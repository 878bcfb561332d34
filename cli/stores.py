"""What lies in a data directory: dead letters, the digest; and `rebuild`, which makes the records anew."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import asdict

import msgspec

from cli.exits import DONE
from cli.output import number, print_json, progress_bar, say
from cli.services import only_one
from membrane.times import format_time
from storage.checkpoints import ERASURE_SECONDS, TRIM
from storage.directory import DataDir


def list_dead_letters(args: argparse.Namespace) -> int:
    """The signals that were set aside, newest first."""
    from storage.log import SignalLog

    with closing(SignalLog(DataDir.existing(args.data))) as log:
        letters = log.dead_letters(args.limit, args.before)
    if args.json:
        print_json({"dead_letters": [_letter(letter) for letter in letters]})
        return DONE
    for letter in letters:
        where = f"partition {letter.partition} offset" if letter.partition is not None else "index"
        say(
            f"{letter.seq}  {format_time(letter.received_ms)}  {letter.reason}  {letter.tenant}  "
            f"{letter.source or '-'} {letter.id or '-'}  ({where} {letter.position}, {len(letter.payload)} bytes)"
        )
    if not letters:
        say("no dead letters")
    return DONE


def digest(args: argparse.Namespace) -> int:
    """Three hashes and the offsets; read-only."""
    from storage.digest import digest as digest_of

    found = digest_of(args.data)
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        say(f"records  {found.records_sha256}  ({number(found.customers)} customers)")
        say(f"outbox   {found.outbox_sha256}")
        say(f"examples {found.examples_sha256}")
        say(f"offsets  {' '.join(map(str, found.offsets))}")
    return DONE


def trim(args: argparse.Namespace) -> int:
    """Checkpoints of the records, then the log before them goes. AnotherWriter while another trims."""
    DataDir.existing(args.data)
    with only_one(args.data, TRIM, ERASURE_SECONDS):
        from stream.trim import trim as trim_log

        bar = progress_bar("trim", asked=args.progress)
        try:
            found = trim_log(args.data, args.before, bar)
        finally:
            bar.close()
    if args.json:
        print_json({"before": format_time(args.before), "partitions": [asdict(one) for one in found]})
        return DONE
    for one in found:
        gone = f"{number(one.records)} records and {number(one.dead_letters)} dead letters went"
        say(f"partition {one.partition}: {gone}, its log begins at offset {one.offset}")
    return DONE


def rebuild(args: argparse.Namespace) -> int:
    """Replays the whole log into new stores. AnotherWriter while somebody runs the directory."""
    directory = DataDir.existing(args.data)
    with only_one(args.data), only_one(args.data, TRIM, ERASURE_SECONDS):
        from stream.rebuild import rebuild as rebuild_records

        bar = progress_bar("rebuild", asked=args.progress)
        try:
            rebuild_records(directory.path, bar)
        finally:
            bar.close()
    return digest(args)


def _letter(letter: object) -> dict[str, object]:
    shown = msgspec.to_builtins(letter, builtin_types=(bytes,))
    return {
        **shown,
        "received_at": format_time(shown.pop("received_ms")),
        "payload": shown["payload"].decode("utf-8", "replace"),
    }
