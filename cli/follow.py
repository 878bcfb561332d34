"""`membrane follow`: stage changes, obligations and revoked permits as they happen, a JSON document a line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cli.client import ApiClient
from cli.exits import DONE
from membrane.errors import StoreUnavailable

PATH: Final = "/v1/stages/stream"
PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Event:
    """One event: what kind (stage, obligation, permit), its data, and the id to go on behind."""

    id: str
    kind: str
    data: dict[str, Any]


def follow(args: argparse.Namespace) -> int:
    """Until Ctrl-C, or until the API has been away for a minute (StoreUnavailable)."""
    with ApiClient(args.url, args.key) as client:
        for event in events(client, args.after):
            sys.stdout.write(json.dumps({"id": event.id, "event": event.kind, **event.data}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    return DONE


def events(client: ApiClient, last: str | None = None, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Event]:
    """The events behind the `last` one, else from now on; a connection that breaks is made anew behind the last event
    that came. UsageError for what the API refuses, StoreUnavailable when it is away for longer than the patience."""
    heard = time.monotonic()
    while True:
        try:
            for event in read_events(client.lines(PATH, {"Last-Event-ID": last} if last else {})):
                last = event.id or last
                if event.kind:
                    yield event
                heard = time.monotonic()
        except StoreUnavailable:
            if time.monotonic() - heard > patience_seconds:
                raise
        time.sleep(_PAUSE_SECONDS)


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events in the lines of a stream of server-sent events; one without a kind is a sign of life, with an id to go
    on behind."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode().rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        data = json.loads(fields["data"]) if "data" in fields else {}
        yield Event(fields.get("id", ""), fields.get("event", ""), data)
        fields = {}
