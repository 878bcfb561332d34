"""Which served vectors are kept to learn from, and which of them a label is about.

A vector is kept where labels are likely to find it, at most one an hour, and else as seldom as the stream can bear. All
that this needs to know lies in the record (`membrane.record.Kept`), so that a replay keeps the same ones. A label about
moment m goes to the latest kept vector with time <= m that was served before the label came: never to a later one.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from membrane.cases import open_at
from membrane.features import usage_ratio
from membrane.fold import LOW_NPS
from membrane.labelled import TARGETS
from membrane.lapse import Lapse
from membrane.record import Kept, Label, Record, State
from membrane.stages import STEADY, USAGE_HIGH, USAGE_LOW
from membrane.times import DAY, HOUR
from membrane.vocabulary import LIFECYCLES, Lifecycle

SOON: Final = HOUR
"""Two kept vectors of a customer are at least so far apart."""
DAILY: Final = DAY
WEEKLY: Final = 7 * DAY
SEVERAL: Final = 8
"""Without an occasion one is kept after a day and so many signals, or after a week."""
KEPT_LATEST: Final = 6
KEPT_WATCHED: Final = 6
KEPT_WAITING: Final = 2
"""Labels that wait. They live until the customer's clock has passed the moment they speak about."""
HORIZON: Final = 30 * DAY
"""Who leaves so soon after a vector was served is its churn."""
JOINED_FOR: Final = 14 * DAY
"""A label goes to no vector that was older at the moment the label speaks about."""
WHOLE: Final = 10_000
QUIET, HORIZON_PASSED, CLOSED, LAPSED = "quiet", "horizon", "closed", "lapsed"
QUIET_WEIGHT: Final = 3_000
STAGE, CHURN = TARGETS.index("stage"), TARGETS.index("churn")

_CLOSED: Final = LIFECYCLES.index(Lifecycle.CLOSED)
_ENDED: Final = "cx.interaction.ended.v1"
_RESOLVED: Final = "cx.case.resolved.v1"

Joined = tuple[int, Label]
"""The log offset of a kept vector, and what is said of it."""


class Served(Struct, array_like=True, frozen=True):
    """A vector as it was served: the features as float32 in native order, their fingerprint, and `scores` and
    `revisions` as `membrane.labelled.Labelled` has them."""

    features: bytes
    fingerprint: str
    scores: dict[str, tuple[float, ...]] = {}
    revisions: dict[str, str] = {}


def is_kept(record: Record, offset: int, kind: str, *, moved: bool) -> bool:
    """Whether the vector that the signal at `offset` of this type just brought is kept; `moved` if it moved the
    stage."""
    kept, clock = record.kept, record.clock
    age = clock - (kept.at or record.state.first_at)
    if kept.synthetic or record.tracker.lifecycle == _CLOSED:
        return False
    if _awaited(kept, clock, offset):
        return True
    if age < SOON:
        return False
    if age >= WEEKLY or (age >= DAILY and record.state.signals - kept.signals >= SEVERAL):
        return True
    return moved or kind == _RESOLVED or (kind == _ENDED and open_at(record.state, clock))


def keep(record: Record, offset: int, lapse: Lapse | None = None) -> tuple[int | None, list[Joined]]:
    """Note that the vector of the log record at `offset`, served at the customer's clock, is kept: when its horizon of
    churn ends if it is watched, else None; and what can be said now, of it and of earlier ones. Who has lapsed is lost
    already, and not watched."""
    kept, clock = record.kept, record.clock
    kept.at, kept.signals = clock, record.state.signals
    kept.latest = [*kept.latest, clock, offset][-2 * KEPT_LATEST :]
    said = _quiet_days(record)
    if _awaited(kept, clock, offset):
        said += [(offset, label) for label in kept.waiting if label.about >= clock]
        kept.waiting = []
    full = silent_until(kept, lapse)
    if (kept.watched and clock - kept.watched[-2] < WEEKLY) or (full is not None and full < clock):
        return None, said
    kept.watched = [*kept.watched, clock, offset][-2 * KEPT_WATCHED :]
    return clock + HORIZON, said


def join(kept: Kept, label: Label) -> int | None:
    """The offset of the vector that a label is about: the latest with time <= about, and not too old for it."""
    for time, offset in reversed(pairs(kept.latest)):
        if time <= label.about:
            return offset if label.about - time <= JOINED_FOR else None
    return None


def wait(kept: Kept, label: Label, offset: int) -> None:
    """A label, of the log record at `offset`, that found no vector waits: what comes behind it in the log may have
    happened at the same moment."""
    kept.waiting = [*(one for one in kept.waiting if one.about >= label.found_at), label][-KEPT_WAITING:]
    kept.waits_since = offset


def hear(kept: Kept, lapse: Lapse, kind: str, t: int) -> None:
    """Note a signal of this type and time, if the lapse rule listens to it."""
    if kind in lapse.types:
        kept.heard = max(t, kept.heard) if kept.heard_by == lapse.mark else t
        kept.heard_by = lapse.mark


def silent_until(kept: Kept, lapse: Lapse | None) -> int | None:
    """When the silence of the rule is full unless a signal comes up to then; None where there is no rule, or nothing
    that it listens to was heard while it was in force."""
    return None if lapse is None or kept.heard_by != lapse.mark else kept.heard + lapse.ms


def lapses_at(kept: Kept, lapse: Lapse | None) -> int | None:
    """The same, where it is the churn of a vector that is watched; else nobody need look."""
    full = silent_until(kept, lapse)
    awaited = full is not None and not kept.synthetic and bool(kept.watched) and full <= kept.watched[-2] + HORIZON
    return full if awaited else None


def leave(kept: Kept, left_at: int, found_at: int, weight: int, by: str = CLOSED) -> tuple[list[Joined], list[int]]:
    """The customer left: that is the churn of those watched whose horizon it falls into; and the offsets of those whose
    horizon need not be waited for any more. None is watched from then on."""
    open_ones = [(time, offset) for time, offset in pairs(kept.watched) if left_at <= time + HORIZON]
    kept.watched = []
    said = [(offset, Label(CHURN, 1, weight, by, time, found_at)) for time, offset in open_ones if time <= left_at]
    return said, [offset for _, offset in open_ones]


def passed(time: int) -> Label:
    """What is said of a watched vector when its horizon has passed and the customer has not left."""
    return Label(CHURN, 0, WHOLE, HORIZON_PASSED, time, time + HORIZON)


def pairs(flat: list[int]) -> list[tuple[int, int]]:
    """(time, offset) of each.

    >>> pairs([10, 1, 20, 7])
    [(10, 1), (20, 7)]
    """
    return list(zip(flat[::2], flat[1::2], strict=True))


def _awaited(kept: Kept, clock: int, offset: int) -> bool:
    """Whether a label of an earlier signal waits for a vector of this moment: that of its own shows what it is made
    of."""
    return bool(kept.waiting) and kept.waiting[-1].about >= clock and kept.waits_since < offset


def _quiet_days(record: Record) -> list[Joined]:
    """The watched vectors that are a horizon old leave; those that nothing bad followed were steady."""
    kept, clock = record.kept, record.clock
    old = [(time, offset) for time, offset in pairs(kept.watched) if time + HORIZON <= clock]
    kept.watched = kept.watched[2 * len(old) :]
    return [
        (offset, Label(STAGE, STEADY, QUIET_WEIGHT, QUIET, time, clock))
        for time, offset in old
        if _was_quiet(record.state, time, clock)
    ]


def _was_quiet(state: State, since: int, t: int) -> bool:
    """Whether there was a sign of life since, usage was normal, and neither case, bad word, bad score nor label of
    crisis came."""
    low_nps = state.nps is not None and state.nps[1] <= LOW_NPS * 100 and state.nps[0] > since
    bad = max(
        state.negative_at, state.low_csat_at, state.escalated_at, state.crisis_label_at, state.complained_at,
        *(t if case.open else max(case.touched_at, case.resolved_at) for case in state.cases),
        0,
    )  # fmt: skip
    usage = usage_ratio(state, t)
    normal = usage is None or USAGE_LOW < usage < USAGE_HIGH
    return state.inbound_at > since and bad <= since and not low_nps and normal
