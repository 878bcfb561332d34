"""Labelling functions: what a signal says of a customer at a moment, how far it is to be believed, when it abstains.

Each sees the record as it was before the signal. A label that is found out more than 48 hours after the moment it
speaks about has half the weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from membrane import signals as s
from membrane.cases import open_at
from membrane.examples import CHURN, CLOSED, LAPSED, STAGE, WHOLE
from membrane.fold import GOOD_CSAT, LOW_NPS, LOW_SATISFACTION
from membrane.record import Label, Record, State
from membrane.signals import Data, StoredSignal
from membrane.stages import AT_RISK, CRISIS, NO_EVIDENCE, RECOVERING, STEADY, STRAINED, THRIVING
from membrane.times import HOUR, parse_time
from membrane.vocabulary import STAGES

PROMPT: Final = 48 * HOUR
REMEMBERED: Final = 168 * HOUR
"""An answer says something of an interaction or a resolution that is not older."""
HIGH_NPS: Final = 9
KEPT_BY: Final = 32
"""So many characters of who gave a label are kept."""
DISSATISFIED, CONTENT, NPS = "dissatisfied", "content", "nps"
DISSATISFIED_WEIGHT, CONTENT_WEIGHT, NPS_WEIGHT, LEAVING_WEIGHT = 7_000, 5_000, 5_000, 4_000
CLOSING: Final = "cx.account.closed.v1"
_STAGE: Final[dict[object, int]] = {stage: index for index, stage in enumerate(STAGES)}
_LEAVES: Final[dict[object, int]] = {True: 1, False: 0, "closes": 1, "leaves": 1, "stays": 0}
SYNTHETIC: Final = b'"synthetic"'
"""Stands in every signal that is: where it does not, `is_synthetic` need not be asked."""

Function = Callable[[Record, Any, StoredSignal, int], Label | None]
"""(the record before the signal, typed data, signal, clock with the signal) -> a label, or None: abstains."""


class _Marked(msgspec.Struct):
    synthetic: Any = False


def is_synthetic(signal: StoredSignal) -> bool:
    """Whether its sender says that it is made up: nothing is learned from its customer. Raises msgspec's errors."""
    return msgspec.json.decode(signal.data, type=_Marked).synthetic is True


def label(record: Record, data: Data, signal: StoredSignal, clock: int) -> Label | None:
    """What the signal says, by its labelling function; `data` is of a type in FUNCTIONS."""
    return FUNCTIONS[signal.type](record, data, signal, clock)


def weighed(weight: int, about: int, clock: int) -> int:
    """The weight of what is found out at `clock` about a moment.

    >>> weighed(7000, 0, 48 * HOUR), weighed(7000, 0, 48 * HOUR + 1)
    (7000, 3500)
    """
    return weight if clock - about <= PROMPT else weight // 2


def _given(record: Record, data: s.LabelGiven, signal: StoredSignal, clock: int) -> Label | None:
    """A person's label, or another system's."""
    about = min(parse_time(data.about_time), signal.time) if data.about_time else signal.time
    target = STAGE if data.target == "stage" else CHURN
    value = (_STAGE if target == STAGE else _LEAVES).get(data.value)
    if value is None:
        return None
    weight = WHOLE if data.confidence is None else round(data.confidence * WHOLE)
    return Label(target, value, weighed(weight, about, clock), data.by[:KEPT_BY], about, clock)


def _answered(record: Record, data: s.SurveyAnswered, signal: StoredSignal, clock: int) -> Label | None:
    if data.instrument == "nps":
        return _recommends(record, data, signal, clock)
    if data.score <= LOW_SATISFACTION:
        return _dissatisfied(record, data, signal, clock)
    if data.instrument == "csat" and data.score >= GOOD_CSAT:
        return _content(record, signal, clock)
    return None


def _recommends(record: Record, data: s.SurveyAnswered, signal: StoredSignal, clock: int) -> Label | None:
    """NPS with nothing open, about the moment of the answer."""
    if open_at(record.state, clock) or LOW_NPS < data.score < HIGH_NPS:
        return None
    stage = AT_RISK if data.score <= LOW_NPS else THRIVING
    return Label(STAGE, stage, weighed(NPS_WEIGHT, signal.time, clock), NPS, signal.time, clock)


def _dissatisfied(record: Record, data: s.SurveyAnswered, signal: StoredSignal, clock: int) -> Label | None:
    """CSAT or CES 1-2 about an interaction at whose end a case was open: crisis if that was in force, else strained."""
    about = _interaction_ended(record.state, data, signal.time)
    if about is None or not open_at(record.state, about):
        return None
    tracker = record.tracker
    stage = CRISIS if tracker.stage == CRISIS and tracker.since <= about else STRAINED
    return Label(STAGE, stage, weighed(DISSATISFIED_WEIGHT, about, clock), DISSATISFIED, about, clock)


def _content(record: Record, signal: StoredSignal, clock: int) -> Label | None:
    """CSAT 4-5 after the last open case was resolved, about the moment of that: recovering after a crisis, else
    steady."""
    solved = [one.resolved_at for one in record.state.cases if not one.open and one.code not in NO_EVIDENCE]
    about = max((t for t in solved if signal.time - REMEMBERED <= t <= signal.time), default=None)
    if about is None or any(case.open for case in record.state.cases):
        return None
    stage = RECOVERING if record.tracker.stage in (CRISIS, RECOVERING) else STEADY
    return Label(STAGE, stage, weighed(CONTENT_WEIGHT, about, clock), CONTENT, about, clock)


def _closing(record: Record, data: s.AccountClosed, signal: StoredSignal, clock: int) -> Label | None:
    """Who leaves was at risk before."""
    return Label(STAGE, AT_RISK, weighed(LEAVING_WEIGHT, signal.time, clock), CLOSED, signal.time, clock)


def lapsed(about: int, clock: int) -> Label:
    """Who falls silent for as long as the tenant's rule says was at risk before."""
    return Label(STAGE, AT_RISK, weighed(LEAVING_WEIGHT, about, clock), LAPSED, about, clock)


def _interaction_ended(state: State, data: s.SurveyAnswered, t: int) -> int | None:
    """When the interaction ended that an answer at t is about: the one it names, else the latest known."""
    if data.interaction is not None or data.touchpoint is not None:
        found = state.ended.get(data.interaction or ""), state.ended_touchpoints.get(data.touchpoint or "")
        named = [one for one in found if one is not None]
    else:
        named = list(state.ended.values())
    return max((one for one in named if t - REMEMBERED <= one <= t), default=None)


FUNCTIONS: Final[dict[str, Function]] = {
    "cx.label.given.v1": _given,
    "cx.survey.answered.v1": _answered,
    CLOSING: _closing,
}
"""Signal type -> what labels by it."""
