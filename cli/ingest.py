"""`membrane ingest`: another system's export as a file of signals, and what became of its rows."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cli.exits import DONE, FAILED
from cli.output import complain, number, print_json, progress_bar, say
from membrane.errors import UsageError

if TYPE_CHECKING:
    from training.ingesting import Ingested


def ingest_export(args: argparse.Namespace) -> int:
    """Writes the signals, or with --dry-run only says what they would be."""
    from training.ingesting import ingest
    from training.mapping import read_mapping

    out: Path | None = None if args.dry_run else args.out
    if out is None and not args.dry_run:
        raise UsageError("--out FILE or --dry-run is required")
    mapping = read_mapping(args.map)
    bar = progress_bar("ingest", asked=args.progress)
    try:
        found = ingest(getattr(args, "in"), mapping, out, bar)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        bar.close()
    if args.json:
        print_json({**asdict(found), "out": None if out is None else str(out)})
    else:
        _tell(found, out)
    return FAILED if args.dry_run and found.rows_refused else DONE


def _tell(found: Ingested, out: Path | None) -> None:
    for refusal in found.refusals:
        complain(refusal)
    if found.rows_refused > len(found.refusals):
        complain(f"and {number(found.rows_refused - len(found.refusals))} more rows that were refused")
    for about, rows in found.reasons.items():
        complain(f"{number(rows)} rows refused for {about}")
    for name in found.columns_missing:
        complain(f"no row has the column {name}")
    where = "nothing was written" if out is None else f"in {out}"
    say(
        f"{number(found.rows)} rows, {number(found.rows_refused)} of them refused, "
        f"{number(found.rows_without_signal)} without a signal: {number(found.signals)} signals "
        f"({number(found.duplicates)} more were told again); {where}"
    )
    for name, count in found.types.items():
        say(f"  {number(count):>8}  {name}")
    if found.columns_unused:
        say(f"columns that were not used: {', '.join(found.columns_unused)}")
