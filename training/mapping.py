"""A mapping: which signals the rows of another system's export are.

source: tickets                      # of every signal
customer: requester                  # the column that names the customer
timezone: Europe/Madrid              # of times without an offset (UTC unless it is given)
time_format: "%d/%m/%Y %H:%M"        # as in Python's strptime (ISO 8601 unless it is given)
delimiter: ";"                       # of a CSV (a comma unless it is given)
encoding: cp1252                     # of a CSV (UTF-8 unless it is given)
signals:
  - type: case.opened
    when: {status: [New, Open]}      # only of rows with one of these in that column
    time: created_at                 # a row in which it is empty gives no such signal
    id: [ticket]                     # columns that tell it from others of its type; its content unless given
    data:
      case: ticket                   # slot: column
      category: {column: topic, default: other}
      severity: {column: priority, values: {High: 2, Normal: 3}}
      channel: {value: email}        # the same for all
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from membrane.document import DocumentReader
from membrane.errors import InvalidPrinciples, UsageError
from membrane.settings import zone_of
from membrane.signals import TYPES
from storage.documents import MAX_BYTES, read_document

_FIELDS: Final = ("source", "customer", "signals")
_TEXTS: Final = ("timezone", "time_format", "encoding")
_NAMES: Final = {kind.removeprefix("cx.").removesuffix(".v1"): kind for kind in TYPES}

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the value of a slot comes from: a column, its words translated by `values` where there are some (another
    word is `otherwise`, or refused), `default` where it is empty. Without a column, the constant `default`."""

    column: str | None
    values: Values | None = None
    default: Any = None
    otherwise: Any = None


@dataclass(frozen=True, slots=True)
class SignalRule:
    """A signal that a row is: `name` without, `type` with `cx.` and `.v1`."""

    name: str
    type: str
    time: str
    data: dict[str, Slot]
    when: dict[str, frozenset[str]] = field(default_factory=dict)
    id: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MappingFile:
    """What a mapping says."""

    source: str
    customer: str
    rules: tuple[SignalRule, ...]
    zone: ZoneInfo
    time_format: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that it reads."""
        found = [self.customer]
        for rule in self.rules:
            found += [rule.time, *rule.when, *rule.id]
            found += [slot.column for slot in rule.data.values() if slot.column is not None]
        return tuple(dict.fromkeys(found))


def cell_text(cell: Any) -> str:
    """What stands in a cell, as words are compared with it."""
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell).strip()


def read_mapping(path: Path) -> MappingFile:
    """A mapping file. UsageError if it cannot be read, InvalidPrinciples with all its faults."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: a mapping file was required: {error.strerror}") from error
    document = read_document(data, str(path))
    reader = _Reader(document.marks, str(path))
    found = reader.whole(document.value)
    if reader.faults:
        raise InvalidPrinciples(sorted(reader.faults, key=lambda fault: (fault.line, fault.column)))
    return found


class _Reader(DocumentReader):
    """Reads a mapping."""

    def whole(self, document: Any) -> MappingFile:
        fields = self.mapping(document, "", _FIELDS, (*_TEXTS, "delimiter"))
        rules = [self._rule(item, at) for at, item in self.items(fields.get("signals", []), "signals", least=1)]
        texts = {name: self.text(fields[name], name) for name in (*_FIELDS[:2], *_TEXTS) if name in fields}
        return MappingFile(
            source=texts.get("source", ""),
            customer=texts.get("customer", ""),
            rules=tuple(rules),
            zone=self._zone(texts.get("timezone", "UTC")),
            time_format=texts.get("time_format"),
            delimiter=self._delimiter(fields.get("delimiter", ",")),
            encoding=self._encoding(texts.get("encoding", "utf-8")),
        )

    def _rule(self, value: Any, path: str) -> SignalRule:
        fields = self.mapping(value, path, ("type", "time"), ("data", "when", "id"))
        name = self.choice(fields.get("type"), f"{path}.type", _NAMES)
        type_ = _NAMES.get(name, "")
        return SignalRule(
            name=name,
            type=type_,
            time=self.text(fields.get("time"), f"{path}.time"),
            data=self._data(fields.get("data", {}), f"{path}.data", type_),
            when=self._when(fields.get("when", {}), f"{path}.when"),
            id=self._columns(fields["id"], f"{path}.id") if "id" in fields else (),
        )

    def _data(self, value: Any, path: str, type_: str) -> dict[str, Slot]:
        if not type_:
            return {}
        slots = {one.name: one for one in msgspec.structs.fields(TYPES[type_])}
        required = [name for name, one in slots.items() if one.required]
        given = self.mapping(value, path, required, [name for name in slots if name not in required])
        return {
            name: self._slot(item, f"{path}.{name}", slots[name].type) for name, item in given.items() if name in slots
        }

    def _slot(self, value: Any, path: str, kind: Any) -> Slot:
        if not isinstance(value, dict):
            return Slot(self.text(value, path))
        if "value" in value:
            self.mapping(value, path, ("value",))
            return Slot(None, None, self._of_kind(value["value"], f"{path}.value", kind))
        fields = self.mapping(value, path, ("column",), ("values", "default", "otherwise"))
        words = fields.get("values")
        if words is not None:
            words = self.mapping(words, f"{path}.values", (), words if isinstance(words, dict) else ())
            words = {cell_text(word): self._of_kind(one, f"{path}.values.{word}", kind) for word, one in words.items()}
        elif "otherwise" in fields:
            self.fault(f"{path}.otherwise", "needs 'values' beside it")
        given = {
            name: self._of_kind(fields[name], f"{path}.{name}", kind)
            for name in ("default", "otherwise")
            if name in fields
        }
        return Slot(self.text(fields.get("column"), f"{path}.column"), words, **given)

    def _of_kind(self, value: Any, path: str, kind: Any) -> Any:
        """A value that the slot can hold."""
        try:
            msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            self.fault(path, f"must be what the slot holds: {error}")
        return value

    def _when(self, value: Any, path: str) -> dict[str, frozenset[str]]:
        columns = value if isinstance(value, dict) else ()
        found = {}
        for column, words in self.mapping(value, path, (), columns).items():
            listed = words if isinstance(words, list) else [words]
            found[str(column)] = frozenset(map(cell_text, listed))
        return found

    def _columns(self, value: Any, path: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (self.text(value, path),)
        return tuple(self.text(item, at) for at, item in self.items(value, path, least=1))

    def _zone(self, name: str) -> ZoneInfo:
        zone = zone_of(name)
        if zone is None:
            self.fault("timezone", f"must be an IANA name such as Europe/Madrid, came '{name}'")
            return ZoneInfo("UTC")
        return zone

    def _delimiter(self, value: Any) -> str:
        if isinstance(value, str) and len(value) == 1:
            return value
        self.fault("delimiter", f"must be one character, came '{value}'")
        return ","

    def _encoding(self, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError:
            self.fault("encoding", f"must be an encoding such as utf-8 or cp1252, came '{name}'")
            return "utf-8"
