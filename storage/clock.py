"""The wall clock, for whoever stands before the log."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """The wall clock, in epoch milliseconds."""
    return time.time_ns() // 1_000_000
