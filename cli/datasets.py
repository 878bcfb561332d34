"""`membrane dataset` and `membrane simulate-customers`: signals written to a file."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.exits import DONE
from cli.output import number, print_json, progress_bar, say
from membrane.errors import UsageError


def uci_incidents(args: argparse.Namespace) -> int:
    """Writes the data set as signals and says how many of each type."""
    from training.uci import write_uci

    bar = progress_bar("uci_incidents", asked=args.progress)
    with _writing(args.out):
        counts = write_uci(getattr(args, "from"), args.out, bar)
    bar.close()
    return _told(args, counts)


def completejourney(args: argparse.Namespace) -> int:
    """Writes the panel as signals, with made-up cases where wanted, and says how many of each type."""
    from training.completejourney import write_completejourney

    bar = progress_bar("completejourney", asked=args.progress)
    with _writing(args.out):
        counts = write_completejourney(getattr(args, "from"), args.out, cases=args.with_cases, progress=bar)
    bar.close()
    return _told(args, counts)


def cdnow(args: argparse.Namespace) -> int:
    """Writes the orders as signals and says how many."""
    from training.cdnow import write_cdnow

    bar = progress_bar("cdnow", asked=args.progress)
    with _writing(args.out):
        counts = write_cdnow(getattr(args, "from"), args.out, bar)
    bar.close()
    return _told(args, counts)


def simulate_customers(args: argparse.Namespace) -> int:
    """Simulates customers; the same arguments give the same bytes."""
    from training.simulator import write_simulation

    bar = progress_bar("simulate", asked=args.progress)
    with _writing(args.out, args.truth):
        try:
            signals = write_simulation(
                args.out,
                args.truth,
                customers=args.customers,
                days=args.days,
                seed=args.seed,
                start_ms=args.start,
                progress=bar,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
    bar.close()
    if args.json:
        print_json({"signals": signals, "customers": args.customers, "days": args.days, "seed": args.seed})
    else:
        say(f"{number(signals)} signals of {number(args.customers)} customers in {args.out}, the truth in {args.truth}")
    return DONE


def _told(args: argparse.Namespace, counts: Counter[str]) -> int:
    without = counts.pop("no_subject", 0)
    signals = sum(counts.values())
    if args.json:
        print_json({"signals": signals, "without_subject": without, "types": dict(sorted(counts.items()))})
        return DONE
    say(f"{number(signals)} signals in {args.out}, {number(without)} of them without a subject:")
    for name, count in sorted(counts.items()):
        say(f"  {number(count):>8}  {name}")
    return DONE


@contextmanager
def _writing(*files: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        names = " and ".join(map(str, files))
        raise UsageError(f"{names}: cannot be written: {error.strerror or error}") from error
