"""`membrane train` and `membrane score`: a model from labelled data, and a table's model on another table."""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cli.exits import DONE
from cli.output import number, print_json, progress_bar, say
from membrane.errors import UsageError
from membrane.times import format_time

if TYPE_CHECKING:
    from training.fitting import Examples, Plan
    from training.report import Report


def train(args: argparse.Namespace) -> int:
    """Trains, writes the bundle with its card, and says how good it is on the test part."""
    from training.card import write
    from training.fitting import train as fitted

    examples, plan = _from_table(args)
    _require_place(args.out)
    bar = progress_bar(f"train {args.kind}", asked=args.progress)
    trained = fitted(args.kind, examples, plan, bar)
    bar.close()
    try:
        digest = write(trained, args.out)
    except OSError as error:
        raise UsageError(f"--out {args.out}: cannot be written: {error.strerror or error}") from error
    if args.json:
        print_json({**msgspec.to_builtins(trained.report), "digest": digest, "out": str(args.out)})
    else:
        _tell(trained.report, args.out)
    return DONE


def score(args: argparse.Namespace) -> int:
    """Writes the probabilities of each row of a table."""
    from models.bundle import read_bundle
    from models.onnx_model import load_model
    from training.table_file import read_table_file

    bundle = read_bundle(args.bundle)
    encoder, manifest = bundle.encoder, bundle.manifest
    if encoder is None:
        raise UsageError(f"--bundle {args.bundle}: a bundle trained on a table is required, this one has no encoder")
    table = read_table_file(args.table)
    rows = encoder.encode(table.columns, str(args.table))
    model = load_model(bundle, classes=manifest.classes, fingerprint=encoder.fingerprint)
    found = model.probabilities(rows)
    try:
        with args.out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row", *manifest.classes])
            writer.writerows([row, *(f"{one:.6f}" for one in line)] for row, line in enumerate(found.tolist(), 2))
    except OSError as error:
        raise UsageError(f"--out {args.out}: cannot be written: {error.strerror or error}") from error
    means = dict(zip(manifest.classes, found.mean(axis=0).round(5).tolist(), strict=True))
    if args.json:
        print_json({"rows": len(found), "revision": bundle.revision, "mean": means, "out": str(args.out)})
    else:
        told = ", ".join(f"{name} {mean:.4f}" for name, mean in means.items())
        say(f"{number(len(found))} rows scored by {bundle.revision} into {args.out}; on the mean {told}")
    return DONE


def _from_table(args: argparse.Namespace) -> tuple[Examples, Plan]:
    from training.encoding import table_examples
    from training.table_file import read_table_file

    if args.table is None or args.label is None:
        raise UsageError("train: --table FILE and --label COL are required")
    table = read_table_file(args.table)
    drop = tuple(filter(None, (args.drop or "").split(",")))
    examples, notes = table_examples(args.kind, table, args.label, positive=args.positive, drop=drop)
    return examples, replace(_plan(args, args.table), source_sha256=table.sha256, notes=notes)


def _plan(args: argparse.Namespace, source: Path) -> Plan:
    """What the bundle says of itself, and how it is trained."""
    from training.fitting import Plan

    created = format_time(time.time_ns() // 1_000_000)
    return Plan(
        name=f"{source.name.split('.')[0]}-{args.kind}",
        revision=f"{created[:10]}.{created[11:19].replace(':', '')}",
        created=created,
        source=source.name,
        command=shlex.join(["membrane", *sys.argv[1:]]),
        folds=args.folds,
        seed=args.seed,
        balanced=args.balanced,
    )


def _require_place(out: Path) -> None:
    """A folder is found out to be no place before the training, not after it."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: a folder is required, this is a file")


def _tell(report: Report, out: Path) -> None:
    say(f"{report.model}: {number(report.learned)} rows learned, {number(report.tested)} judged ({report.split})")
    for name, figure in report.figures.items():
        beside = [f"{key.removeprefix(f'{name}_')} {value}" for key, value in report.baselines.items()
                  if key.startswith(f"{name}_")]  # fmt: skip
        told = f" ({', '.join(beside)})" if beside else ""
        say(f"  {name:<10} {figure.value:.4f}  95 % from {figure.low:.4f} to {figure.high:.4f}{told}")
    for note in report.notes:
        say(f"  note: {note}")
    say(f"The bundle and its card are in {out}: see card.html")
