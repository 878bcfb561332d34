"""Fifth reports and the calls they owe, computed from the CSV alone: no code of Membrane in here."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

MONTH = timedelta(days=30)
ENDED = {"Resolved", "Closed"}


def count(path: Path) -> tuple[set[str], set[tuple[str, str, str, datetime]]]:
    """(incidents that were a fifth report, calls owed as (caller, category, subcategory, when the problem began))."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["caller_id"] != "?"]
    rows.sort(key=lambda row: row["sys_updated_at"])  # stable: rows of one minute stay in the file's order
    problem_of: dict[str, tuple[str, str, str]] = {}
    opened: dict[str, datetime] = {}
    reopened: dict[str, int] = {}
    recurrences: dict[str, int] = {}
    is_open: dict[str, set[str]] = defaultdict(set)  # caller -> incidents
    reports: dict[tuple[str, str, str], list[tuple[datetime, str]]] = defaultdict(list)
    began: dict[tuple[str, str, str], datetime] = {}
    calls: set[tuple[str, str, str, datetime]] = set()
    for row in rows:
        number, caller, at = row["number"], row["caller_id"], datetime.fromisoformat(row["sys_updated_at"])
        report = False
        if number not in opened:
            problem = problem_of[number] = (caller, row["category"], row["subcategory"])
            opened[number], reopened[number], report = at, int(row["reopen_count"]), True
            earlier = {one for one in reports[problem] if at - MONTH < one[0] < at}
            recurrences[number] = len(earlier)
            is_open[caller].add(number)
        elif int(row["reopen_count"]) > reopened[number]:
            reopened[number], report = int(row["reopen_count"]), True
            is_open[caller].add(number)
        elif row["incident_state"] in ENDED:
            is_open[caller].discard(number)
        if report:
            problem = problem_of[number]
            last = max((one[0] for one in reports[problem]), default=None)
            if last is None or at - last > MONTH:
                began[problem] = at
            reports[problem].append((at, number))
        calls |= {(*problem_of[one], began[problem_of[one]]) for one in is_open[caller] if recurrences[one] > 3}
    return {number for number, found in recurrences.items() if found > 3}, calls
