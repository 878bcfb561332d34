"""`membrane principles simulate`: what a draft would have changed of the contacts that were made."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from cli.exits import DONE
from cli.output import number, print_json, progress_bar, say
from cli.plot import Panel, write_plot
from membrane.errors import UsageError
from membrane.layers import COMMON, layered, own_kind
from membrane.principles import PrincipleSet
from membrane.settings import TenantSettings
from membrane.signals import ContactMade, Data, StoredSignal
from membrane.times import DAY
from membrane.trial import Changes, Example, Outcome, Ruling, Trial
from membrane.view import View
from serving.freshness import read_state
from serving.principle_sets import PrincipleSets, checked
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.documents import MAX_BYTES
from storage.log_reader import LogReader
from storage.principles import PrincipleFiles, compile_principles, read_principle_file
from storage.record_reader import RecordReader
from stream.hindsight import Hindsight, contacts_made

_STANDARD_INPUT: Final = Path("-")
_NICE: Final = 10


def simulate(args: argparse.Namespace) -> int:
    """Judges the contacts again and prints what would have been."""
    if args.parent_pid is not None:
        os.nice(_NICE)  # whoever asks us answers others, too
    bar = progress_bar("simulate", asked=args.progress)
    try:
        outcome = _outcome(args, bar)
    finally:
        bar.close()
    if args.plot is not None:
        write_plot(args.plot, panels(outcome))
    if args.json:
        print_json(msgspec.to_builtins(outcome))
    else:
        for line in lines(outcome):
            say(line)
    return DONE


def lines(outcome: Outcome) -> list[str]:
    """The outcome for people."""
    total = outcome.total
    span = f"{outcome.since} to {outcome.until}"
    shown = [
        f"{number(total.contacts)} contacts with {number(outcome.customers)} customers, {span}",
        f"in force {outcome.in_force}: {_verdicts(outcome.verdicts_in_force)}",
        f"draft    {outcome.draft}: {_verdicts(outcome.verdicts_draft)}",
    ]
    for title, rows in (
        ("department", {**outcome.by_department, "all": total}),
        ("stage", outcome.by_stage),
        ("held by", outcome.by_principle),
    ):
        shown += ["", f"{title:36} {'contacts':>9} {'held back':>9} {'let through':>11} {'otherwise':>9}"]
        shown += [f"{name:36} {_figures(changes)}" for name, changes in rows.items()]
    shown += _examples("would be held back:", outcome.held_back)
    shown += _examples("would be let through:", outcome.let_through)
    if outcome.spared:
        spared = ", ".join(f"{one.customer} ({number(one.contacts)})" for one in outcome.spared)
        shown += ["", f"spared most: {spared}"]
    return shown


def panels(outcome: Outcome) -> list[Panel]:
    """What would have become of the contacts of each department, and of those made in each stage."""
    title = f"{outcome.draft} instead of {outcome.in_force}"
    return [_panel(title, outcome.by_department), _panel("by stage", outcome.by_stage)]


def _panel(title: str, counted: Mapping[str, Changes]) -> Panel:
    changes = counted.values()
    parts = {
        "as now": [one.contacts - one.held_back - one.let_through - one.otherwise for one in changes],
        "let through": [one.let_through for one in changes],
        "held back": [one.held_back for one in changes],
        "deferred or forbidden instead": [one.otherwise for one in changes],
    }
    return Panel(title, list(counted), parts)


def _outcome(args: argparse.Namespace, progress: Callable[[int, int], None]) -> Outcome:
    directory = DataDir.existing(args.data)
    with closing(LogReader(directory)) as log:
        draft = _draft(args.draft, log, args.tenant)
        trial = Trial(_in_force(log, args.tenant), draft, _settings(directory, args.tenant))
        hindsight = Hindsight(log, TenantSettings())
        until = args.at if args.at is not None else log.greatest_time() or wall_ms()
        since = until - args.days * DAY

        def judge(signal: StoredSignal, data: Data | None, view: View) -> None:
            if isinstance(data, ContactMade):
                trial.add(signal.customer, data, view)

        for partition in range(directory.partitions):
            hindsight.look(partition, contacts_made(log, partition, args.tenant, since, until), judge)
            progress(partition + 1, directory.partitions)
    return trial.outcome(since, until)


def _in_force(log: LogReader, tenant: str) -> PrincipleSet:
    revisions = log.revisions()
    common, own = revisions.get(COMMON), revisions.get(own_kind(tenant))
    sets = PrincipleSets(PrincipleFiles(log.directory.principles_path))
    found = sets.of_tenant(common["digest"], own["digest"] if own else None) if common else None
    if found is None:
        raise UsageError(f"--data {log.directory.path}: principles in force were required, there are none")
    return found


def _draft(path: Path, log: LogReader, tenant: str) -> PrincipleSet:
    """The draft as it would stand for the tenant: over what is in force for everybody where it extends that, else
    beneath the tenant's own file."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if path == _STANDARD_INPUT else read_principle_file(path)
    files = PrincipleFiles(log.directory.principles_path)
    found, revisions = checked(data, log, files, str(path)), log.revisions()
    if found.extends:
        return layered(compile_principles(files.load(revisions[COMMON]["digest"])), found)
    own = revisions.get(own_kind(tenant))
    return found if own is None else layered(found, compile_principles(files.load(own["digest"])))


def _settings(directory: DataDir, tenant: str) -> TenantSettings:
    with closing(RecordReader(directory)) as records:
        return read_state(records.meta(0)).tenants.get(tenant, TenantSettings())


def _verdicts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number(count)} {verdict}" for verdict, count in counts.items())


def _figures(changes: Changes) -> str:
    counts = (changes.contacts, changes.held_back, changes.let_through, changes.otherwise)
    return " ".join(f"{number(count):>{width}}" for count, width in zip(counts, (9, 9, 11, 9), strict=True))


def _examples(title: str, examples: list[Example]) -> list[str]:
    if not examples:
        return []
    return [
        "",
        title,
        *(
            f"  {one.at}  {one.customer} ({one.stage}): {one.domain} {one.kind} by {one.channel}: "
            f"{_ruling(one.in_force)} -> {_ruling(one.draft)}"
            for one in examples
        ),
    ]


def _ruling(ruling: Ruling) -> str:
    return f"{ruling.verdict} [{', '.join(ruling.because)}]" if ruling.because else str(ruling.verdict)
