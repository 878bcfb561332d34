"""`membrane principles shadow-report`: what principles in shadow would have changed, counted in the decision log."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final

import msgspec

from cli.exits import DONE
from cli.output import number, print_json, say
from membrane.errors import RecordUnreadable
from membrane.shadow import Shadow
from storage.decisions import LoggedDecision, every_decision
from storage.directory import DataDir


class _Stage(msgspec.Struct):
    name: str


class _Answer(msgspec.Struct):
    stage: _Stage | None


class _Line(msgspec.Struct):
    answer: _Answer
    shadow: list[Shadow] = []


_decoder: Final = msgspec.json.Decoder(_Line)


@dataclass(slots=True)
class Row:
    """One principle, department and stage: how often the principle held, and how often the verdict would have been
    another one, by `given -> would_be`."""

    principle: str
    department: str
    stage: str
    held: int = 0
    changed: int = 0
    changes: dict[str, int] = field(default_factory=dict)


def shadow_report(args: argparse.Namespace) -> int:
    """Prints the table."""
    path = DataDir.existing(args.data).decisions_path
    logged = every_decision(path, args.since or 0)
    decisions, rows = tally(one for one in logged if args.tenant in (None, one.tenant))
    if args.json:
        print_json({"decisions": decisions, "rows": [asdict(row) for row in rows]})
        return DONE
    say(f"{number(decisions)} decisions, in {number(sum(row.held for row in rows))} cases something in shadow held")
    for row in rows:
        changes = ", ".join(f"{what} {number(count)}" for what, count in sorted(row.changes.items()))
        share = f"would have changed {number(row.changed)} of {number(row.held)} ({row.changed / row.held:.0%})"
        say(f"{row.principle}  {row.department}  {row.stage}: {share}{': ' if changes else ''}{changes}")
    return DONE


def tally(logged: Iterable[LoggedDecision]) -> tuple[int, list[Row]]:
    """How many decisions there are, and the rows by principle, department and stage. RecordUnreadable for a line that
    is none."""
    rows: dict[tuple[str, str, str], Row] = {}
    decisions = 0
    for one in logged:
        decisions += 1
        line = _decoded(one)
        stage = line.answer.stage.name if line.answer.stage else "none"
        for shadow in line.shadow:
            key = shadow.principle, shadow.department, stage
            row = rows.setdefault(key, Row(*key))
            row.held += 1
            if shadow.changes:
                row.changed += 1
                change = f"{shadow.verdict} -> {shadow.would_be}"
                row.changes[change] = row.changes.get(change, 0) + 1
    return decisions, [rows[key] for key in sorted(rows)]


def _decoded(logged: LoggedDecision) -> _Line:
    try:
        return _decoder.decode(logged.body)
    except msgspec.MsgspecError as error:
        raise RecordUnreadable(f"decision {logged.id}: a logged decision was required: {error}") from error
