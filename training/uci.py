"""The reader of uci_incidents: an audit log of service incidents as CloudEvents.

One row is one event: `id` = row number (from 1), `source` = `uci`, `subject` = the caller (a caller '?' is written
without a subject, so that the API refuses it), `case` = the incident's number. The first row of a number opens the
case; a rise of `reopen_count` reopens it; the first Resolved or Closed row since then resolves it; every other row
updates it. The source tells minutes: the rows of one number within one get the seconds 0, 1, 2… in the order of the
file, for of two that say something else at one moment not the later would count but the one that sorts last.
`resolved_at`, `closed_at`, `closed_code` and `resolved_by` are known only at the end: never read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from training.ndjson import Event, write_events
from training.progress import Progress, silent
from training.tables import read_table

FILE_NAME: Final = "incidents_callers_half0.csv.gz"
_COLUMNS: Final = (
    "number", "incident_state", "reopen_count", "caller_id", "sys_updated_at", "category", "subcategory", "priority",
)  # fmt: skip
_END_STATES: Final = frozenset({"Resolved", "Closed"})
_WAITING: Final = "Awaiting User Info"
_NO_CALLER: Final = "?"
_LAST_SECOND: Final = 59


class _Row(NamedTuple):
    number: str
    state: str
    reopen_count: int
    caller: str
    updated_at: str
    category: str
    subcategory: str
    priority: int
    row: int


def write_uci(source_dir: Path, out: Path, progress: Progress = silent) -> Counter[str]:
    """Write the data set in `source_dir` as NDJSON to `out`, in time order (rows of one second by row number).

    Returns the number of lines by type, and of those without a subject as `no_subject`. Progress in lines. Raises
    UsageError if the folder lacks the file or the file its columns."""
    return write_events(uci_events(source_dir), out, progress)


def uci_events(source_dir: Path) -> list[Event]:
    """The same, as events in time order."""
    rows = sorted(_rows(source_dir / FILE_NAME), key=lambda row: (row.updated_at, row.row))
    return sorted(_events(rows), key=lambda event: str(event["time"]))


def _rows(path: Path) -> Iterator[_Row]:
    for line, row in enumerate(read_table(path, "uci_incidents", _COLUMNS), 1):
        number, state, reopened, caller, updated, category, subcategory, priority = (row[name] for name in _COLUMNS)
        yield _Row(number, state, int(reopened), caller, updated, category, subcategory, int(priority), line)


def _events(rows: Iterable[_Row]) -> Iterator[Event]:
    reopened: dict[str, int] = {}
    resolved: set[str] = set()
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        before = reopened.get(row.number)
        reopened[row.number] = row.reopen_count
        if before is None:
            name = "opened"
        elif row.reopen_count > before:
            name = "reopened"
            resolved.discard(row.number)
        elif row.state in _END_STATES and row.number not in resolved:
            name = "resolved"
            resolved.add(row.number)
        else:
            name = "updated"
        minute = row.number, row.updated_at
        yield _event(row, name, min(seen[minute], _LAST_SECOND))
        seen[minute] += 1


def _event(row: _Row, name: str, second: int) -> Event:
    event: Event = {
        "specversion": "1.0",
        "id": str(row.row),
        "source": "uci",
        "type": f"cx.case.{name}.v1",
        "time": f"{row.updated_at}:{second:02d}Z",
        "datacontenttype": "application/json",
        "data": _data(row, name),
    }
    if row.caller != _NO_CALLER:
        event["subject"] = row.caller
    return event


def _data(row: _Row, name: str) -> dict[str, Any]:
    data: dict[str, Any] = {"case": row.number}
    if name in ("opened", "updated"):
        data |= {"category": row.category, "product": row.subcategory, "severity": row.priority}
    if name == "updated":
        data["status"] = "waiting_on_customer" if row.state == _WAITING else "open"
    return data
