"""Principle sets: compiled from their files, put in force by a revision record, kept at the last good one.

Nothing switches by writing a file: a `revision` record in every partition of the log does, when the stream meets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import msgspec

from membrane.errors import InvalidPrinciples, MembraneError
from membrane.layers import COMMON, layered, own_kind, own_tenants
from membrane.principle_file import Draft
from membrane.principles import PrincipleSet, compare_revisions
from serving.auth import EVERYBODY
from serving.freshness import StreamState
from serving.problems import Problem, report
from storage.log import SignalLog
from storage.log_reader import LogReader
from storage.principles import DEFAULT_PACK, PrincipleFiles, compile_principles, draft_of, read_principle_file

KEPT: Final = 32
"""So many sets that no stream works with are kept, the latest asked for, to go back to or to explain by."""
_FOR_EVERYBODY: Final = (
    "this would change the principles of every tenant: put 'extends: default' into a file of tenant '{tenant}', which "
    "then counts for its customers alone, or use a key of tenant 'default'"
)
_THE_LOG: Final = -1

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class InForce:
    """The set that decides, None if none can be had. `last_good`: it is not the one the stream names, which cannot be
    read, but the last one that could."""

    principles: PrincipleSet | None
    last_good: bool = False


class PrincipleSets:
    """Compiled sets by digest, tenants' own ones laid over what is in force for everybody, and what was last good in
    each partition. Whatever the streams or the log name is kept, and `KEPT` others. For any thread; none waits while
    another compiles."""

    def __init__(self, files: PrincipleFiles) -> None:
        self.files = files
        self._compiled: dict[str, PrincipleSet | None] = {}  # the latest asked for comes last
        self._layered: dict[tuple[str, str], PrincipleSet] = {}  # so here
        self._last_good: dict[tuple[int, str], PrincipleSet] = {}
        self._named: dict[int, frozenset[str]] = {}  # digests, by partition or `_THE_LOG`
        self._lock = Lock()

    def get(self, digest: str) -> PrincipleSet | None:
        """The set of a digest, compiled once; None, reported once, when its file is missing or bad."""
        with self._lock:
            if digest in self._compiled:
                return _asked_for(self._compiled, digest)
        found = self._compile(digest)
        with self._lock:
            return self._compiled.setdefault(digest, found)

    def _compile(self, digest: str) -> PrincipleSet | None:
        try:
            return compile_principles(self.files.load(digest), str(self.files.path(digest)))
        except MembraneError as error:
            report(error)
            return None

    def of_tenant(self, common: str, own: str | None) -> PrincipleSet | None:
        """The set of two digests, a tenant's own laid over the common one; None when either cannot be had."""
        base = self.get(common)
        layer = self.get(own) if own is not None else None
        if base is None or own is None or layer is None:
            return base if own is None else None
        with self._lock:
            if (common, own) in self._layered:
                return _asked_for(self._layered, (common, own))
        found = layered(base, layer)
        with self._lock:
            return self._layered.setdefault((common, own), found)

    def in_force(self, partition: int, state: StreamState, tenant: str) -> InForce:
        """The set that the stream of a partition works with for a tenant, or the last good one there."""
        named, own = state.revisions.get(COMMON), state.revisions.get(own_kind(tenant))
        found = self.of_tenant(named.digest, own.digest if own else None) if named is not None else None
        if found is None:
            last = self._last_good.get((partition, tenant))
            return InForce(last, last_good=last is not None)
        self._last_good[partition, tenant] = found
        return InForce(found)

    def latest(self, log: LogReader, tenant: str) -> PrincipleSet | None:
        """The set that the log's latest revision records name for a tenant; None when it cannot be had."""
        revisions = log.revisions()
        self._name(_THE_LOG, (one["digest"] for one in revisions.values()))
        common, own = revisions.get(COMMON), revisions.get(own_kind(tenant))
        return self.of_tenant(common["digest"], own and own["digest"]) if common is not None else None

    def prepare(self, partition: int, state: StreamState) -> None:
        """Compiles what a partition works with, before a decision has to wait for it; what is out of use goes."""
        self._name(partition, (one.digest for one in state.revisions.values()))
        tenants, before = own_tenants(state.revisions), self._last_good.get((partition, ""))
        if self.in_force(partition, state, "").principles is not before:
            tenants += [tenant for at, tenant in list(self._last_good) if at == partition]  # who has the old one still
        for tenant in tenants:
            self.in_force(partition, state, tenant)
        self._forget()

    def _name(self, at: int, digests: Iterable[str]) -> None:
        with self._lock:
            self._named[at] = frozenset(digests)

    def _forget(self) -> None:
        with self._lock:
            named = frozenset().union(*self._named.values())
            _keep_latest(self._compiled, [digest for digest in self._compiled if digest not in named])
            _keep_latest(self._layered, [pair for pair in self._layered if not named.issuperset(pair)])

    def retry(self) -> None:
        """Forgets which digests were bad: their files may have been put right."""
        with self._lock:
            self._compiled = {digest: found for digest, found in self._compiled.items() if found is not None}

    def add(self, principles: PrincipleSet) -> None:
        """Keeps a set that was compiled elsewhere, so that its first decision need not wait."""
        with self._lock:
            self._compiled[principles.digest] = principles


def _asked_for(kept: dict[K, V], key: K) -> V:
    """A value that is kept, now the latest asked for."""
    value = kept[key] = kept.pop(key)
    return value


def _keep_latest(kept: dict[K, V], spare: list[K]) -> None:
    for key in spare[:-KEPT]:
        del kept[key]


@dataclass(frozen=True, slots=True)
class Editor:
    """Who changes principles: a tenant, and whether it may change those of everybody, too."""

    tenant: str = EVERYBODY.tenant
    for_everybody: bool = True

    def kind_of(self, principles: PrincipleSet) -> str:
        """The kind of the revisions by which a set of this editor's comes into force. Problem 403 for a set that counts
        for everybody, of one who may not change that."""
        if principles.extends:
            return own_kind(self.tenant)
        if not self.for_everybody:
            raise Problem(403, "forbidden", _FOR_EVERYBODY.format(tenant=self.tenant))
        return COMMON


@dataclass(frozen=True, slots=True)
class Proposal:
    """What came of a proposed set: `changed` is false when it was the latest already."""

    principles: PrincipleSet
    changed: bool


def propose(
    data: bytes,
    log: SignalLog,
    files: PrincipleFiles,
    now_ms: int,
    *,
    force: bool,
    editor: Editor = Editor(),
    file: str = "",
) -> Proposal:
    """Checks a principle file, keeps it, and causes the revision record that puts it in force: for everybody, or for
    the editor's tenant if it extends what is in force for everybody.

    Raises InvalidPrinciples with all faults, and Problem: 403 for a set for everybody of an editor who may not change
    that, 409 for an older revision (unless `force`) or another file of the same revision. StoreUnavailable: nothing was
    put in force.
    """
    principles = checked(data, log, files, file)
    kind, changed = editor.kind_of(principles), False
    while not changed:  # whoever is overtaken looks at what is the latest by now
        latest = log.revisions().get(kind)
        if latest is not None and latest["digest"] == principles.digest:
            break
        if latest is not None:
            check_newer(principles.revision, latest["revision"], force=force)
        files.install(data)
        changed = replaced(log, kind, principles, now_ms, digest=latest and latest["digest"])
    return Proposal(principles, changed=changed)


def replaced(log: SignalLog, kind: str, principles: PrincipleSet, now_ms: int, *, digest: str | None) -> bool:
    """Puts a set whose file is installed in the place of the one of a digest (None: there is none); False if another is
    the latest by now."""
    body = {"kind": kind, "revision": principles.revision, "digest": principles.digest}
    return log.replace_revision(msgspec.json.encode(body), now_ms, digest=digest)


def checked(data: bytes, log: LogReader, files: PrincipleFiles, file: str = "") -> PrincipleSet:
    """The set of a file, checked against the one that it extends. InvalidPrinciples with all faults."""
    draft = drafted(data, log, files, file)
    if draft.faults:
        raise InvalidPrinciples(draft.faults)
    return draft.principles


def drafted(data: bytes, log: LogReader, files: PrincipleFiles, file: str = "") -> Draft:
    """What a file says, with every fault; one that extends is checked against what is in force for everybody, or what
    we ship while nothing is. InvalidPrinciples for what cannot be read as YAML."""
    draft = draft_of(data, file)
    if not draft.principles.extends:
        return draft
    latest = log.revisions().get(COMMON)
    base = read_principle_file(DEFAULT_PACK) if latest is None else files.load(latest["digest"])
    return draft_of(data, file, compile_principles(base))


def put_in_force(path: Path | None, log: SignalLog, files: PrincipleFiles, now_ms: int) -> None:
    """Puts a principle file in force; without one the pack we ship, if the log names no set yet.

    Raises UsageError if the file cannot be read, and what `propose` does.
    """
    if path is not None:
        propose(read_principle_file(path), log, files, now_ms, force=False, file=str(path))
    if COMMON not in log.revisions():
        propose(read_principle_file(DEFAULT_PACK), log, files, now_ms, force=False, file=str(DEFAULT_PACK))


def check_newer(revision: str, latest: str, *, force: bool) -> None:
    """Problem 409 for a revision that is not newer than the latest one, or by `force` is not another than that."""
    order = compare_revisions(revision, latest)
    if order == 0:
        raise _conflict(f"another file of revision {latest} is in force; give this one a revision of its own")
    if order < 0 and not force:
        raise _conflict(f"revision {latest} is in force and newer; PUT /v1/principles?force=true goes back")


def _conflict(detail: str) -> Problem:
    return Problem(409, "conflict", detail)
