"""Exit codes, and the one table from errors to them."""

from __future__ import annotations

from typing import Final

from membrane.errors import AnotherWriter, MembraneError, RecordUnreadable, StoreRefused, StoreUnavailable

DONE: Final = 0
FAILED: Final = 1
"""A check failed, or the user made a mistake."""
USAGE: Final = 2
ANOTHER_WRITER: Final = 3
UNHEALTHY: Final = 4
INTERRUPTED: Final = 130

_TABLE: Final[tuple[tuple[type[MembraneError], int], ...]] = (
    (AnotherWriter, ANOTHER_WRITER),
    (StoreRefused, UNHEALTHY),
    (StoreUnavailable, UNHEALTHY),
    (RecordUnreadable, UNHEALTHY),
    (MembraneError, FAILED),
)


def exit_code(error: MembraneError) -> int:
    """The exit code that an error ends a command with."""
    return next(code for kind, code in _TABLE if isinstance(error, kind))
