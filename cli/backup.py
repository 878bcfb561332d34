"""`membrane backup` and `membrane restore`: a data directory into a folder, and back into a new directory."""

from __future__ import annotations

import argparse
import time

from cli.exits import DONE
from cli.output import number, print_json, progress_bar, say
from cli.services import only_one
from membrane.times import format_time
from storage.backup import Manifest, back_up
from storage.backup import restore as restore_from
from storage.checkpoints import ERASURE_SECONDS, TRIM
from storage.clock import wall_ms
from storage.directory import DataDir


def backup(args: argparse.Namespace) -> int:
    """Copies the directory, beside whoever runs it; says up to which offsets."""
    started, bar = time.monotonic(), progress_bar("backup", asked=args.progress)
    DataDir.existing(args.data)
    try:
        with only_one(args.data, TRIM, ERASURE_SECONDS):  # the log and its checkpoints are to fit
            made = back_up(args.data, args.out, format_time(wall_ms()), bar)
    finally:
        bar.close()
    return _tell(args, made, f"backed up {args.data} into {args.out}", time.monotonic() - started)


def restore(args: argparse.Namespace) -> int:
    """Makes a new directory of a backup, once every file of it is known to be as it was written."""
    started, bar = time.monotonic(), progress_bar("restore", asked=args.progress)
    try:
        found = restore_from(getattr(args, "from"), args.data, bar)
    finally:
        bar.close()
    return _tell(args, found, f"restored {args.data} as of {found.made_at}", time.monotonic() - started)


def _tell(args: argparse.Namespace, manifest: Manifest, what: str, seconds: float) -> int:
    size = sum(file.bytes for file in manifest.files.values())
    if args.json:
        print_json(
            {
                "made_at": manifest.made_at,
                "customers": manifest.digest.customers,
                "records_sha256": manifest.digest.records_sha256,
                "outbox_sha256": manifest.digest.outbox_sha256,
                "offsets": manifest.digest.offsets,
                "log_ends": manifest.log_ends,
                "files": len(manifest.files),
                "bytes": size,
                "seconds": round(seconds, 3),
            }
        )
        return DONE
    say(f"{what}: {number(len(manifest.files))} files, {number(size)} bytes in {seconds:.1f} s")
    say(f"records  {manifest.digest.records_sha256}  ({number(manifest.digest.customers)} customers)")
    say(f"offsets  {' '.join(map(str, manifest.digest.offsets))}")
    say(f"log to   {' '.join(map(str, manifest.log_ends))}")
    return DONE
