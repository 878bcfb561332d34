"""How the commands that run for long log: to standard error, a line of text or a JSON object at a time.

No value of an exception is told unless it is one of ours: others' may hold what a customer wrote.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from bisect import bisect_right
from itertools import accumulate
from typing import Any, Final

from membrane.errors import in_words
from membrane.times import format_time

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
FIELDS: Final = ("partition", "offset", "decision", "trace", "steps_ms", "untold", "exception")
"""What a message may tell besides its words (`extra={"told": {...}}`)."""
MOST_BYTES: Final = 4_096
"""Of a line in JSON with its end: Linux writes so much at once (PIPE_BUF) into a pipe, which processes may share."""
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
            "message": record.getMessage().strip(),
            **{name: told[name] for name in FIELDS if name in told},
        }
        if _size(line) >= MOST_BYTES:
            _cut(line)
        return _json(line)


def _cut(line: dict[str, Any]) -> None:
    """Shortens message and exception until a line is within `MOST_BYTES`: either may have half of the room, and what
    the other leaves."""
    message, exception = line["message"], line.get("exception", "")
    texts = {name: "" for name in ("message", "exception") if name in line}
    room = MOST_BYTES - 1 - _size(line | texts)
    line["message"] = _beginning(message, max(room // 2, room - _size(exception) + 2))
    if exception:
        line["exception"] = _beginning(exception, room - _size(line["message"]) + 2)


def _beginning(text: str, most: int) -> str:
    """The longest beginning of a text that takes at most so many bytes between its quotation marks."""
    sizes = list(accumulate(_size(character) - 2 for character in text[:most]))
    return text[: bisect_right(sizes, most)]


def _size(value: object) -> int:
    """The bytes of some JSON, as standard error encodes it."""
    return len(_json(value).encode(errors="backslashreplace"))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _exception(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return in_words(error) if error is not None else ""


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    _log_error("a thread ended", args.exc_value)


def _unraisable(args: Any) -> None:
    _log_error("an error that nobody can be told of", args.exc_value)


def _log_error(what: str, error: BaseException | None) -> None:
    _logger.error(what, exc_info=error)
