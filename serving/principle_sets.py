"""Principle sets: compiled from their files, put in force by a revision record, kept at the last good one.

Nothing switches by writing a file: a `revision` record in every partition of the log does, when the stream meets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

import membrane
from membrane.errors import MembraneError
from membrane.ports import RecordKind
from membrane.principles import PrincipleSet, compare_revisions
from serving.freshness import StreamState
from serving.problems import Problem, report
from storage.log import SignalLog
from storage.principles import PrincipleFiles, compile_principles, read_principle_file

KIND: Final = "principles"
DEFAULT_PACK: Final = Path(membrane.__file__).parent / "packs" / "default.yaml"


@dataclass(frozen=True, slots=True)
class InForce:
    """The set that decides, None if none can be had. `last_good`: it is not the one the stream names, which cannot be
    read, but the last one that could."""

    principles: PrincipleSet | None
    last_good: bool = False


class PrincipleSets:
    """Compiled sets by digest, and what was last good in each partition. For any thread; none waits while another
    compiles."""

    def __init__(self, files: PrincipleFiles) -> None:
        self.files = files
        self._compiled: dict[str, PrincipleSet | None] = {}
        self._last_good: dict[int, PrincipleSet] = {}
        self._lock = Lock()

    def get(self, digest: str) -> PrincipleSet | None:
        """The set of a digest, compiled once; None, reported once, when its file is missing or bad."""
        with self._lock:
            if digest in self._compiled:
                return self._compiled[digest]
        found = self._compile(digest)
        with self._lock:
            return self._compiled.setdefault(digest, found)

    def _compile(self, digest: str) -> PrincipleSet | None:
        try:
            return compile_principles(self.files.load(digest), str(self.files.path(digest)))
        except MembraneError as error:
            report(error)
            return None

    def in_force(self, partition: int, state: StreamState) -> InForce:
        """The set that the stream of a partition works with, or the last good one there."""
        named = state.revisions.get(KIND)
        found = self.get(named.digest) if named is not None else None
        if found is None:
            return InForce(self._last_good.get(partition), last_good=partition in self._last_good)
        self._last_good[partition] = found
        return InForce(found)

    def retry(self) -> None:
        """Forgets which digests were bad: their files may have been put right."""
        with self._lock:
            self._compiled = {digest: found for digest, found in self._compiled.items() if found is not None}

    def add(self, principles: PrincipleSet) -> None:
        """Keeps a set that was compiled elsewhere, so that its first decision need not wait."""
        with self._lock:
            self._compiled[principles.digest] = principles


@dataclass(frozen=True, slots=True)
class Proposal:
    """What came of a proposed set: `changed` is false when it was the latest already."""

    principles: PrincipleSet
    changed: bool


def propose(
    data: bytes, log: SignalLog, files: PrincipleFiles, now_ms: int, *, force: bool, file: str = ""
) -> Proposal:
    """Checks a principle file, keeps it, and causes the revision record that puts it in force.

    Raises InvalidPrinciples with all faults, and Problem 409 for an older revision (unless `force`) or another file of
    the same revision. StoreUnavailable: nothing was put in force.
    """
    principles = compile_principles(data, file)
    latest = log.revisions().get(KIND)
    if latest is not None and latest["digest"] == principles.digest:
        return Proposal(principles, changed=False)
    if latest is not None:
        _check_newer(principles.revision, latest["revision"], force=force)
    files.install(data)
    body = msgspec.json.encode({"kind": KIND, "revision": principles.revision, "digest": principles.digest})
    log.append_record(RecordKind.REVISION, body, now_ms)
    return Proposal(principles, changed=True)


def put_in_force(path: Path | None, log: SignalLog, files: PrincipleFiles, now_ms: int) -> None:
    """Puts a principle file in force; without one the pack we ship, if the log names no set yet.

    Raises UsageError if the file cannot be read, and what `propose` does.
    """
    if path is None and KIND in log.revisions():
        return
    path = path or DEFAULT_PACK
    propose(read_principle_file(path), log, files, now_ms, force=False, file=str(path))


def _check_newer(revision: str, latest: str, *, force: bool) -> None:
    order = compare_revisions(revision, latest)
    if order == 0:
        raise _conflict(f"another file of revision {latest} is in force; give this one a revision of its own")
    if order < 0 and not force:
        raise _conflict(f"revision {latest} is in force and newer; PUT /v1/principles?force=true goes back")


def _conflict(detail: str) -> Problem:
    return Problem(409, "conflict", detail)
