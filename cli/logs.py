"""How the commands that run for long log: to standard error, a line of text or a JSON object at a time.

No value of an exception is told unless it is one of ours: others' may hold what a customer wrote.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import Any, Final

from membrane.errors import in_words
from membrane.times import format_time

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
FIELDS: Final = ("partition", "offset", "decision", "trace", "steps_ms", "untold", "exception")
"""What a message may tell besides its words (`extra={"told": {...}}`)."""
MOST_CHARACTERS: Final = 3_000
"""Of a message in JSON: a line is written at once, also into a pipe that processes share."""
_logger: Final = logging.getLogger("membrane.process")


def begin(role: str, form: str, level: str) -> None:
    """From now on this process logs so. Libraries are heard from `warning` on whatever the level: nobody vouches for
    what they tell of their work."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(role) if form == "json" else TextLines())
    own = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(own, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("membrane").setLevel(own)
    logging.getLogger("uvicorn").setLevel(own if own < logging.WARNING else logging.ERROR)
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable


class TextLines(logging.Formatter):
    """`membrane: what happened`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return f"membrane: {': '.join(filter(None, (record.getMessage().strip(), _exception(record))))}"


class JsonLines(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `role` (of the process), `message`, what there is of `FIELDS`."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        exception = _exception(record)
        told: dict[str, Any] = getattr(record, "told", {}) | ({"exception": exception} if exception else {})
        line: dict[str, Any] = {
            "time": format_time(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "role": self._role,
            "message": record.getMessage().strip()[:MOST_CHARACTERS],
            **{name: told[name] for name in FIELDS if name in told},
        }
        return json.dumps(line, ensure_ascii=False)


def _exception(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return in_words(error) if error is not None else ""


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    _log_error("a thread ended", args.exc_value)


def _unraisable(args: Any) -> None:
    _log_error("an error that nobody can be told of", args.exc_value)


def _log_error(what: str, error: BaseException | None) -> None:
    _logger.error(what, exc_info=error)
