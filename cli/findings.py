"""What `membrane doctor` looks at, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.processes import read_pid
from storage.directory import DataDir
from storage.log import SignalLog
from storage.record_reader import RecordReader


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing. `remedy` says what to do when it is not as it should be."""

    about: str
    state: Literal["ok", "note", "bad"]
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """The stores of one directory, open for reading, the tenants file to check, if there is one, whether to count for
    how many customers each principle holds, and the port that `up` is to have (0: not asked)."""

    directory: DataDir
    log: SignalLog
    records: RecordReader
    tenants: Path | None = None
    base_rates: bool = False
    port: int = 0

    def pid(self, role: str) -> int | None:
        """The live pid of a role, None if it does not run."""
        return read_pid(self.directory.pid_path(role))
