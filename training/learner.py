"""The online learner: labelled examples in their merged order, each tested and then learned, published now and then.

What was learned, the place up to which, and the window go to the store in one transaction: a process that is killed
anywhere goes on from its last step, learns nothing twice and comes to the same parameters, to the bit.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from membrane.errors import InvalidBundle
from membrane.labelled import Labelled
from models.bundle import Bundle, Kind
from models.onnx_model import OnnxModel
from models.scorer import CLASSES
from storage.learner import Customer, Learned, LearnerStore
from training.merging import Merged, Place
from training.prequential import TREES, WINDOW, Answered, TargetLearner, TargetState, answering, figures_of, first_state
from training.publishing import Columns, Published, draft

BLOCK: Final = 128
LEAST_LABELS: Final = 50
"""Nothing is published before so many labels of a target, and two different ones."""
SHARE_FOR_TIME: Final = 10
"""When time is up, a tenth of `every_labels` must be new."""
TARGETS: Final[tuple[Kind, ...]] = ("stage", "churn")
_logger: Final = logging.getLogger("membrane.learner")
_encode: Final = msgspec.json.Encoder().encode


class Sink(Protocol):
    """Where the learner tells what it does."""

    def labelled(self, by: str, target: Kind) -> None:
        """A label was learned."""

    def drifted(self, kind: Kind, detector: str) -> None:
        """A detector found a change."""

    def refused(self, kind: Kind) -> None:
        """A bundle could not be published."""

    def tested(self, kind: Kind, figures: Mapping[str, Mapping[str, float]]) -> None:
        """How good everybody's latest answers were."""


class Reached(msgspec.Struct):
    """How far the learner has come: the place in each partition, how many examples it passed over and why, by target
    what it published last, the trees grown last, and how many exports it refused."""

    places: list[Place]
    skipped: dict[str, int] = {}
    published: dict[str, Published] = {}
    trees: dict[str, Published] = {}
    refused: dict[str, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """When to publish: after so many labels of a target, or so many seconds; when to grow trees (0: never)."""

    every_labels: int
    every_seconds: float
    trees_every: int = 0

    @property
    def least(self) -> int:
        """Of how many labels a target is published at all."""
        return min(LEAST_LABELS, self.every_labels)


@dataclass(slots=True)
class _Step:
    """What one step changes."""

    recent: defaultdict[str, list[Answered]] = field(default_factory=lambda: defaultdict(list))
    previous: defaultdict[str, dict[Customer, int]] = field(default_factory=lambda: defaultdict(dict))
    taken: int = 0
    publish: bool = False


class Learner:
    """Learns from `rows` what `store` does not know yet, and puts bundles into the folder `models`."""

    def __init__(
        self,
        store: LearnerStore,
        merged: Callable[[list[Place]], Merged],
        columns: Columns,
        options: Options,
        *,
        partitions: int,
        sink: Sink,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reached = reached(store.places(), partitions)
        self.learners: dict[str, TargetLearner] = {}
        self._store = store
        self._merged = merged(self.reached.places)
        self._columns = columns
        self._options = options
        self._sink = sink
        self._now = now
        self._published_at = dict.fromkeys(TARGETS, now())
        for kind in TARGETS:
            self._take_up(kind)

    def step(self) -> int:
        """Learns what has come, at most a block of it, up to the next label at which something is to be published; how
        many examples it took."""
        step = _Step()
        self._merged.look()
        while step.taken < BLOCK and not step.publish:
            example = self._merged.next()
            if example is None:
                break
            self._take(example, step)
        if step.taken:
            self._commit(step)
        return step.taken

    def due(self, *, at_end: bool = False) -> list[Kind]:
        """The targets of which there is enough new to publish; all with anything new where the end has been reached."""
        return [kind for kind in TARGETS if self._is_due(kind, at_end=at_end)]

    def draft(self, kind: Kind) -> Bundle | None:
        """What is known of a target as a bundle; None, told and counted, if the export differs from its source."""
        before = self.reached.published.get(kind)
        try:
            return draft(self.learners[kind], self._columns, before.revision if before else None)
        except InvalidBundle as error:
            _logger.warning("online-%s is not published: %s", kind, error)
            self.reached.refused[kind] = self.reached.refused.get(kind, 0) + 1
            self._sink.refused(kind)
            return None

    def published(self, kind: Kind, bundle: Bundle | None) -> None:
        """Takes note of what was published of a target; None: it could not be, and is not tried again with the same
        labels."""
        self._note(self.reached.published, kind, bundle)
        self._published_at[kind] = self._now()

    def trees_due(self) -> list[Kind]:
        """The targets of which there are so many new labels that trees are to be grown."""
        every = self._options.trees_every
        grown = {kind: self.reached.trees[kind].learned if kind in self.reached.trees else 0 for kind in TARGETS}
        return [kind for kind in TARGETS if every and self.learners[kind].learned - grown[kind] >= every]

    def grown(self, kind: Kind, bundle: Bundle | None) -> None:
        """Takes note of the trees that were grown; None: they could not be, and are not tried again with the same
        labels."""
        self._note(self.reached.trees, kind, bundle)
        if bundle is not None:
            self.measure_trees(kind, bundle)

    def measure_trees(self, kind: Kind, bundle: Bundle) -> None:
        """From now on these trees answer beside the learner, and are measured."""
        self.learners[kind].beside[TREES] = OnnxModel(bundle)

    def passed(self) -> int:
        """How many examples were learned or passed over, ever."""
        return sum(one.learned for one in self.learners.values()) + sum(self.reached.skipped.values())

    def figures(self, kind: Kind) -> dict[str, dict[str, float]]:
        """How good everybody's answers were over the window of a target, by name."""
        window = self.learners[kind].window
        found = {name: figures_of(window, name) for name in answering(window)}
        return {name: figures for name, figures in found.items() if figures is not None}

    def tell(self) -> None:
        """Tells the figures of every target."""
        for kind in TARGETS:
            self._sink.tested(kind, self.figures(kind))

    def _is_due(self, kind: Kind, *, at_end: bool) -> bool:
        learner, every = self.learners[kind], self._options.every_labels
        before = self.reached.published.get(kind)
        new = learner.learned - (before.learned if before else 0)
        if not new or learner.learned < self._options.least or len({one.label for one in learner.window}) < 2:
            return False
        passed = self._now() - self._published_at[kind] >= self._options.every_seconds
        return at_end or learner.learned % every == 0 or new >= every or (passed and new * SHARE_FOR_TIME >= every)

    def _take(self, example: Labelled, step: _Step) -> None:
        step.taken += 1
        reason = why_unusable(example, self._columns)
        if reason is not None:
            self.reached.skipped[reason] = self.reached.skipped.get(reason, 0) + 1
            return
        learner, customer = self.learners[example.target], (example.tenant, example.customer)
        previous = step.previous[example.target].get(customer)
        if previous is None:
            previous = self._store.previous(example.target, customer)
        outcome = learner.test_and_learn(example, previous)
        step.recent[example.target].append(outcome.answered)
        step.previous[example.target][customer] = example.label
        options = self._options
        step.publish = any(
            every and learner.learned % every == 0 for every in (options.every_labels, options.trees_every)
        )
        self._sink.labelled(example.by, example.target)
        for detector in outcome.drifted:
            self._sink.drifted(example.target, detector)

    def _note(self, notes: dict[str, Published], kind: Kind, bundle: Bundle | None) -> None:
        before = notes.get(kind, Published(0, "", ""))
        found = (bundle.digest, bundle.revision) if bundle else (before.digest, before.revision)
        notes[kind] = Published(self.learners[kind].learned, *found)
        self._commit(_Step())

    def _commit(self, step: _Step) -> None:
        self._store.commit(
            Learned(
                places=_encode(self.reached),
                targets={kind: _encode(self.learners[kind].state()) for kind in step.recent},
                recent={
                    kind: [(answered.number % WINDOW, _encode(answered)) for answered in rows[-WINDOW:]]
                    for kind, rows in step.recent.items()
                },
                previous=step.previous,
            )
        )

    def _take_up(self, kind: Kind) -> None:
        """What the store knows of a target; nothing if that was learned from other features."""
        body = self._store.target(kind)
        state = None if body is None else msgspec.json.decode(body, type=TargetState)
        if state is not None and state.fingerprint != self._columns.fingerprint:
            self._store.forget(kind)
            self.reached.published.pop(kind, None)
            self.reached.trees.pop(kind, None)
            state = None
        window = [] if state is None else [msgspec.json.decode(one, type=Answered) for one in self._store.recent(kind)]
        names = self._columns.names
        state = state or first_state(kind, names, self._columns.fingerprint)
        self.learners[kind] = TargetLearner(kind, names, state, window)


def why_unusable(example: Labelled, columns: Columns) -> str | None:
    """Why an example is passed over, None if it is not."""
    if example.synthetic:
        return "synthetic"
    if example.fingerprint != columns.fingerprint:
        return "other_features"
    sound = (
        0 <= example.label < len(CLASSES[example.target])
        and 0 < example.weight <= 1
        and len(example.features) == len(columns.names)
        and all(map(math.isfinite, example.features))
    )
    return None if sound else "unusable"


def reached(body: bytes, partitions: int) -> Reached:
    """What a store holds; the beginning if it is empty."""
    if body:
        return msgspec.json.decode(body, type=Reached)
    return Reached([Place() for _ in range(partitions)])
