"""GET /v1/customers/{id}/timeline: the customer's signals and acts and what came of them, newest first."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from membrane.ports import Effect, LogRecord, RecordKind
from membrane.signals import read_stored
from membrane.times import format_time
from serving.problems import invalid_field
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

_CURSOR: Final = re.compile(r"(\d{1,18})(?:\.([\x21-\x7e]{1,200}))?", re.ASCII)
_SLACK: Final = 64
"""More effects than one log record can have of one customer."""

Cursor = tuple[int, str]
"""A log offset, and within it the id of an effect; "" is the record itself, older than its effects."""


class TimelineItem(msgspec.Struct):
    """One thing that happened. `data` is a signal's whole data, or what an effect or act says of itself."""

    offset: int
    kind: Literal["signal", "stage", "obligation", "act"]
    time: str
    received_at: str | None
    type: str
    source: str | None
    id: str
    data: msgspec.Raw


class Timeline(msgspec.Struct):
    """A page of a timeline; `next` is the `before` of the following one, null at the end."""

    items: list[TimelineItem]
    next: str | None


class _Act(msgspec.Struct):
    act: str
    time: int


_act: Final = msgspec.json.Decoder(_Act)


def parse_cursor(text: str | None) -> Cursor | None:
    """A `next` given back as `before`; Problem 422 for anything else."""
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise invalid_field("before", "must be the `next` of a page")
    return int(match[1]), match[2] or ""


def timeline(
    log: LogReader, records: RecordReader, tenant: str, customer: str, *, before: Cursor | None, limit: int
) -> Timeline:
    """One page, of at most `limit` items older than `before`."""
    end = None if before is None else before[0] + 1
    signals = log.timeline(tenant, customer, end, limit + 2)
    effects = records.effects(tenant, customer, end, limit + 1 + _SLACK)
    keyed = [((record.offset, ""), _of_record(record)) for record in signals]
    keyed += [((effect.offset, effect.id), _of_effect(effect)) for effect in effects]
    older = [item for item in keyed if before is None or item[0] < before]
    older.sort(key=lambda item: item[0], reverse=True)
    page = older[:limit]
    return Timeline([item for _, item in page], _cursor_text(page[-1][0]) if len(older) > limit else None)


def _cursor_text(cursor: Cursor) -> str:
    offset, effect = cursor
    return f"{offset}.{effect}" if effect else str(offset)


def _of_record(record: LogRecord) -> TimelineItem:
    received_at = format_time(record.received_ms)
    if record.kind is RecordKind.SIGNAL:
        signal = read_stored(record.body)
        return TimelineItem(
            record.offset, "signal", format_time(signal.time), received_at, signal.type, signal.source, signal.id,
            signal.data,
        )  # fmt: skip
    act = _act.decode(record.body)
    body = msgspec.Raw(record.body)
    return TimelineItem(
        record.offset, "act", format_time(act.time), received_at, act.act, None, str(record.offset), body
    )


def _of_effect(effect: Effect) -> TimelineItem:
    kind: Literal["stage", "obligation"] = "stage" if effect.kind.startswith("stage") else "obligation"
    time = format_time(effect.time_ms)
    return TimelineItem(effect.offset, kind, time, None, effect.kind, None, effect.id, msgspec.Raw(effect.body))
