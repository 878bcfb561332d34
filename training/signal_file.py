"""A file of signals in the order of their times, whatever the order of its lines, without holding it in memory."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from membrane.errors import InvalidSignal, UsageError
from membrane.signals import CheckedSignal, check
from storage.keys import signal_key
from training.progress import Progress, silent

TENANT: Final = "default"
SHOWN_REFUSALS: Final = 5
_EVERY: Final = 4_096

Integers = npt.NDArray[np.int64]
_Columns = tuple["array[int]", "array[int]", "array[int]"]


class _Subject(msgspec.Struct):
    subject: str


_subject: Final = msgspec.json.Decoder(_Subject)


@dataclass(slots=True)
class Refusals:
    """How many lines ingest would not have taken, and why, for the first few."""

    lines: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, line: int, fault: str) -> None:
        """One more line, from 1."""
        self.lines += 1
        if len(self.reasons) < SHOWN_REFUSALS:
            self.reasons.append(f"line {line}: {fault}")


def in_time_order(times: npt.ArrayLike, keys: npt.ArrayLike) -> Integers:
    """The places of signals by (time, place), of those with the same key the first place alone."""
    first = np.sort(np.unique(np.asarray(keys, np.int64), return_index=True)[1])
    return first[np.argsort(np.asarray(times, np.int64)[first], kind="stable")].astype(np.int64)


class SignalFile:
    """The signals of an NDJSON file (a CloudEvent a line) by (time, line); of those with one source and id the first
    line counts (`duplicates` were left out). In memory it keeps 16 bytes a line."""

    def __init__(self, path: Path, progress: Progress = silent) -> None:
        """Check every line; progress in bytes. UsageError if the file cannot be read or holds no signal."""
        self.path = path
        self.refusals = Refusals()
        begins, times, keys = self._index(progress)
        if not len(keys):
            found = f"none of {self.refusals.lines} lines is one" if self.refusals.lines else "the file is empty"
            raise UsageError("; ".join([f"{path}: signals were required, {found}", *self.refusals.reasons]))
        order = in_time_order(times, keys)
        self.duplicates = len(keys) - len(order)
        self._begins, self._times = begins[order], times[order]

    def __len__(self) -> int:
        return len(self._times)

    @property
    def first_time(self) -> int:
        """Epoch ms of the earliest signal."""
        return int(self._times[0])

    @property
    def last_time(self) -> int:
        """Epoch ms of the latest signal."""
        return int(self._times[-1])

    def signals(
        self, *, before: int | None = None, customers: Collection[str] | None = None, progress: Progress = silent
    ) -> Iterator[CheckedSignal]:
        """The signals earlier than `before` (epoch ms), or all; of these customers, or of everybody. Progress in
        signals."""
        end = len(self) if before is None else int(np.searchsorted(self._times, before))
        with self.path.open("rb") as file:
            for done, begin in enumerate(self._begins[:end].tolist(), 1):
                file.seek(begin)
                line = file.readline()
                if customers is None or _subject.decode(line).subject in customers:
                    yield check(line, TENANT)
                if done % _EVERY == 0 or done == end:
                    progress(done, end)

    def _index(self, progress: Progress) -> tuple[Integers, Integers, Integers]:
        """(n,) where each signal's line begins, its time and the key of its source and id, in the file's order."""
        begins, times, keys = found = (array("q"), array("q"), array("q"))
        try:
            size, begin = self.path.stat().st_size, 0
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        self._add(number, line, begin, found)
                    begin += len(line)
                    if number % _EVERY == 0 or begin == size:
                        progress(begin, size)
        except OSError as error:
            raise UsageError(f"{self.path}: a file of signals was required: {error.strerror}") from error
        return np.array(begins, np.int64), np.array(times, np.int64), np.array(keys, np.int64)

    def _add(self, number: int, line: bytes, begin: int, found: _Columns) -> None:
        try:
            signal = check(line, TENANT)
        except InvalidSignal as error:
            self.refusals.add(number, f"{error.pointer or '/'}: {error.detail}")
            return
        if signal.typed is None:
            self.refusals.add(number, "/type: a type that is known was required")
            return
        stored, (begins, times, keys) = signal.stored, found
        begins.append(begin)
        times.append(stored.time)
        keys.append(signal_key(TENANT, stored.source, stored.id))
