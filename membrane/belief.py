"""What a customer's signals, one after the other, say of the stage: a forward filter over stage and usual level of use.

Features are a function of the set of signals and know sums and ages; this remembers the order. Between two signals that
are news the belief passes by a Markov chain, in which that nothing came is evidence too; each signal then weighs the
stages by how often it comes and what it says in each, and a case that is opened or resolved may itself be the move
(the forward algorithm of a hidden Markov model in continuous time: Rabiner 1989; Rydén 1996 for arrivals whose rate
the state modulates). Usage is judged against the customer's usual level, which is not known: beliefs about both are
kept together, levels relative to the first value of the first metric.

The odds are counted from simulated customers (`membrane.belief_odds`, written by `python -m training.make_belief`).
The belief follows the order of arrival, as the stage does: what comes more than a day late says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import exp, log, log2
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from membrane import belief_odds as odds
from membrane import signals as s
from membrane.record import Belief, Case
from membrane.signals import SCORE_RANGES, Data
from membrane.times import DAY, MINUTE
from membrane.vocabulary import STAGES

Floats = npt.NDArray[np.float64]

LATE: Final = DAY
CONVERSATION: Final = 30 * MINUTE
"""Messages come in conversations: of those within this time only the first says something, and how it is said."""
LONGEST: Final = 60 * DAY // MINUTE
"""A longer silence (minutes) says no more."""
_LEVELS: Final = np.linspace(-0.8, 1.5, 24)  # logarithms, relative to the first value
_RATIOS: Final = (exp(-3.0), exp(3.0))
_ONES: Final = np.ones(len(_LEVELS))
_STORED: Final = np.dtype("<u2")
_WHOLE: Final = 65_535  # what the stored weights sum up to
_MILLION: Final = 1_000_000
_FINE: Final = 8  # bins of time to each doubling
_SCORES: Final = 5
_TONES: Final = 8  # bins to each unit of tone
_ABOUT_CASES: Final = frozenset({"cx.case.opened.v1", "cx.case.resolved.v1", "cx.case.reopened.v1"})
_MEASURED: Final = "cx.usage.measured.v1"
_MESSAGE: Final = "cx.message.received.v1"
_STAGES: Final = len(STAGES)
_MU: Final = np.array(odds.USE)[:, None]
_VARIANCE: Final = np.array(odds.USE_VARIANCE)[:, None]
_OUTLIER: Final = 1e-6
_IMPROBABLE: Final = 1e-6
_PARTS: Final = 50  # of a unit of the logarithm of use
_USES: Final = 512
_LEAST_WEIGHT: Final = 0.05
_FIRST: Final = np.array(odds.FIRST)[:, None] * _WHOLE
_PASSES: Final = np.array(odds.PASSES)


def follow(belief: Belief, kind: str, data: Data | None, t: int, cases: Sequence[Case]) -> None:
    """Take in a signal of type `kind` that is news, about time t (ms), in place; `cases` are as they are with it. Of a
    kind that the odds do not know only the time counts."""
    if t < belief.at - LATE:
        return
    minutes = min((t - belief.at) // MINUTE, LONGEST) if t > belief.at > 0 else 0
    step = round(_FINE * log2(minutes + 1))
    weights = _passage(belief.context, step).dot(_weights(belief))
    said = word(kind, data)
    if kind == _MESSAGE and abs(t - belief.message_at) < CONVERSATION:
        said = ""
    elif kind == _MESSAGE:
        belief.message_at = t
    if said:
        told, moves = _told(belief.context, said)
        if moves:
            weights = told.dot(weights)
        else:
            weights *= told
    if kind == _MEASURED:
        weights = _measured(belief, data, weights)
    by_stage = weights.dot(_ONES[: weights.shape[1]]).tolist()
    share = 1 / sum(by_stage)
    belief.stages = [int(one * share * _MILLION + 0.5) for one in by_stage]
    weights *= _WHOLE * share
    weights += 0.5
    belief.weights = weights.astype(_STORED).tobytes()
    belief.at = max(belief.at, t)
    if kind in _ABOUT_CASES:
        belief.context = context(cases)


def believed(belief: Belief) -> list[float]:
    """(6,) the probability of each stage; that of any customer before the first signal."""
    return [one / _MILLION for one in belief.stages] or list(odds.FIRST)


def context(cases: Sequence[Case]) -> int:
    """What is open: 0 nothing, 1 nothing graver than severity 3, 2 something graver."""
    worst = min((case.severity for case in cases if case.open), default=0)
    return 0 if not worst else 1 if worst > 2 else 2


def word(kind: str, data: Data | None) -> str:
    """What a signal says, as a key of the odds; empty where its coming says nothing."""
    tell = _TELLS.get(kind)
    return tell(data) if tell is not None and data is not None else ""


def _message(data: s.MessageReceived) -> str:
    return "message" if data.sentiment is None else f"message:{int((data.sentiment + 1) * _TONES)}"


def _interaction(data: s.InteractionEnded) -> str:
    told = "" if data.resolved is None else ":solved" if data.resolved else ":unsolved"
    return ("self_service" if data.handled_by == "self_service" else "interaction") + told


def _survey(data: s.SurveyAnswered) -> str:
    low, high = SCORE_RANGES[data.instrument]
    return f"{data.instrument}:{min(_SCORES - 1, int(_SCORES * (data.score - low) / (high - low)))}"


def _contact(data: s.ContactMade) -> str:
    return "service" if data.domain == "service" else ""


def _resolved(data: s.CaseResolved) -> str:
    return f"resolved:{data.resolution_code}"


_TELLS: Final[dict[str, Callable[[Any], str]]] = {
    _MESSAGE: _message,
    "cx.interaction.ended.v1": _interaction,
    "cx.case.opened.v1": lambda data: f"case:{data.severity}",
    "cx.case.resolved.v1": _resolved,
    "cx.case.reopened.v1": lambda _data: "reopened",
    "cx.order.placed.v1": lambda _data: "order",
    "cx.payment.failed.v1": lambda _data: "payment_failed",
    "cx.contact.made.v1": _contact,
    "cx.contact.answered.v1": lambda data: f"answer:{data.outcome}",
    "cx.credit.given.v1": lambda _data: "credit",
    "cx.survey.answered.v1": _survey,
    "cx.usage.measured.v1": lambda _data: "use",
}


def _weights(belief: Belief) -> Floats:
    """(6, levels), one level until usage was measured."""
    if not belief.weights:
        return _FIRST
    return np.frombuffer(belief.weights, _STORED).reshape(_STAGES, -1).astype(np.float64)


@lru_cache(2_048)
def _passage(context: int, step: int) -> Floats:
    """(6, 6) from before to behind a time without a signal, as columns, up to a factor; no stage becomes impossible."""
    days = (2 ** (step / _FINE) - 1) * MINUTE / DAY
    found = _exponential(_PASSES[context] * days)
    return np.asarray(found / found.max() + _IMPROBABLE)


@lru_cache(512)
def _told(context: int, said: str) -> tuple[Floats, bool]:
    """What a signal does: (6, 6) as columns where it may itself be a move, else (6, 1) the weights of the stages."""
    kind = said.partition(":")[0]
    comes = odds.COMES.get(kind, (odds.SILENT,) * 3)[context]
    told = np.maximum(np.array(odds.SAYS.get(said, odds.SILENT)) * np.array(comes), _IMPROBABLE)
    if kind not in odds.MOVES:
        return told[:, None], False
    moved = np.array(odds.MOVES[kind][context]) * np.array(odds.SAYS_MOVED.get(said, odds.SILENT))[:, None]
    return np.diag(told) + moved, True


def _exponential(matrix: Floats) -> Floats:
    """By squaring, of a small matrix."""
    halvings = max(0, int(log2(np.abs(matrix).sum(axis=0).max() + 1e-9)) + 4)
    part = matrix / 2**halvings
    found = power = np.eye(len(matrix))
    for order in range(1, 9):
        power = power @ part / order
        found = found + power
    for _ in range(halvings):
        found = found @ found
    return found


def _measured(belief: Belief, data: Any, weights: Floats) -> Floats:
    """Weighed by a value of the metric that came first. Nothing is impossible: levels change in the long run."""
    value = round(data.value * 10_000)
    if not belief.metric and value > 0:
        belief.metric, belief.usual = data.metric, value
        weights = np.repeat(weights / len(_LEVELS), len(_LEVELS), axis=1)
    if data.metric != belief.metric:
        return weights
    ratio = min(max(value / belief.usual, _RATIOS[0]), _RATIOS[1])
    weights += _LEAST_WEIGHT
    weights *= _use(round(log(ratio) * _PARTS))
    return weights


@lru_cache(_USES)
def _use(parts: int) -> Floats:
    """(6, levels) how probable use of exp(parts / _PARTS) times the first value is."""
    off = (parts / _PARTS - _LEVELS) - _MU
    return np.asarray(np.exp(off * off / (-2 * _VARIANCE)) / np.sqrt(_VARIANCE) + _OUTLIER)
