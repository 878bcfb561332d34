"""The errors of Membrane, in one small tree.

    MembraneError
    ├── InvalidSignal        a signal that its sender must mend (never stored)
    ├── InvalidPrinciples    a principle, tenants or mapping file with faults, all of them listed
    ├── InvalidBundle        a model bundle that may not answer
    ├── InvalidRequest       a decision request that its sender must mend
    ├── RecordUnreadable     a stored record whose bytes cannot be trusted ("cannot read" is not "no data")
    ├── StoreRefused         a store that is missing, swapped, from another log or of a newer version
    ├── StoreUnavailable     the disk is full or failed: try again later (nothing was acknowledged)
    ├── AnotherWriter        another process writes here, or took over from us
    └── UsageError           a mistake of the person at the command line

Each message says where, what was required and what came. The core knows nothing of HTTP or exit codes:
one table in serving/ and one in cli/ map these.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Final

_FRAMES: Final = 6


class MembraneError(Exception):
    """The base of every error that Membrane raises on purpose."""


class InvalidSignal(MembraneError):
    """A signal that breaks its schema. `pointer` is a JSON pointer into the event; `detail` never echoes input."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.pointer = pointer
        self.detail = detail


@dataclass(frozen=True)
class Fault:
    """One fault of a file: where it stands (1-based line and column), which field, what was required and what came.
    `kind` is that of the check of principles (`membrane.vocabulary.FindingKind`) that it belongs to, if any."""

    line: int
    column: int
    field: str
    problem: str
    file: str = ""
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.field}: {self.problem}"


class InvalidPrinciples(MembraneError):
    """A file of principles or tenants, or a mapping, with faults; every one of them is in `faults`."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class InvalidRequest(MembraneError):
    """A decision request with faults: `errors` holds (JSON pointer, problem) pairs."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer or '/'}: {problem}" for pointer, problem in errors))
        self.errors = errors


class InvalidBundle(MembraneError):
    """A model bundle that is damaged, of another feature fingerprint, or does not give its golden outputs."""


class RecordUnreadable(MembraneError):
    """Bytes of a record that fail their checksum, their version or their shape."""


class StoreRefused(MembraneError):
    """A store that does not belong here; the message ends with a hint of what to run."""


class StoreUnavailable(MembraneError):
    """The store cannot take a write now (disk full, I/O error); nothing of it was acknowledged."""


class AnotherWriter(MembraneError):
    """Another process holds the lock, or a newer epoch has taken over."""


class UsageError(MembraneError):
    """A mistake in a command's arguments or files."""


def in_words(error: BaseException) -> str:
    """An error for a log: its type and the latest places it came through, the innermost first. Its values only if it is
    one of ours: those of others may be input."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames))
    words = f"{type(error).__name__}: {error}" if isinstance(error, MembraneError) else type(error).__name__
    return f"{words} at {where}" if where else words
