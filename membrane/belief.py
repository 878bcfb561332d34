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

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import exp, log, log2
from typing import Any, Final, NamedTuple

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
_FIRST: Final = [round(one * _MILLION) for one in odds.FIRST]
_PASSES: Final = np.array(odds.PASSES)


class Heard(NamedTuple):
    """A signal of type `kind` that is news to a customer, about time `t` (ms); `cases` are as they are with it."""

    belief: Belief
    kind: str
    data: Data | None
    t: int
    cases: Sequence[Case]


def follow(news: Iterable[Heard]) -> None:
    """Take in a signal of each of many customers, in place; at once, since most of the cost is the same for one and for
    hundreds. Of a kind that the odds do not know only the time counts."""
    plain: list[tuple[Belief, bytes]] = []
    levelled: list[tuple[Belief, bytes, bytes]] = []
    for one in news:
        belief = one.belief
        if one.t < belief.at - LATE:
            continue
        effect = _effect_of(one)
        use = _use_of(belief, one.data) if one.kind == _MEASURED else b""
        if belief.metric:
            levelled.append((belief, effect, use))
        else:
            plain.append((belief, effect))
    if plain:
        _weigh(*zip(*plain, strict=True))
    if levelled:
        _weigh_levels(*zip(*levelled, strict=True))


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


def _effect_of(heard: Heard) -> bytes:
    """What a signal and the time before it do, and the belief's own notes of them."""
    belief, kind, data, t, cases = heard
    minutes = min((t - belief.at) // MINUTE, LONGEST) if t > belief.at > 0 else 0
    said = word(kind, data)
    if kind == _MESSAGE:
        if abs(t - belief.message_at) < CONVERSATION:
            said = ""
        else:
            belief.message_at = t
    effect = _effect(belief.context, round(_FINE * log2(minutes + 1)), said)
    belief.at = max(belief.at, t)
    if kind in _ABOUT_CASES:
        belief.context = context(cases)
    return effect


def _use_of(belief: Belief, data: Any) -> bytes:
    """How probable a value is by stage and level; the first above zero is what use is measured by. Empty of another
    metric."""
    value = round(data.value * 10_000)
    if not belief.metric and value > 0:
        belief.metric, belief.usual = data.metric, value
    if not belief.metric or data.metric != belief.metric:
        return b""
    return _use(round(log(min(max(value / belief.usual, _RATIOS[0]), _RATIOS[1])) * _PARTS))


def _weigh(beliefs: Sequence[Belief], effects: Sequence[bytes]) -> None:
    """Those whose use was never measured: nothing but the stages is known."""
    before = np.array([belief.stages or _FIRST for belief in beliefs], np.float64)
    _tell(beliefs, (_matrices(effects) @ before[:, :, None])[:, :, 0])


def _weigh_levels(beliefs: Sequence[Belief], effects: Sequence[bytes], uses: Sequence[bytes]) -> None:
    before = b"".join([belief.weights or _even(belief.stages or _FIRST) for belief in beliefs])
    shape = (-1, _STAGES, len(_LEVELS))
    weights = _matrices(effects) @ np.frombuffer(before, _STORED).reshape(shape).astype(np.float64)
    measured = [number for number, use in enumerate(uses) if use]
    if measured:  # nothing is impossible: levels change in the long run
        likely = np.frombuffer(b"".join(uses)).reshape(shape)
        weights[measured] = (weights[measured] + _LEAST_WEIGHT) * likely
    whole = _tell(beliefs, weights @ _ONES)
    weights *= (_WHOLE / whole)[:, None, None]
    weights += 0.5
    after, size = weights.astype(_STORED).tobytes(), _STAGES * len(_LEVELS) * _STORED.itemsize
    for number, belief in enumerate(beliefs):
        belief.weights = after[number * size : (number + 1) * size]


def _tell(beliefs: Sequence[Belief], by_stage: Floats) -> Floats:
    """Note the stages (n, 6), up to a factor, which is the answer (n)."""
    whole = np.asarray(by_stage.sum(axis=1))
    shares = (by_stage * (_MILLION / whole)[:, None] + 0.5).astype(np.int64).tolist()
    for belief, stages in zip(beliefs, shares, strict=True):
        belief.stages = stages
    return whole


def _even(stages: Sequence[int]) -> bytes:
    """Any level of use is as probable as another."""
    share = np.array(stages) * (_WHOLE / _MILLION / len(_LEVELS)) + 0.5
    return np.repeat(share.astype(_STORED), len(_LEVELS)).tobytes()


def _matrices(effects: Sequence[bytes]) -> Floats:
    return np.asarray(np.frombuffer(b"".join(effects)).reshape(-1, _STAGES, _STAGES))


@lru_cache(8_192)
def _effect(context: int, step: int, said: str) -> bytes:
    """(6, 6) from before a time without a signal to behind the signal, as columns, up to a factor."""
    passage = _passage(context, step)
    return (_told(context, said) @ passage if said else passage).tobytes()


@lru_cache(512)
def _passage(context: int, step: int) -> Floats:
    """(6, 6) from before to behind a time without a signal, as columns, up to a factor; no stage becomes impossible."""
    days = (2 ** (step / _FINE) - 1) * MINUTE / DAY
    found = _exponential(_PASSES[context] * days)
    return np.asarray(found / found.max() + _IMPROBABLE)


@lru_cache(512)
def _told(context: int, said: str) -> Floats:
    """(6, 6) what a signal does, as columns: it weighs the stages, and may itself be a move."""
    kind = said.partition(":")[0]
    comes = odds.COMES.get(kind, (odds.SILENT,) * 3)[context]
    told = np.maximum(np.array(odds.SAYS.get(said, odds.SILENT)) * np.array(comes), _IMPROBABLE)
    if kind not in odds.MOVES:
        return np.asarray(np.diag(told))
    moved = np.array(odds.MOVES[kind][context]) * np.array(odds.SAYS_MOVED.get(said, odds.SILENT))[:, None]
    return np.asarray(np.diag(told) + moved)


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


@lru_cache(_USES)
def _use(parts: int) -> bytes:
    """(6, levels) how probable use of exp(parts / _PARTS) times the first value is."""
    off = (parts / _PARTS - _LEVELS) - _MU
    return bytes((np.exp(off * off / (-2 * _VARIANCE)) / np.sqrt(_VARIANCE) + _OUTLIER).tobytes())
