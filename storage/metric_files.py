"""Metrics shared by all processes under one data directory, through files in DIR/run/metrics.

`prometheus-client` decides between one process and many when it is first imported, by an environment variable: call
`use_directory` before anything imports it (this module does not).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from membrane.errors import StoreUnavailable

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FILE_BYTES: Final = 1 << 16


def use_directory(directory: Path, kinds: Iterable[str]) -> None:
    """Shares this process's metrics of those kinds (`counter`, `histogram`, ...) through `directory`.

    The files are mapped into memory, so their first pages are reserved here: on a full disk this raises
    StoreUnavailable now instead of killing the process by SIGBUS at some later increment.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            with (directory / f"{kind}_{os.getpid()}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    except OSError as error:
        raise StoreUnavailable(f"{directory}: cannot be written now: {error.strerror}") from error
    os.environ[DIRECTORY_VARIABLE] = str(directory)


def forget_all(directory: Path) -> None:
    """Starts counting anew: for the supervisor, before it starts the first process of a data directory."""
    for file in directory.glob("*.db"):
        file.unlink(missing_ok=True)
