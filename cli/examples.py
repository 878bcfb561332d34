"""`membrane examples` and `membrane skew`: what there is to learn from, and whether it is what was served."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Final

import msgspec

from cli.exits import DONE, FAILED
from cli.output import complain, number, print_json, progress_bar, say
from membrane.errors import StoreUnavailable
from membrane.times import HOUR
from membrane.vocabulary import STAGES
from storage.directory import DataDir
from storage.examples import LabelledReader

_QUANTILES: Final = {"median": 0.5, "p90": 0.9}
_CHURN: Final = ("stays", "closes")


def export(args: argparse.Namespace) -> int:
    """Writes the Parquet file."""
    from training.parquet import FILE_NAME, export

    directory = DataDir.existing(args.data)
    out = args.out / FILE_NAME if args.out.is_dir() else args.out
    bar = progress_bar("export", asked=args.progress)
    try:
        exported = export(directory, out, args.since or 0, bar)
    finally:
        bar.close()
    if args.json:
        print_json({"out": str(out), **msgspec.to_builtins(exported)})
        return DONE
    say(f"{number(exported.rows)} labelled examples in {out}")
    if exported.passed_over:
        say(f"{number(exported.passed_over)} of other features than this version's were left out")
    return DONE


def status(args: argparse.Namespace) -> int:
    """Counts and delays."""
    with closing(LabelledReader(DataDir.existing(args.data))) as reader:
        kept, counts, delays = reader.kept(), reader.counts(), reader.delays()
        unmatched = sum(reader.unmatched())
    rows = [
        {"target": target, "label": _name(target, label), "by": by, "count": count, "weight": round(weight, 4)}
        for (target, label, by), (count, weight) in sorted(counts.items())
    ]
    late = {
        target: {name: _hours(found, share) for name, share in _QUANTILES.items()} for target, found in delays.items()
    }
    if args.json:
        print_json({"kept": kept, "labels": rows, "delay_hours": late, "labels_without_vector": unmatched})
        return DONE
    labels = sum(count for count, _ in counts.values())
    say(f"{number(kept)} vectors kept, {number(labels)} labels joined; {number(unmatched)} labels found no vector")
    for (target, label, by), (count, weight) in sorted(counts.items()):
        say(f"{target:6} {_name(target, label):10} {by:16} {number(count):>9}  weight {weight:g}")
    for target, hours in sorted(late.items()):
        say(f"{target}: found out {hours['median']:g} h (median), {hours['p90']:g} h (p90) after the vector was served")
    return DONE


def skew(args: argparse.Namespace) -> int:
    """Compares, tells, and leaves the outcome for /metrics."""
    from stream.metrics import leave_skew
    from stream.skew import skew

    directory = DataDir.existing(args.data)
    bar = progress_bar("skew", asked=args.progress)
    try:
        found = skew(directory, bar)
    finally:
        bar.close()
    try:
        leave_skew(directory.run_path / "metrics", found.checked, found.mismatches)
    except StoreUnavailable as error:
        complain(f"the outcome is not in the metrics: {error}")
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        say(f"{number(found.mismatches)} of {number(found.checked)} kept vectors differ from the log")
        if found.passed_over:
            say(f"{number(found.passed_over)} of other features than this version's were not compared")
        if found.trimmed:
            say(f"{number(found.trimmed)} were not compared: what they were made of is trimmed from the log")
        for one in found.first:
            replayed = "nothing" if one.replayed is None else f"{one.replayed!r}"
            what = f"{one.feature} was served as {one.served!r}, replayed as {replayed}"
            say(f"  partition {one.partition}, offset {one.offset}: {what}")
    return FAILED if found.mismatches else DONE


def _name(target: str, label: int) -> str:
    return str(STAGES[label]) if target == "stage" else _CHURN[label]


def _hours(delays: list[int], share: float) -> float:
    return round(delays[min(int(len(delays) * share), len(delays) - 1)] / HOUR, 2)
