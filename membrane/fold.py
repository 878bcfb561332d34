"""The fold: one signal into a customer's state.

The state after a set of signals is the same whatever their order (law 2): every value kept is a minimum, a maximum, a
sum, a register decided by (event time, value), or the most recent few of a set. What falls out of a bound is counted
in `State.overflow`. One handler per signal type; types without a handler leave the state alone but for its lifetime.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final, TypeVar

from membrane import signals as s
from membrane.cases import KEPT_NAME_BYTES, apply_case_signal, keep_latest, replace_product, restate
from membrane.contacts import answer_contact, change_consent, make_contact
from membrane.news import FROM_CUSTOMER, is_surely_news, touched
from membrane.record import LowScore, Metric, Profile, State
from membrane.signals import Data, StoredSignal
from membrane.tiles import IN_CHANNEL, MEASURE, add
from membrane.times import DAY, parse_time
from membrane.vocabulary import STAGES, channel_index

KEPT_DAYS: Final = 9
KEPT_METRICS: Final = 8
KEPT_LOW_SCORES: Final = 8
KEPT_ENDED: Final = 8
MOST: Final = 2**62
ESCALATIONS: Final = frozenset({"escalation", "escalated"})
LOW_SATISFACTION, LOW_NPS, GOOD_CSAT = 2, 6, 4
NEGATIVE, VERY_NEGATIVE, POSITIVE = -3000, -7000, 3000  # tone in 1e-4

_IN: Final = MEASURE["in"]
_TONE_SUM: Final = MEASURE["tone_sum"]
_TONE_COUNT: Final = MEASURE["tone_count"]
_NEGATIVE: Final = MEASURE["negative"]

T = TypeVar("T", str, int, bool, list[int])
Handler = Callable[[State, Any, StoredSignal, int, int], None]
"""(state, typed data, signal, event time, clock)"""


class Folded(Enum):
    """What a signal changed: the features at the clock (it was news); or at most the state; or, for certain, nothing
    that stages, conditions and due times are told by."""

    NEWS = "news"
    STATE = "state"
    NOTHING = "nothing"


def fold(state: State, signal: StoredSignal, data: Data | None, clock: int, currency: str = "") -> Folded:
    """Fold one signal into `state`, in place; `clock` is the customer's clock with this signal (>= its time),
    `currency` the only one whose amounts are summed (empty: all of them, as they come)."""
    t = signal.time
    if isinstance(data, s.CaseUpdated) and 0 < state.first_at <= t and restate(state, data, t):
        state.signals += 1
        state.last_at = max(state.last_at, t)
        return Folded.NOTHING
    handler = _HANDLERS.get(signal.type) if data is not None else None
    if currency and handler is _ordered and _is_foreign(data, currency):
        handler = _ordered_elsewhere
    sure = handler is not None and is_surely_news(state, signal.type, t, clock)
    before = None if sure else touched(state, signal.type, t, clock)
    state.signals += 1
    state.first_at = min(state.first_at, t) if state.first_at else t
    state.last_at = max(state.last_at, t)
    if handler is not None:
        handler(state, data, signal, t, clock)
        if signal.type in FROM_CUSTOMER:
            _active(state, t)
    return Folded.NEWS if sure or touched(state, signal.type, t, clock) != before else Folded.STATE


def _active(state: State, t: int) -> None:
    state.inbound_at = max(state.inbound_at, t)
    day = t // DAY
    if day not in state.active_days:
        insort(state.active_days, day)
        del state.active_days[:-KEPT_DAYS]


def _opened(state: State, data: s.AccountOpened, signal: StoredSignal, t: int, clock: int) -> None:
    state.opened_at = max(state.opened_at, t)
    _profile(state.profile, data, t)


def _closed(state: State, data: s.AccountClosed, signal: StoredSignal, t: int, clock: int) -> None:
    state.closed_at = max(state.closed_at, t)


def _profiled(state: State, data: s.ProfileUpdated, signal: StoredSignal, t: int, clock: int) -> None:
    _profile(state.profile, data, t)
    if data.preferred_channel is not None:
        value = channel_index(data.preferred_channel)
        state.profile.preferred_channel = _later(state.profile.preferred_channel, value, t)
    if data.channels is not None:
        channels = sorted({channel_index(channel) for channel in data.channels})
        state.profile.channels = _later(state.profile.channels, channels, t)
    if data.vulnerable is not None:
        state.profile.vulnerable = _later(state.profile.vulnerable, data.vulnerable, t)


def _profile(profile: Profile, data: s.AccountOpened | s.ProfileUpdated, t: int) -> None:
    if data.timezone is not None:
        profile.timezone = _later(profile.timezone, data.timezone, t)
    if data.language is not None:
        profile.language = _later(profile.language, data.language, t)
    if data.segment is not None:
        profile.segment = _later(profile.segment, data.segment, t)


def _later(current: tuple[T, int] | None, value: T, t: int) -> tuple[T, int]:
    if current is None or (t, value) > (current[1], current[0]):
        return value, t
    return current


def _message(state: State, data: s.MessageReceived, signal: StoredSignal, t: int, clock: int) -> None:
    amounts: tuple[tuple[int, int], ...] = ((_IN, 1), (IN_CHANNEL + channel_index(data.channel), 1))
    if data.sentiment is not None:
        tone = round(data.sentiment * 10_000)
        amounts += ((_TONE_SUM, tone), (_TONE_COUNT, 1))
        if tone <= NEGATIVE:
            amounts += ((_NEGATIVE, 1),)
            state.negative_at = max(state.negative_at, t)
        elif tone >= POSITIVE:
            state.positive_at = max(state.positive_at, t)
        if tone <= VERY_NEGATIVE:
            insort(state.very_negative, t)
            del state.very_negative[:-2]
    if data.reason in ESCALATIONS:
        state.escalated_at = max(state.escalated_at, t)
    add(state, t, clock, amounts)


def _interaction(state: State, data: s.InteractionEnded, signal: StoredSignal, t: int, clock: int) -> None:
    amounts: tuple[tuple[int, int], ...] = ()
    if data.direction != "outbound":
        amounts += ((_IN, 1), (IN_CHANNEL + channel_index(data.channel), 1))
    if data.resolved is False:
        amounts += ((MEASURE["unresolved"], 1),)
    if data.transfers:
        amounts += ((MEASURE["transfers"], data.transfers),)
    if data.handled_by in ("bot", "ivr", "self_service"):
        amounts += ((MEASURE["machine_handled"], 1),)
    if data.reason in ESCALATIONS or data.disposition in ESCALATIONS:
        state.escalated_at = max(state.escalated_at, t)
    _latest(state, state.ended, data.interaction, t)
    if data.touchpoint is not None:
        _latest(state, state.ended_touchpoints, data.touchpoint, t)
    add(state, t, clock, amounts)


def _latest(state: State, times: dict[str, int], name: str, t: int) -> None:
    """Keep the latest time of a name, and the KEPT_ENDED latest names by (time, name)."""
    times[name] = max(times.get(name, 0), t)
    state.overflow += keep_latest(times, KEPT_ENDED)


def _used(state: State, data: s.UsageMeasured, signal: StoredSignal, t: int, clock: int) -> None:
    metric = next((known for known in state.metrics if known.metric == data.metric), None)
    if metric is None:
        metric = Metric(data.metric, t, {})
        state.metrics.append(metric)
    metric.at = max(metric.at, t)
    day, expired = t // DAY, clock // DAY - 30
    if day > expired:
        for old in [known for known in metric.days if known <= expired]:
            del metric.days[old]
        total, count = metric.days.get(day, (0, 0))
        total += round(data.value * 10_000)
        metric.days[day] = [max(-MOST, min(total, MOST)), count + 1]  # a sum must fit 64 bits
    while len(state.metrics) > KEPT_METRICS or _names(known.metric for known in state.metrics) > KEPT_NAME_BYTES:
        state.metrics.remove(min(state.metrics, key=lambda known: (known.at, known.metric)))
        state.overflow += 1


def _names(names: Iterable[str]) -> int:
    return sum(map(len, names))


def _ordered(state: State, data: s.Money, signal: StoredSignal, t: int, clock: int) -> None:
    minor = round((data.amount or 0) * 100)
    state.orders += 1
    state.order_value += minor
    state.order_at = max(state.order_at, t)
    add(state, t, clock, ((MEASURE["orders"], 1), (MEASURE["order_value"], minor)))


def _is_foreign(data: Data | None, currency: str) -> bool:
    return isinstance(data, s.Money) and data.amount is not None and data.currency not in {None, currency}


def _ordered_elsewhere(state: State, data: s.Money, signal: StoredSignal, t: int, clock: int) -> None:
    """An order in a currency that is not the tenant's: it counts, its amount does not."""
    state.orders += 1
    state.foreign_orders += 1
    state.order_at = max(state.order_at, t)
    add(state, t, clock, ((MEASURE["orders"], 1),))


def _counted(measure: str) -> Handler:
    amounts = ((MEASURE[measure], 1),)

    def count(state: State, data: Data, signal: StoredSignal, t: int, clock: int) -> None:
        add(state, t, clock, amounts)

    return count


def _credited(state: State, data: s.CreditGiven, signal: StoredSignal, t: int, clock: int) -> None:
    state.credits += 1
    add(state, t, clock, ((MEASURE["credits"], 1),))


def _answered(state: State, data: s.SurveyAnswered, signal: StoredSignal, t: int, clock: int) -> None:
    score = round(data.score * 100)
    nps = data.instrument == "nps"
    low = data.score <= (LOW_NPS if nps else LOW_SATISFACTION)
    if nps:
        state.nps = _latest_score(state.nps, score, t)
    elif data.instrument == "csat":
        state.csat = _latest_score(state.csat, score, t)
        if data.score >= GOOD_CSAT:
            state.good_csat_at = max(state.good_csat_at, t)
    else:
        state.ces = _latest_score(state.ces, score, t)
    if low:
        _low_score(state, t, data.survey or f"~{signal.id}")
        if not nps:
            state.low_csat_at = max(state.low_csat_at, t)
        add(state, t, clock, ((MEASURE["surveys_low"], 1),))


def _latest_score(current: tuple[int, int] | None, score: int, t: int) -> tuple[int, int]:
    if current is None or (t, -score) > (current[0], -current[1]):
        return t, score
    return current


def _low_score(state: State, t: int, survey: str) -> None:
    known = next((low for low in state.low_scores if low.survey == survey), None)
    if known is not None:
        known.at = max(known.at, t)
    else:
        state.low_scores.append(LowScore(t, survey))
    state.low_scores.sort(key=lambda low: (low.at, low.survey))
    while len(state.low_scores) > KEPT_LOW_SCORES or _names(low.survey for low in state.low_scores) > KEPT_NAME_BYTES:
        del state.low_scores[0]
        state.overflow += 1


def _labelled(state: State, data: s.LabelGiven, signal: StoredSignal, t: int, clock: int) -> None:
    if data.target != "stage":
        return
    about = min(parse_time(data.about_time), t) if data.about_time else t
    if data.value == "crisis":
        state.crisis_label_at = max(state.crisis_label_at, about)
    elif data.value in STAGES:  # a word that names no stage ends no crisis
        state.other_label_at = max(state.other_label_at, about)


_HANDLERS: Final[dict[str, Handler]] = {
    "cx.account.opened.v1": _opened,
    "cx.account.closed.v1": _closed,
    "cx.profile.updated.v1": _profiled,
    "cx.message.received.v1": _message,
    "cx.interaction.ended.v1": _interaction,
    "cx.contact.made.v1": make_contact,
    "cx.contact.answered.v1": answer_contact,
    "cx.case.opened.v1": apply_case_signal,
    "cx.case.updated.v1": apply_case_signal,
    "cx.case.resolved.v1": apply_case_signal,
    "cx.case.reopened.v1": apply_case_signal,
    "cx.usage.measured.v1": _used,
    "cx.order.placed.v1": _ordered,
    "cx.order.cancelled.v1": _counted("orders_cancelled"),
    "cx.payment.failed.v1": _counted("payment_failures"),
    "cx.product.replaced.v1": replace_product,
    "cx.credit.given.v1": _credited,
    "cx.survey.sent.v1": _counted("surveys_sent"),
    "cx.survey.answered.v1": _answered,
    "cx.consent.changed.v1": change_consent,
    "cx.label.given.v1": _labelled,
}
