"""Who may write: a file lock that the kernel frees when its holder dies, however it dies.

Light on purpose (the standard library alone): a second writer must be told so before anything heavy is imported.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from membrane.errors import AnotherWriter

_NOBODY = "an unknown process"
_POLL_SECONDS = 0.02


class WriterLock:
    """An exclusive `flock` on one file. The file stays behind and holds the pid of who wrote last.

    `acquire(takeover=True)` goes on although another process (paused, perhaps) holds the lock: from then on the
    epoch of each store keeps the other from writing, not the lock; `acquire_if_free` gets it once the other is gone
    (`stream.runner` asks until then).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None
        self._held = False

    @property
    def held(self) -> bool:
        """Whether the lock itself is ours (False after a takeover from a living process)."""
        return self._held

    def acquire(self, *, takeover: bool = False, patience_seconds: float = 0.0) -> Self:
        """Takes the lock, waiting for it no longer than that; AnotherWriter, with the holder's pid, if somebody has it
        still."""
        end = time.monotonic() + patience_seconds
        while not self.acquire_if_free() and not takeover:
            if time.monotonic() >= end:
                holder = self.holder()
                self.release()
                raise AnotherWriter(f"{self.path}: this data directory has one writer at a time, and {holder} is it")
            time.sleep(_POLL_SECONDS)
        with suppress(OSError):  # it is only for messages: a full disk is no reason
            self.path.write_text(str(os.getpid()), encoding="ascii")
        return self

    def acquire_if_free(self) -> bool:
        """Takes the lock if nobody has it; True if it is ours now."""
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._held:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._held = True
            except BlockingIOError:
                return False
        return True

    def holder(self) -> str:
        """The holder as a message names it."""
        try:
            pid = self.path.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return _NOBODY
        return f"process {pid}" if pid.isdigit() else _NOBODY

    def release(self) -> None:
        """Gives the lock back (closing the descriptor frees it)."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._held = None, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def dir_lock(data: str | os.PathLike[str], role: str) -> WriterLock:
    """The lock of one role (`up`, `stream`) over a whole data directory; not yet acquired."""
    return WriterLock(Path(data, "run", f"{role}.lock"))


def claims_gate(data: str | os.PathLike[str]) -> WriterLock:
    """What the process holds that is the next to claim (`serving.turns`); not yet acquired."""
    return WriterLock(Path(data, "run", "claims.lock"))


def partition_lock(data: str | os.PathLike[str], partition: int) -> WriterLock:
    """The lock of the writer of one partition's records; not yet acquired."""
    return WriterLock(Path(data, "run", f"records-{partition}.lock"))
