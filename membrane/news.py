"""Which signals are news: those that change the row of features (law 8).

Rows before and after are not compared whole, for that would cost more than the fold: only what a type can touch is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from membrane.features import AGES, DERIVED, Reading, born_at, case_features
from membrane.record import State
from membrane.times import DAY

FROM_CUSTOMER: Final = frozenset(
    f"cx.{name}.v1"
    for name in (
        "message.received", "interaction.ended", "contact.answered", "case.opened", "case.reopened", "usage.measured",
        "order.placed", "survey.answered",
    )
)  # fmt: skip
"""What counts as a sign of life from the customer, for dormancy."""
_COUNTED: Final = frozenset(
    f"cx.{name}.v1"
    for name in (
        "message.received", "contact.made", "contact.answered", "case.opened", "case.resolved", "case.reopened",
        "order.placed", "order.cancelled", "payment.failed", "credit.given", "survey.sent",
    )
)  # fmt: skip
_SILENCE, _TENURE = AGES["silence"], AGES["tenure"]

Read = Callable[[State, int], Sequence[float]]
_DERIVE: Final = {feature.name: derive for feature, derive in DERIVED}


def is_surely_news(state: State, kind: str, t: int, clock: int) -> bool:
    """Whether it is plain beforehand that a signal changes the features: a count of 30 days, or the silence."""
    if kind in _COUNTED and t // DAY > clock // DAY - 30:
        return True
    return kind in FROM_CUSTOMER and t > state.inbound_at and clock - t < _SILENCE.cap * DAY


def touched(state: State, kind: str, t: int, clock: int) -> tuple[Sequence[float], dict[int, int]]:
    """All that a signal of this type and event time can change in the row at `clock`: the features it feeds, and the
    sums of its day. The signal is news if this differs before and after it."""
    sums = state.tiles_1d.get(t // DAY) if t // DAY > clock // DAY - 30 else None
    return _TOUCHED.get(kind, _lifetime)(state, clock), dict(sums) if sums else {}


def _lifetime(state: State, t: int) -> tuple[float, ...]:
    """Where silence and tenure start, as far as their caps let it show: any type can change them."""
    return max(state.inbound_at, t - _SILENCE.cap * DAY), max(born_at(state), t - _TENURE.cap * DAY)


def _derived(*names: str) -> Read:
    derive = [_DERIVE[name] for name in names]

    def read(state: State, t: int) -> Sequence[float]:
        reading = Reading(state, t, {}, [], [])
        return [*_lifetime(state, t), *(feature(reading) for feature in derive)]

    return read


def _cases(state: State, t: int) -> Sequence[float]:
    return (*case_features(state, t), *_lifetime(state, t))


_TOUCHED: Final[dict[str, Read]] = {
    "cx.message.received.v1": _derived("negative_message_age"),
    "cx.contact.answered.v1": _derived("complaint_age"),
    "cx.case.opened.v1": _cases,
    "cx.case.updated.v1": _cases,
    "cx.case.resolved.v1": _cases,
    "cx.case.reopened.v1": _cases,
    "cx.usage.measured.v1": _derived("usage_ratio_7d_30d"),
    "cx.order.placed.v1": _derived("order_recency", "orders_total", "order_value_mean"),
    "cx.product.replaced.v1": _cases,
    "cx.survey.answered.v1": _derived("nps_last", "nps_age", "csat_last", "csat_age", "ces_last", "ces_age"),
}
