"""The online learner on a data directory: what it reads, where it publishes, and how it goes on."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from membrane.errors import InvalidBundle
from membrane.features import FEATURE_NAMES, fingerprint
from models.bundle import Kind
from models.registry import Registry
from storage.directory import DataDir
from storage.examples import LabelledReader
from storage.learner import LearnerStore
from training.learner import TARGETS, Learner, Options
from training.learning_metrics import LearnerMetrics
from training.merging import Merged, Place
from training.progress import Progress, silent
from training.publishing import Columns
from training.shelf import Shelf

BY: Final = "membrane learn"
END_OF_TIME: Final = 2**63 - 1
OURS: Final = Columns(FEATURE_NAMES, fingerprint())


class _Clock(msgspec.Struct):
    """Of what a partition's stream says of itself: the event time of the last tick that is applied whole."""

    fired_until: int = 0


_clock: Final = msgspec.json.Decoder(_Clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a learner runs; `once`: up to the end of what there is. `grow`: the command line and environment of a process
    that grows trees of a target into a folder; `signing_key`: the private key that bundles are signed with."""

    every_labels: int
    every_seconds: float
    trees_every: int
    once: bool
    grow: Callable[[Kind, Path], tuple[list[str], dict[str, str]]]
    signing_key: Path | None = None


class Learning:
    """A learner and its surroundings. The lock is the caller's."""

    def __init__(self, directory: DataDir, store: LearnerStore, reader: LabelledReader, settings: Settings) -> None:
        metrics = LearnerMetrics(directory.run_path / "metrics")
        self._directory = directory
        self._store = store
        self._reader = reader
        self._settings = settings
        self._shelf = Shelf(directory, reader, settings.signing_key)
        self.learner = Learner(
            store,
            self._merged,
            OURS,
            Options(
                every_labels=settings.every_labels,
                every_seconds=settings.every_seconds,
                trees_every=settings.trees_every,
            ),
            partitions=directory.partitions,
            sink=metrics,
        )
        self._take_up_trees()
        self._prune()

    def run(self, idle_seconds: float, progress: Progress = silent) -> None:
        """Learns and publishes, for ever or to the end of what there is; progress in examples."""
        total = sum(count for count, _ in self._reader.counts().values())
        while True:
            self._publish()
            self._grow()
            taken = self.learner.step()
            progress(min(self.learner.passed(), total), total)
            if not taken and self._settings.once:
                self._publish(at_end=True)
                return
            if not taken:
                time.sleep(idle_seconds)

    def summary(self) -> dict[str, Any]:
        """What was learned and published, and how good it is, as plain data."""
        learner = self.learner
        return {
            "targets": {
                kind: {
                    "learned": learner.learners[kind].learned,
                    "figures": learner.figures(kind),
                    "published": msgspec.to_builtins(learner.reached.published.get(kind)),
                    "trees": msgspec.to_builtins(learner.reached.trees.get(kind)),
                    "refused": learner.reached.refused.get(kind, 0),
                }
                for kind in TARGETS
            },
            "skipped": learner.reached.skipped,
        }

    def _merged(self, places: list[Place]) -> Merged:
        return Merged(self._reader, places, self._settled)

    def _settled(self) -> int:
        """Before this moment no example can come any more: every partition's ticks are applied up to it. At the end of
        what there is, everything counts."""
        if self._settings.once:
            return END_OF_TIME
        metas = [self._reader.meta(partition).meta for partition in range(self._directory.partitions)]
        return min(_clock.decode(meta).fired_until if meta else 0 for meta in metas)

    def _publish(self, *, at_end: bool = False) -> None:
        for kind in self.learner.due(at_end=at_end):
            made = self.learner.draft(kind)
            bundle = self._shelf.put(made) if made else None
            if bundle is not None:
                self._shelf.nominate(kind, bundle, BY)
            self.learner.published(kind, bundle)
            self._prune()
            self.learner.tell()
            self._store.sweep()

    def _grow(self) -> None:
        """Has trees grown where there is enough new; waits for them, so that what they answer does not depend on how
        long that takes."""
        for kind in self.learner.trees_due():
            with tempfile.TemporaryDirectory(prefix=".grown-", dir=self._directory.path / "learn") as folder:
                words, environment = self._settings.grow(kind, Path(folder))
                done = subprocess.run(words, env=environment, check=False)  # its words go where ours go
                bundle = None
                if done.returncode == 0:
                    bundle = self._shelf.put_folder(Path(folder))
                    self._shelf.nominate(kind, bundle, f"{BY}: trees")
            self.learner.grown(kind, bundle)
            self._prune()
            self.learner.tell()

    def _take_up_trees(self) -> None:
        """The trees of before a restart go on answering."""
        for kind in TARGETS:
            trees = self.learner.reached.trees.get(kind)
            if trees is not None and trees.digest:
                with suppress(InvalidBundle):  # gone: the next ones will be measured
                    self.learner.measure_trees(kind, Registry(self._directory.models_path).load(trees.digest))

    def _prune(self) -> None:
        reached = self.learner.reached
        self._shelf.prune(one.digest for one in (*reached.published.values(), *reached.trees.values()))
