"""What commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

_BAR_CELLS: Final = 24
_EVERY_SECONDS: Final = 0.1
_CLEAR_REST: Final = "\x1b[K"


def say(text: str = "") -> None:
    """A line of the result, seen at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """A line for the person at the terminal."""
    print(f"membrane: {text}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """The result in JSON, on one line."""
    say(json.dumps(value, ensure_ascii=False))


def number(value: int) -> str:
    """A count as people read it.

    >>> number(71859)
    '71,859'
    """
    return f"{value:,}"


class ProgressBar:
    """A bar on standard error that is drawn over again, at most ten times a second; nothing unless `shown`."""

    def __init__(self, label: str, *, shown: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._shown = shown
        self._now = now
        self._drawn_at = float("-inf")
        self._started = now()

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total`, in one unit."""
        now = self._now()
        if self._shown and (done >= total or now - self._drawn_at >= _EVERY_SECONDS):
            self._drawn_at = now
            self._write(f"\r{self._label} {bar_text(done, total, now - self._started)}{_CLEAR_REST}")

    def close(self) -> None:
        """Leaves the bar as it is and goes to the next line."""
        if self._drawn_at > float("-inf"):
            self._write("\n")
            self._drawn_at = float("-inf")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def bar_text(done: int, total: int, seconds: float) -> str:
    """A bar, the share that is done and the time that is left.

    >>> bar_text(1, 4, 2.0)
    '[######..................]  25 %, 6 s left'
    """
    share = min(done / total, 1.0) if total else 1.0
    left = f", {seconds / share - seconds:.0f} s left" if 0 < share < 1 else ""
    cells = round(share * _BAR_CELLS)
    return f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}] {share:4.0%}".replace("%", " %") + left


def progress_bar(label: str, *, asked: bool) -> ProgressBar:
    """A bar that is shown on a terminal, or when it was asked for."""
    return ProgressBar(label, shown=asked or sys.stderr.isatty())
