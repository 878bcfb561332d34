"""What there is to learn from: vectors kept, labels found and horizons that passed, brought into the order of the log.

While a block is applied, each customer at its own pace, all of it is only gathered; `settle` then brings it into the
log's order, which the cut into blocks does not change. Whether an example is still kept when a label comes, and the
number of the label, follow from offsets of the log and from times, never from how many there are of other customers:
whoever of these is erased, the rest stays as it is, and a learner's place in it does.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from membrane import labelling
from membrane.examples import (
    CLOSED,
    LAPSED,
    WHOLE,
    Joined,
    Served,
    hear,
    join,
    keep,
    lapses_at,
    leave,
    passed,
    wait,
)
from membrane.features import fingerprint
from membrane.lapse import Lapse
from membrane.ports import Learned
from membrane.record import Label, Record
from membrane.stages import Limits, rule_stage
from membrane.times import DAY
from membrane.vocabulary import STAGES
from stream.block import DecodedSignal
from stream.meta import Meta

KEPT_EXAMPLES: Final = 2**19
"""The examples of so many records of a partition's log are kept, the latest: of those of simulated customers one in ten
has an example."""
KEPT_LABELS: Final = 2**22
"""And the labels that so many records brought."""
KEPT_FOR: Final = 180 * DAY
"""Examples are kept for so long, by the partition's clock."""
_LABELS_AT_ONCE: Final = 16
"""No log record brings so many labels of one example."""
NEVER: Final = 2**62
_FINGERPRINT: Final = fingerprint()
_encode: Final = msgspec.msgpack.Encoder().encode

Horizons = Callable[[int], list[tuple[int, int, int]]]
"""`membrane.ports.StateStore.horizons`."""
Revisions = dict[str, str]
Scores = dict[str, tuple[float, ...]]


@dataclass(slots=True)
class Gathered:
    """What a block gathers, each with the offset of the log record that caused it: a tick may cause several labels."""

    kept: list[tuple[int, str, str, int, int | None, bytes]] = field(default_factory=list)
    said: list[tuple[int, Joined]] = field(default_factory=list)
    decided: list[tuple[int, int]] = field(default_factory=list)
    ticks: list[tuple[int, int]] = field(default_factory=list)
    unmatched: int = 0

    def hear(self, record: Record, entry: DecodedSignal, clock: int, lapse: Lapse | None) -> None:
        """What a signal says of its customer, before it is folded, and the silence before it."""
        signal, data = entry.signal, entry.data
        if signal is None or data is None:
            return
        self.pass_time(record, entry.offset, clock, lapse)
        if entry.synthetic:
            record.kept.synthetic = True
        if lapse is not None:
            hear(record.kept, lapse, signal.type, signal.time)
        if signal.type not in labelling.FUNCTIONS or record.kept.synthetic:
            return
        found = labelling.label(record, data, signal, clock)
        if found is not None:
            self._join(record, entry.offset, found)
        if signal.type == labelling.CLOSING:
            self._leave(record, entry.offset, signal.time, clock, CLOSED)

    def pass_time(self, record: Record, offset: int, clock: int, lapse: Lapse | None) -> bool:
        """Whether the customer has lapsed by `clock`, as the log record at `offset` shows: a signal of that very moment
        might still have come."""
        full = lapses_at(record.kept, lapse)
        if full is None or clock <= full:
            return False
        label = labelling.lapsed(full, clock)
        example = join(record.kept, label)
        if example is None:
            self.unmatched += 1
        else:
            self._say(offset, [(example, label)])
        self._leave(record, offset, full, clock, LAPSED)
        return True

    def keep(
        self,
        record: Record,
        offset: int,
        row: Sequence[float],
        scores: Scores,
        revisions: Revisions,
        lapse: Lapse | None,
    ) -> None:
        """The vector that the log record at `offset` brought is kept."""
        waiting = len(record.kept.waiting)
        due, said = keep(record, offset, lapse)
        self._say(offset, said)
        self.unmatched -= sum(to == offset for to, _ in said) if waiting else 0
        served = Served(array("f", row).tobytes(), _FINGERPRINT, scores, revisions)
        self.kept.append((offset, record.tenant, record.customer, record.clock, due, _encode(served)))

    def _leave(self, record: Record, offset: int, left_at: int, clock: int, by: str) -> None:
        said, decided = leave(record.kept, left_at, clock, labelling.weighed(WHOLE, left_at, clock), by)
        self._say(offset, said)
        self.decided += [(offset, one) for one in decided]

    def _join(self, record: Record, offset: int, label: Label) -> None:
        example = join(record.kept, label)
        if example is None:
            wait(record.kept, label, offset)
            self.unmatched += 1
        else:
            self._say(offset, [(example, label)])

    def _say(self, offset: int, said: Sequence[Joined]) -> None:
        self.said += [(offset, one) for one in said]


def ruled(record: Record, limits: Limits) -> tuple[float, ...]:
    """The stage that the rules name at the record's clock, as probabilities."""
    stage = rule_stage(record.state, record.tracker, record.clock, limits=limits).stage
    return tuple(float(index == stage) for index in range(len(STAGES)))


def settle(gathered: Gathered, meta: Meta, horizons: Horizons) -> Learned | None:
    """Everything in the log's order and numbered, to be written; None if nothing changes. `meta` goes on with it."""
    if not (gathered.kept or gathered.said or gathered.decided or gathered.ticks):
        meta.unmatched += gathered.unmatched
        return None
    return _Settling(gathered, meta, horizons).settled()


class _Settling:
    """One pass in the order of the log."""

    def __init__(self, gathered: Gathered, meta: Meta, horizons: Horizons) -> None:
        self._gathered = gathered
        self._meta = meta
        self._clock = meta.learned_until
        latest = max((t for _, t in gathered.ticks), default=0)
        self._open = horizons(latest) if gathered.ticks else []
        self._first_end = min((one[0] for one in self._open), default=NEVER)
        self._decided: set[int] = set()
        self._said: Counter[tuple[int, int]] = Counter()
        self._learned = Learned()

    def settled(self) -> Learned:
        gathered, meta = self._gathered, self._meta
        events: list[tuple[int, int, Callable[[int, Any], None], Any]] = [
            *((offset, 0, self._say, joined) for offset, joined in gathered.said),
            *((offset, 1, self._decide, example) for offset, example in gathered.decided),
            *((one[0], 2, self._keep, one) for one in gathered.kept),
            *((offset, 3, self._tick, t) for offset, t in gathered.ticks),
        ]
        events.sort(key=lambda event: event[:2])
        for offset, _, apply, what in events:
            apply(offset, what)
        meta.unmatched += gathered.unmatched
        meta.learned_until = self._clock
        self._learned.decided = sorted(self._decided)
        return self._learned

    def _keep(self, offset: int, kept: tuple[int, str, str, int, int | None, bytes]) -> None:
        self._learned.examples.append(kept)
        time, due = kept[3:5]
        if due is not None:
            self._open.append((due, offset, time))
            self._first_end = min(self._first_end, due)

    def _say(self, offset: int, joined: Joined) -> None:
        example, label = joined
        if example <= offset - KEPT_EXAMPLES:
            return
        number = _number(offset, example - (offset - KEPT_EXAMPLES + 1), self._said[offset, example])
        self._said[offset, example] += 1
        said = (label.target, label.label, label.weight, label.by, label.about, label.found_at)
        self._learned.labels.append((number, *said, example, self._clock - KEPT_FOR))

    def _decide(self, _: int, example: int) -> None:
        self._decided.add(example)

    def _tick(self, offset: int, t: int) -> None:
        """What is kept no more is told by ticks alone, which are nobody's."""
        self._clock = max(self._clock, t)
        learned = self._learned
        learned.offset_bound, learned.time_bound = offset - KEPT_EXAMPLES, self._clock - KEPT_FOR
        learned.labels_bound = _number(offset - KEPT_LABELS + 1, 0, 0) - 1
        if t < self._first_end:
            return
        for due, example, time in self._open:
            kept = example > learned.offset_bound and time > learned.time_bound
            if due <= t and kept and example not in self._decided:
                self._decide(offset, example)
                self._say(offset, (example, passed(time)))


def _number(offset: int, example: int, label: int) -> int:
    """The number of a label of the log record at `offset`: the greater, the later the record, then the example (counted
    from the oldest offset that is kept at that record), then the label among those of both."""
    return (offset * KEPT_EXAMPLES + example) * _LABELS_AT_ONCE + label
