"""What the pointer file of models asks for, put into the log: the stream and the decisions switch there, nowhere else.

Nothing gets into the log that has not passed the door (`models.admission`): a record that named a bundle which cannot
answer would be one that the stream waits for, or passes over for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any, Final

import msgspec

from membrane.errors import InvalidBundle, MembraneError, StoreUnavailable
from membrane.features import fingerprint
from membrane.ports import RecordKind
from membrane.times import format_time
from models.bundle import Bundle, Kind
from models.pointers import KINDS, PointerFile, Pointers
from models.registry import Registry
from models.signing import ModelKeys
from storage.directory import DataDir
from storage.log import SignalLog
from storage.log_reader import LogReader

_NO_FILE: Final = (0, 0)


class Champions:
    """The pointers of one data directory, and the log that follows them. Any number of processes may have one."""

    def __init__(self, directory: DataDir, log: SignalLog) -> None:
        self.registry = Registry(directory.models_path)
        self.folder = directory.models_path
        self.problems: list[str] = []
        """What the file asks for and cannot have, as of the last look."""
        self._log = log
        self._file = PointerFile(directory.models_path)
        self._stamp = _NO_FILE

    def pointers(self) -> Pointers:
        """What the file asks for, or where it names no champion, what the log has. StoreRefused if it is damaged."""
        return _adopted(self._file.read(), self._log)

    def change(
        self, change: Callable[[Pointers], Pointers], now_ms: int, trusted: Collection[str] = ()
    ) -> tuple[Pointers, list[str]]:
        """Changes the file, and lets the log follow; what it says now, and what cannot be had of it."""
        changed = self._file.change(lambda pointers: change(_adopted(pointers, self._log)))
        self.follow(now_ms, trusted)
        return changed, self.problems

    def follow(self, now_ms: int, trusted: Collection[str] = ()) -> None:
        """Where the file has changed since the last look, causes the records that it asks for; `problems` says what of
        it cannot be had. The signatures of `trusted` bundles are not asked for. Where the log cannot be written now,
        the next look tries again."""
        stamp = self._file.stamp()
        if stamp in (self._stamp, _NO_FILE):
            return
        try:
            with self._file.held():
                self.problems = self._cause(self._file.read(), now_ms, trusted)
        except MembraneError as error:
            self.problems = [str(error)]
            if isinstance(error, StoreUnavailable):
                return
        self._stamp = stamp

    def _cause(self, pointers: Pointers, now_ms: int, trusted: Collection[str]) -> list[str]:
        problems: list[str] = []
        latest = self._log.revisions()
        for kind in KINDS:
            wanted = pointers.of(kind)
            if wanted.champion not in (None, latest.get(f"{kind}_model", {}).get("digest")):
                for bundle in self._admitted(kind, [str(wanted.champion)], trusted, problems):
                    self._append(now_ms, f"{kind}_model", bundle.manifest.revision, bundle.digest)
            recorded = challengers_in(latest, kind)
            named = [one.digest for one in wanted.challengers]
            if named != [one["digest"] for one in recorded]:
                found = self._admitted(kind, named, (), problems)
                self._append_challengers(now_ms, kind, found, recorded)
        return problems

    def _append_challengers(self, now_ms: int, kind: Kind, found: list[Bundle], recorded: list[dict[str, str]]) -> None:
        named = [{"revision": one.manifest.revision, "digest": one.digest} for one in found]
        if named != recorded:
            together = sha256("".join(one.digest for one in found).encode()).hexdigest()
            self._append(now_ms, f"{kind}_challengers", format_time(now_ms), together, challengers=named)

    def _append(self, now_ms: int, kind: str, revision: str, digest: str, **more: object) -> None:
        body = msgspec.json.encode({"kind": kind, "revision": revision, "digest": digest, **more})
        self._log.append_record(RecordKind.REVISION, body, now_ms)

    def _admitted(self, kind: Kind, digests: list[str], trusted: Collection[str], problems: list[str]) -> list[Bundle]:
        """Those of the bundles that pass the door; why the others do not is added to the problems."""
        from models.admission import admit  # noqa: PLC0415 - the runtime: only for a process that has something to check

        found = []
        for digest in digests:
            try:
                keys = ModelKeys([]) if digest in trusted else ModelKeys.in_force(self.folder)
                place = self.registry.place(digest)
                found.append(admit(place, keys, fingerprint(), digest=digest, kind=kind).bundle)
            except InvalidBundle as error:
                problems.append(f"{kind}: {error}; what was in force stays")
        return found


def challengers_in(latest: dict[str, Any], kind: Kind) -> list[dict[str, str]]:
    """The challengers (revision, digest) that the latest revisions of a log name."""
    found: list[dict[str, str]] = latest.get(f"{kind}_challengers", {}).get("challengers", [])
    return found


def roles(latest: dict[str, Any]) -> dict[str, tuple[Kind, str, str]]:
    """(kind, role, revision as records name it) of each bundle that the latest revisions of a log name, by digest."""
    found: dict[str, tuple[Kind, str, str]] = {}
    for kind in KINDS:
        for one in challengers_in(latest, kind):
            found[one["digest"]] = kind, "challenger", f"{one['revision']}+{one['digest'][:8]}"
        champion = latest.get(f"{kind}_model")
        if champion is not None:
            found[champion["digest"]] = kind, "champion", f"{champion['revision']}+{champion['digest'][:8]}"
    return found


def _adopted(pointers: Pointers, log: LogReader) -> Pointers:
    latest = log.revisions()
    for kind in KINDS:
        if (one := latest.get(f"{kind}_model")) is not None:
            pointers = pointers.adopting(kind, one["digest"])
    return pointers
