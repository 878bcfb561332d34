"""Metrics shared by all processes under one data directory, through files in DIR/run/metrics.

`prometheus-client` decides between one process and many when it is first imported, by an environment variable: call
`use_directory` before anything imports it (this module does not).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FILES: Final = ("counter", "histogram", "gauge_livemostrecent")
_FILE_BYTES: Final = 1 << 16


def use_directory(directory: Path) -> None:
    """Shares this process's metrics through `directory`.

    The files are mapped into memory, so their first pages are reserved here: on a full disk this raises OSError now
    instead of killing the process by SIGBUS at some later increment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    os.environ[DIRECTORY_VARIABLE] = str(directory)
    for name in _FILES:
        with (directory / f"{name}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)


def forget_all(directory: Path) -> None:
    """Starts counting anew: for the supervisor, before it starts the first process of a data directory."""
    for file in directory.glob("*.db"):
        file.unlink(missing_ok=True)
