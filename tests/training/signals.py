"""Small files of signals for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from membrane.times import format_time


def event(customer: str, kind: str, t: int, data: dict[str, Any] | None = None, name: str = "") -> dict[str, Any]:
    """A CloudEvent; its id is `name`, or follows from the rest."""
    return {
        "specversion": "1.0",
        "id": name or f"{customer}-{kind}-{t}",
        "source": "test",
        "type": f"cx.{kind}.v1",
        "subject": customer,
        "time": format_time(t),
        "data": data or {},
    }


def signals_file(path: Path, events: list[dict[str, Any]]) -> Path:
    """The file, with a line for each event."""
    path.write_bytes(msgspec.json.Encoder().encode_lines(events))
    return path
