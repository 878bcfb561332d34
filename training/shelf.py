"""The bundles of a learner in a data directory: installed and signed, named as challengers, the oldest taken away."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from membrane.errors import UsageError
from membrane.times import format_time
from models.bundle import Bundle, Kind, Manifest
from models.pointers import KINDS, PointerFile, Pointers, Said, name_challenger
from models.registry import Registry
from models.signing import FILE, ModelKeys
from storage.clock import wall_ms
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.log_reader import LogReader
from training.publishing import DRAFTS, install, install_folder

KEPT: Final = 8
"""So many bundles of each name are kept, the latest, beside those that somebody needs."""
_OURS: Final = ("online-", "trees-")
_CHAMPIONS: Final = tuple(f"{kind}_model" for kind in KINDS)
_logger: Final = logging.getLogger("membrane.learner")


class Shelf:
    """`key`: the private key that bundles are signed with; UsageError if it is none."""

    def __init__(self, directory: DataDir, reader: LabelledReader, key: Path | None) -> None:
        self._directory = directory
        self._folder = directory.models_path
        self._reader = reader
        self._key = key
        self._told = ""
        self._refused()

    def put(self, made: Bundle) -> Bundle:
        """Installs a drafted bundle."""
        return install(self._folder, made, self._key)

    def put_folder(self, folder: Path) -> Bundle:
        """Installs the bundle in a folder."""
        return install_folder(self._folder, folder, self._key)

    def nominate(self, kind: Kind, bundle: Bundle, by: str) -> None:
        """Names a bundle as a challenger, unless it is one; it stays only installed where others have taken all places,
        and where the model keys would refuse it. That is told once."""
        pointer = PointerFile(self._folder).read().of(kind)
        if self._refused() or pointer.challenges(bundle.digest) or pointer.has_answered(bundle.digest):
            return
        try:
            name_challenger(self._folder, kind, bundle.digest, Said(by, format_time(wall_ms())))
        except UsageError as error:
            _logger.warning("%s is installed, but no challenger: %s", bundle.revision, error)

    def prune(self, more: Iterable[str] = ()) -> None:
        """Takes away what learners made here but for the latest `KEPT` of each name, `more`, what answers, answered or
        runs beside, and what the log needs. Whoever is killed meanwhile takes away the rest the next time."""
        registry = Registry(self._folder)
        registry.sweep(DRAFTS)
        manifests = {one.digest: one.manifest for one in registry.entries() if one.manifest is not None}
        old = list(_beyond_the_latest(manifests))
        if not old:
            return
        with PointerFile(self._folder).held():
            kept = {*more, *_pointed_at(PointerFile(self._folder).read()), *self._named_by_the_log()}
            for digest in old:
                if digest not in kept:
                    registry.remove(digest)

    def _refused(self) -> bool:
        """Whether the model keys in force would refuse our bundles."""
        problem = self._problem()
        if problem and problem != self._told:
            _logger.warning("%s: what is learned is installed, but not taken as a challenger", problem)
        self._told = problem
        return bool(problem)

    def _problem(self) -> str:
        in_force = (self._folder / FILE).exists()
        if self._key is None:
            return "model keys are in force, and the learner has no --signing-key" if in_force else ""
        believed = ModelKeys.in_force(self._folder).believe(self._key)
        return f"--signing-key {self._key}: its bundles are signed by none of the model keys" if not believed else ""

    def _named_by_the_log(self) -> set[str]:
        """Every champion of the log, for a rebuild stops without it; the challengers that the stream of some partition
        has in force or has still to come by."""
        found: set[str] = set()
        with closing(LogReader(self._directory)) as log:
            for partition in range(self._directory.partitions):
                place, beside = self._reader.meta(partition).next_offset, dict[str, set[str]]()
                for offset, revision in log.every_revision(partition):
                    if revision["kind"] in _CHAMPIONS:
                        found.add(revision["digest"])
                    elif offset < place:
                        beside[revision["kind"]] = _challengers(revision)
                    else:
                        found |= _challengers(revision)
                found = found.union(*beside.values())
        return found


def _beyond_the_latest(manifests: Mapping[str, Manifest]) -> Iterator[str]:
    by_name = defaultdict[str, list[tuple[int, float, str]]](list)
    for digest, one in manifests.items():
        if one.name.startswith(_OURS):
            by_name[one.name].append((one.labels_until or 0, one.metrics.get("learned", 0.0), digest))
    for made in by_name.values():
        yield from (digest for *_, digest in sorted(made)[:-KEPT])


def _pointed_at(pointers: Pointers) -> set[str]:
    every = [pointers.of(kind) for kind in KINDS]
    return {digest for one in every for digest in (*one.named(), *one.before, *one.retired)}


def _challengers(revision: Mapping[str, Any]) -> set[str]:
    return {one["digest"] for one in revision.get("challengers", ())}
