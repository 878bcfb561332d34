"""Signals as lines of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from training.progress import Progress, silent

Event = dict[str, Any]
_CHUNK: Final = 2_000


def write_events(events: Sequence[Event], out: Path, progress: Progress = silent) -> Counter[str]:
    """Write events in the order given; how many of each type, and of those without a subject as `no_subject`. Progress
    in lines."""
    counts: Counter[str] = Counter()
    encode = msgspec.json.Encoder().encode_lines
    with out.open("wb") as lines:
        for first in range(0, len(events), _CHUNK):
            chunk = events[first : first + _CHUNK]
            lines.write(encode(chunk))
            counts.update(event["type"] for event in chunk)
            counts["no_subject"] += sum("subject" not in event for event in chunk)
            progress(first + len(chunk), len(events))
    return counts
