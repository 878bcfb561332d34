"""Rows of another system's export as signals, by a mapping. A row of which anything cannot be read is refused whole."""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from membrane.document import hint
from membrane.errors import InvalidSignal
from membrane.signals import TYPES, CheckedSignal, check, invalid
from membrane.times import format_time, parse_time
from storage.keys import signal_key
from training.exports import ExportRow, Layout, read_export
from training.mapping import MappingFile, SignalRule, Slot, cell_text
from training.ndjson import Event
from training.progress import Progress, silent
from training.signal_file import TENANT, in_time_order

SHOWN_REFUSALS: Final = 20

Cells = dict[str, Any]
Write = Callable[[bytes, CheckedSignal], None]


@dataclass(slots=True)
class Ingested:
    """What became of the rows. `types` counts the signals, each once; `duplicates` were the same fact once more."""

    rows: int = 0
    rows_refused: int = 0
    rows_without_signal: int = 0
    signals: int = 0
    duplicates: int = 0
    types: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    """Where and why, for the first few."""
    reasons: dict[str, int] = field(default_factory=dict)
    """How many rows were refused for each column or slot."""
    columns_unused: list[str] = field(default_factory=list)
    columns_missing: list[str] = field(default_factory=list)
    """Columns of the mapping that no row has, each with the nearest name."""


class _Refused(Exception):
    """A row cannot be read; `about` is the column or slot."""

    def __init__(self, about: str, fault: str) -> None:
        super().__init__(f"{about}: {fault}")
        self.about = about


def ingest(source: Path, mapping: MappingFile, out: Path | None, progress: Progress = silent) -> Ingested:
    """Write the rows of `source` as signals in time order to `out`, all of them or none; with None only look.

    Progress in bytes. UsageError where the export cannot be read, OSError where the signals cannot be written."""
    found, spool = Ingested(), _Spool()
    columns: dict[str, None] = {}
    with spool.file:
        for row in read_export(source, Layout(mapping.columns, mapping.delimiter, mapping.encoding), progress):
            columns.update(dict.fromkeys(row.cells))
            _take(row, mapping, found, spool)
        found.columns_unused = [name for name in columns if name not in mapping.columns]
        found.columns_missing = [f"{name}{hint(name, columns)}" for name in mapping.columns if name not in columns]
        order = spool.order()
        found.signals, found.duplicates = len(order), len(spool.times) - len(order)
        found.types = dict(sorted(Counter(spool.names[spool.types[place]] for place in order).items()))
        if out is not None:
            _write(out, spool.lines(order))
    return found


def events_of(cells: Cells, mapping: MappingFile) -> list[Event]:
    """The signals that a row is. Raises `_Refused` where it says something that cannot be."""
    rules = (rule for rule in mapping.rules if _applies(cells, rule))
    return [_event(cells, mapping, rule) for rule in rules]


@dataclass(slots=True)
class _Spool:
    """Signals as lines of a file without a name, in the order of the rows."""

    file: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    begins: array[int] = field(default_factory=lambda: array("q"))
    times: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("q"))
    types: array[int] = field(default_factory=lambda: array("H"))
    names: list[str] = field(default_factory=list)

    def add(self, line: bytes, signal: CheckedSignal) -> None:
        stored = signal.stored
        if stored.type not in self.names:
            self.names.append(stored.type)
        self.begins.append(self.file.tell())
        self.times.append(stored.time)
        self.keys.append(signal_key(TENANT, stored.source, stored.id))
        self.types.append(self.names.index(stored.type))
        self.file.write(line + b"\n")

    def order(self) -> list[int]:
        """The places of the signals by time, of those with one id the first alone."""
        return list(map(int, in_time_order(self.times, self.keys)))

    def lines(self, order: list[int]) -> Iterator[bytes]:
        for place in order:
            self.file.seek(self.begins[place])
            yield self.file.readline()


def _take(row: ExportRow, mapping: MappingFile, found: Ingested, spool: _Spool) -> None:
    found.rows += 1
    try:
        if row.fault:
            raise _Refused("cells", row.fault)
        lines = [(line, _checked(line)) for line in map(msgspec.json.encode, events_of(row.cells, mapping))]
    except _Refused as refused:
        found.rows_refused += 1
        found.reasons[refused.about] = found.reasons.get(refused.about, 0) + 1
        if len(found.refusals) < SHOWN_REFUSALS:
            found.refusals.append(f"{row.place}: {refused}")
        return
    found.rows_without_signal += not lines
    for line, signal in lines:
        spool.add(line, signal)


def _checked(line: bytes) -> CheckedSignal:
    try:
        return check(line, TENANT)
    except InvalidSignal as error:
        raise _Refused(error.pointer.lstrip("/") or "signal", error.detail) from error


def _applies(cells: Cells, rule: SignalRule) -> bool:
    conditions = (cell_text(cells.get(column)) in words for column, words in rule.when.items())
    return bool(cell_text(cells.get(rule.time))) and all(conditions)


def _event(cells: Cells, mapping: MappingFile, rule: SignalRule) -> Event:
    customer = cell_text(cells.get(mapping.customer))
    if not customer:
        raise _Refused(mapping.customer, "a customer was required, an empty cell came")
    time = format_time(_time(cell_text(cells[rule.time]), mapping, rule.time))
    data = _data(cells, rule)
    told_apart = [cell_text(cells.get(name)) for name in rule.id] or [
        customer,
        time,
        msgspec.json.encode(data).decode(),
    ]
    return {
        "specversion": "1.0",
        "id": f"{rule.name}-{_digest(told_apart)}",
        "source": mapping.source,
        "type": rule.type,
        "time": time,
        "datacontenttype": "application/json",
        "subject": customer,
        "data": data,
    }


def _data(cells: Cells, rule: SignalRule) -> dict[str, Any]:
    given = {name: _value(cells, slot) for name, slot in rule.data.items()}
    try:
        typed = msgspec.convert(
            {name: value for name, value in given.items() if value is not None}, TYPES[rule.type], strict=False
        )
    except msgspec.ValidationError as error:
        fault = invalid(error, "")
        name = fault.pointer.strip("/")
        slot = rule.data.get(name)
        column = f" (column {slot.column})" if slot is not None and slot.column else ""
        raise _Refused(f"{rule.name} {name}{column}", fault.detail) from error
    data: dict[str, Any] = msgspec.to_builtins(typed)
    return data


def _value(cells: Cells, slot: Slot) -> Any:
    if slot.column is None:
        return slot.default
    cell = cells.get(slot.column)
    text = cell_text(cell)
    if not text:
        return slot.default
    if slot.values is None:
        return text if isinstance(cell, str) else cell
    if text in slot.values:
        return slot.values[text]
    if slot.otherwise is None:
        words = ", ".join(slot.values)
        raise _Refused(slot.column, f"one of {words} was required, came '{text}'{hint(text, slot.values)}")
    return slot.otherwise


def _time(text: str, mapping: MappingFile, column: str) -> int:
    """Epoch ms of a cell; a time without an offset is in the mapping's zone."""
    try:
        if mapping.time_format is None:
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.strptime(text, mapping.time_format)  # noqa: DTZ007 - the zone comes next
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=mapping.zone)
        return parse_time(aware.isoformat())
    except ValueError as error:
        wanted = f"'{mapping.time_format}'" if mapping.time_format else "ISO 8601"
        raise _Refused(column, f"a time as {wanted} was required, came '{text}'") from error


def _digest(parts: list[str]) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def _write(out: Path, lines: Iterator[bytes]) -> None:
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(lines)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
