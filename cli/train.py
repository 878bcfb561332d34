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

from cli import training_sources as sources
from cli.exits import DONE
from cli.options import came_from_environment
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

    _require_place(args.out)
    examples, plan = _gathered(args)
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


def _gathered(args: argparse.Namespace) -> tuple[Examples, Plan]:
    """The examples of the one source that is given. A data directory named by the environment yields to a flag."""
    given = [name for name in ("table", "signals", "data") if getattr(args, name) is not None]
    if len(given) > 1 and args.data is not None and came_from_environment("--data", args.data):
        given.remove("data")
    if len(given) != 1:
        came = " and ".join(f"--{name}" for name in given) or "none"
        raise UsageError(f"train: one of --table FILE, --signals FILE and --data DIR is required, came {came}")
    if given == ["table"]:
        return _from_table(args)
    source: Path = getattr(args, given[0])
    bar = progress_bar(f"read {source.name}", asked=args.progress)
    found = sources.from_signals(args, bar) if given == ["signals"] else sources.from_data(args)
    bar.close()
    plan = replace(
        _plan(args, source),
        source_sha256=sources.sha256_of(source) if given == ["signals"] else "",
        horizon_ms=found.horizon_ms,
        test_from=found.test_from,
        notes=found.notes,
    )
    return found.examples, plan


def _from_table(args: argparse.Namespace) -> tuple[Examples, Plan]:
    from training.encoding import table_examples
    from training.table_file import read_table_file

    if args.label is None:
        raise UsageError("train --table: --label COL is required")
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
