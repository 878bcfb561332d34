"""`membrane learn`: the online learner of one data directory."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from typing import Any, Final

from cli.exits import DONE
from cli.logs_arguments import log_words
from cli.output import ProgressBar, number, print_json, say
from cli.processes import command_line, leave_on_sigterm, own_environment, pid_file
from models.signing import check_private_key
from storage.directory import DataDir
from storage.lock import dir_lock

NICENESS: Final = 10
"""A learner that is part of `up` leaves the processors to those who answer."""
IDLE_SECONDS: Final = 1.0


def learn(args: argparse.Namespace) -> int:
    """Learns until told to stop, or to the end of what there is. AnotherWriter while another learner has it."""
    leave_on_sigterm()
    if args.parent_pid is not None:
        os.nice(NICENESS)
    directory = DataDir.existing(args.data)
    if args.grow is not None:
        return _grow(args, directory)
    if args.signing_key is not None:
        check_private_key(args.signing_key)
    path = directory.pid_path("learn")
    # A second learner is refused before it writes anything; the pid of a child is written by `up`.
    with dir_lock(args.data, "learn").acquire(), pid_file(path) if args.parent_pid is None else nullcontext():
        from storage.examples import LabelledReader

        with closing(LabelledReader(directory)) as reader:
            while not args.once and not any(reader.after(p, -1, 1) for p in range(directory.partitions)):
                time.sleep(IDLE_SECONDS)  # River is loaded only when there is something to learn
            return _learn(args, directory, reader)


def _learn(args: argparse.Namespace, directory: DataDir, reader: Any) -> int:
    from storage.learner import LearnerStore
    from training.learning import Learning, Settings

    settings = Settings(
        every_labels=args.every_labels,
        every_seconds=args.every / 1_000,
        trees_every=args.trees_every,
        once=args.once,
        signing_key=args.signing_key,
        grow=lambda kind, folder: (
            command_line(["learn", f"--data={args.data}", f"--grow={kind}", f"--into={folder}", *log_words(args)]),
            own_environment(),
        ),
    )
    with closing(LearnerStore.open(directory)) as store:
        learning = Learning(directory, store, reader, settings)
        bar = ProgressBar("learn", shown=args.once and (args.progress or sys.stderr.isatty()))
        try:
            learning.run(IDLE_SECONDS, bar)
        finally:
            bar.close()
        _tell(args, learning.summary())
    return DONE


def _grow(args: argparse.Namespace, directory: DataDir) -> int:
    """Grows trees for the learner that started us, and holds the lock."""
    from storage.examples import LabelledReader
    from storage.learner import LearnerStore
    from training.growing import grow, up_to
    from training.learner import reached
    from training.learning import END_OF_TIME, OURS
    from training.merging import Merged, Place

    with closing(LearnerStore.open(directory)) as store, closing(LabelledReader(directory)) as reader:
        known = reached(store.places(), directory.partitions)
        merged = Merged(reader, [Place() for _ in known.places], lambda: END_OF_TIME)
        before = known.trees.get(args.grow)
        parent = before.revision or None if before else None
        grow(args.grow, up_to(merged, known.places), OURS, args.into, parent=parent)
    return DONE


def _tell(args: argparse.Namespace, summary: Mapping[str, Any]) -> None:
    if args.json:
        print_json(summary)
        return
    for kind, target in summary["targets"].items():
        say(f"{kind}: {number(target['learned'])} labels learned")
        for name, figures in target["figures"].items():
            say(
                f"  {name:22} log-loss {figures['log_loss']:.4f} (learner {figures['log_loss_learner']:.4f}), "
                f"accuracy {figures['accuracy']:.3f}, {number(int(figures['rows']))} labels"
            )
        if target["published"]:
            say(f"  published as {target['published']['revision']}")
    for reason, count in summary["skipped"].items():
        say(f"passed over ({reason}): {number(count)}")
