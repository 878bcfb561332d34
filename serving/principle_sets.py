"""Principle sets: compiled from their files, put in force by a revision record, kept at the last good one.

Nothing switches by writing a file: a `revision` record in every partition of the log does, when the stream meets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

import membrane
from membrane.errors import MembraneError, UsageError
from membrane.features import FEATURE_NAMES
from membrane.ports import RecordKind
from membrane.principle_file import read_principles
from membrane.principles import GUARANTEES, PrincipleSet, compare_revisions
from serving.freshness import StreamState
from serving.problems import Problem, report
from storage.documents import read_document
from storage.log import SignalLog
from storage.principles import PrincipleFiles

KIND: Final = "principles"
DEFAULT_PACK: Final = Path(membrane.__file__).parent / "packs" / "default.yaml"


NO_PRINCIPLES: Final = PrincipleSet("none", "none", "none", GUARANTEES, (), (), ())
"""What decides when no set can be had: the class defaults of `no_principles` do, and the guarantees hold."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The set that decides, None if none can be had. `last_good`: it is not the one the stream names, which cannot be
    read, but the last one that could."""

    principles: PrincipleSet | None
    last_good: bool = False


def compile_principles(data: bytes, file: str = "") -> PrincipleSet:
    """The set of a principle file's bytes; InvalidPrinciples lists every fault with line and column."""
    document = read_document(data, file)
    digest = sha256(data).hexdigest()
    return read_principles(document.value, document.marks, digest=digest, file=file, features=FEATURE_NAMES)


class PrincipleSets:
    """Compiled sets by digest, and what was last good in each partition."""

    def __init__(self, files: PrincipleFiles) -> None:
        self.files = files
        self._compiled: dict[str, PrincipleSet | None] = {}
        self._last_good: dict[int, PrincipleSet] = {}

    def get(self, digest: str) -> PrincipleSet | None:
        """The set of a digest, compiled once; None, reported once, when its file is missing or bad."""
        if digest not in self._compiled:
            try:
                self._compiled[digest] = compile_principles(self.files.load(digest), str(self.files.path(digest)))
            except MembraneError as error:
                report(error)
                self._compiled[digest] = None
        return self._compiled[digest]

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
        for digest in [digest for digest, found in self._compiled.items() if found is None]:
            del self._compiled[digest]

    def add(self, principles: PrincipleSet) -> None:
        """Keeps a set that was compiled elsewhere, so that its first decision need not wait."""
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


def put_in_force_at_start(path: Path | None, log: SignalLog, sets: PrincipleSets, now_ms: int) -> None:
    """Puts the file given at start in force, or the pack we ship if the log names no set yet; what is in force is
    compiled before the first decision. UsageError if the file cannot be read."""
    latest = log.revisions().get(KIND)
    if path is not None or latest is None:
        file = path or DEFAULT_PACK
        try:
            sets.add(propose(_read(file), log, sets.files, now_ms, force=False, file=str(file)).principles)
        except Problem as conflict:
            raise UsageError(f"--principles {file}: {conflict.detail}") from None
    else:
        sets.get(latest["digest"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--principles {path}: a file to read was required: {error.strerror}") from error


def _check_newer(revision: str, latest: str, *, force: bool) -> None:
    order = compare_revisions(revision, latest)
    if order == 0:
        raise _conflict(f"another file of revision {latest} is in force; give this one a revision of its own")
    if order < 0 and not force:
        raise _conflict(f"revision {latest} is in force and newer; PUT /v1/principles?force=true goes back")


def _conflict(detail: str) -> Problem:
    return Problem(409, "conflict", detail)
