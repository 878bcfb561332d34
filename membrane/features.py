"""The feature registry and the one code that computes a row, for stream, training and tests alike.

A row is a function of the state and a moment t: windowed sums from tiles, ages t - anchor, counts of open cases. It
never depends on the stage tracker. Unknown values have a stated neutral value, so a row has no holes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from membrane.cases import missed_eta, recurrences
from membrane.record import Case, State, Tiles
from membrane.tiles import LEVELS, MEASURE, MEASURES, WINDOWS
from membrane.times import DAY, HOUR
from membrane.vocabulary import CHANNELS, DOMAINS

AGE_CAP_DAYS: Final = 365.0
"""Ages of things that never happened, and of older ones, in days."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A named number: `measure` is the tile measure it sums over `window`, or how it is derived."""

    name: str
    unit: str
    window: str
    measure: str


def _sums(window: str, *measures: tuple[str, str, str]) -> tuple[Feature, ...]:
    return tuple(Feature(f"{name}_{window}", unit, window, measure) for name, unit, measure in measures)


_BASICS: Final = (("contacts_in", "contacts", "in"), ("contacts_out", "contacts", "out"))
_NEGATIVE: Final = ("negative_messages", "messages", "negative")

SUMMED: Final = (
    *_sums("1h", *_BASICS),
    *_sums("24h", *_BASICS, _NEGATIVE),
    *_sums("7d", *_BASICS, _NEGATIVE, ("cases_opened", "cases", "cases_opened")),
    *_sums("7d", *((f"out_{domain}", "contacts", f"out_{domain}") for domain in DOMAINS[:6])),
    *_sums(
        "30d", *_BASICS, _NEGATIVE,
        ("cases_opened", "cases", "cases_opened"),
        ("cases_reopened", "cases", "cases_reopened"),
        ("cases_resolved", "cases", "cases_resolved"),
        ("severe_cases_opened", "cases", "cases_severe"),
        ("answers_positive", "answers", "answers_positive"),
        ("answers_ignored", "answers", "answers_ignored"),
        ("unsubscribes", "answers", "opt_outs"),
        ("orders", "orders", "orders"),
        ("orders_cancelled", "orders", "orders_cancelled"),
        ("payment_failures", "payments", "payment_failures"),
        ("unresolved_interactions", "interactions", "unresolved"),
        ("transfers", "transfers", "transfers"),
        ("machine_handled", "interactions", "machine_handled"),
        ("surveys_sent", "surveys", "surveys_sent"),
        ("low_scores", "answers", "surveys_low"),
        ("credits", "credits", "credits"),
    ),
    *_sums("30d", *((f"in_{channel}", "contacts", f"in_{channel}") for channel in CHANNELS)),
    *_sums("30d", *((f"out_{channel}", "contacts", f"out_{channel}") for channel in CHANNELS)),
    *_sums("30d", *((f"out_{domain}", "contacts", f"out_{domain}") for domain in DOMAINS[:6])),
)  # fmt: skip

Derive = Callable[["Reading"], float]


@dataclass(slots=True)
class Reading:
    """What a derived feature is computed from."""

    state: State
    t: int
    tone: dict[str, tuple[int, int]]  # window -> (sum in 1e-4, messages)
    row: list[float]
    open_cases: list[Case]


def _mean_tone(window: str) -> Derive:
    def derive(r: Reading) -> float:
        total, count = r.tone[window]
        return total / count / 10_000 if count else 0.0

    return derive


@dataclass(frozen=True, slots=True)
class Age:
    """A derived feature that time alone moves, with every millisecond: (t - anchor) / unit_ms, at most `cap`; `unknown`
    where there is no anchor (0)."""

    anchor: Callable[[State], int]
    unit_ms: int = DAY
    cap: float = AGE_CAP_DAYS
    unknown: float = AGE_CAP_DAYS

    def __call__(self, r: Reading) -> float:
        at = self.anchor(r.state)
        if not at:
            return self.unknown
        age = (r.t - at) / self.unit_ms if r.t > at else 0.0
        return min(self.cap, age)


def _score(read: Callable[[State], tuple[int, int] | None], neutral: float) -> Derive:
    def derive(r: Reading) -> float:
        known = read(r.state)
        return known[1] / 100 if known else neutral

    return derive


def _answered_at(read: Callable[[State], tuple[int, int] | None]) -> Callable[[State], int]:
    def anchor(state: State) -> int:
        known = read(state)
        return known[0] if known else 0

    return anchor


def _oldest_open(state: State) -> int:
    return min((max(case.reported_at, case.opened_at) for case in state.cases if case.open), default=0)


def _promises_missed(r: Reading) -> float:
    """Promised times that passed unkept in the last 30 days (the latest promise of each case)."""
    return float(
        sum(
            case.eta is not None and r.t - 30 * DAY < case.eta < r.t and (case.open or case.resolved_at > case.eta)
            for case in r.state.cases
        )
    )


def _response_rate(r: Reading) -> float:
    sent = r.row[_INDEX["contacts_out_30d"]]
    return min(r.row[_INDEX["answers_positive_30d"]] / sent, 1.0) if sent else 0.0


def open_cases(state: State) -> list[Case]:
    """The cases that are open."""
    return [case for case in state.cases if case.open]


def usage_ratio(state: State, t: int) -> float | None:
    """The lowest, over metrics, of mean value in 7 d over mean value in 30 d; None where no metric has one value in
    7 d and two in 30 d (or their mean is not positive)."""
    if not state.metrics:
        return None
    today = t // DAY
    ratios = []
    for metric in state.metrics:
        week = month = week_count = month_count = 0
        for day, (total, count) in metric.days.items():
            if today - 30 < day <= today:
                month, month_count = month + total, month_count + count
                if day > today - 7:
                    week, week_count = week + total, week_count + count
        if week_count >= 1 and month_count >= 2 and month > 0:
            ratios.append((week / week_count) / (month / month_count))
    return min(ratios, default=None)


def _usage(r: Reading) -> float:
    ratio = usage_ratio(r.state, r.t)
    return 1.0 if ratio is None else min(max(ratio, 0.0), 10.0)


def born_at(state: State) -> int:
    """Where the relationship starts: account.opened, else the first signal."""
    return state.opened_at or state.first_at


def mean_order(state: State) -> float:
    """The mean value of the orders whose value is known in the tenant's currency."""
    known = state.orders - state.foreign_orders
    return state.order_value / known / 100 if known else 0.0


def _mean_order(r: Reading) -> float:
    return mean_order(r.state)


DERIVED: Final[tuple[tuple[Feature, Derive], ...]] = (
    (Feature("tone_mean_24h", "tone", "24h", "tone"), _mean_tone("24h")),
    (Feature("tone_mean_7d", "tone", "7d", "tone"), _mean_tone("7d")),
    (Feature("tone_mean_30d", "tone", "30d", "tone"), _mean_tone("30d")),
    (Feature("tone_trend", "tone", "7d", "tone_mean_7d - tone_mean_30d, 0 if the week is silent"),
     lambda r: _mean_tone("7d")(r) - _mean_tone("30d")(r) if r.tone["7d"][1] else 0.0),
    (Feature("toned_messages_30d", "messages", "30d", "tone"), lambda r: float(r.tone["30d"][1])),
    (Feature("open_cases", "cases", "now", "open cases"), lambda r: float(len(r.open_cases))),
    (Feature("open_case_severity", "5 - severity", "now", "worst open case, 0 if none"),
     lambda r: float(max((5 - c.severity for c in r.open_cases), default=0))),
    (Feature("open_case_age_hours", "hours", "now", "oldest open case"),
     Age(_oldest_open, HOUR, cap=inf, unknown=0.0)),
    (Feature("cases_waiting_on_customer", "cases", "now", "open cases that wait for the customer"),
     lambda r: float(sum(c.status == 1 for c in r.open_cases))),
    (Feature("recurrences_30d", "reports", "30d", "greatest recurrences among open cases"),
     lambda r: float(max((recurrences(r.state, c) for c in r.open_cases), default=0))),
    (Feature("promises_missed_30d", "promises", "30d", "etas that passed unkept"), _promises_missed),
    (Feature("etas_missed_open", "cases", "now", "open cases past their eta"),
     lambda r: float(sum(missed_eta(c, r.t) for c in r.open_cases))),
    (Feature("response_rate_30d", "share", "30d", "positive answers / contacts out"), _response_rate),
    (Feature("usage_ratio_7d_30d", "ratio", "30d", "mean value 7 d / mean value 30 d, 1 if unknown"), _usage),
    (Feature("order_recency", "days", "lifetime", "age of the last order"), Age(lambda s: s.order_at)),
    (Feature("orders_total", "orders", "lifetime", "orders"), lambda r: float(r.state.orders)),
    (Feature("order_value_30d", "money", "30d", "order_value"), lambda r: r.row[-1] / 100),
    (Feature("order_value_mean", "money", "lifetime", "order value / orders"), _mean_order),
    (Feature("nps_last", "0..10", "lifetime", "last score, 8 if none"), _score(lambda s: s.nps, 8.0)),
    (Feature("nps_age", "days", "lifetime", "age of the last NPS"), Age(_answered_at(lambda s: s.nps))),
    (Feature("csat_last", "1..5", "lifetime", "last score, 4 if none"), _score(lambda s: s.csat, 4.0)),
    (Feature("csat_age", "days", "lifetime", "age of the last CSAT"), Age(_answered_at(lambda s: s.csat))),
    (Feature("ces_last", "1..7", "lifetime", "last score, 5 if none"), _score(lambda s: s.ces, 5.0)),
    (Feature("ces_age", "days", "lifetime", "age of the last CES"), Age(_answered_at(lambda s: s.ces))),
    (Feature("complaint_age", "days", "lifetime", "age of the last complaint of our messages"),
     Age(lambda s: s.complained_at)),
    (Feature("negative_message_age", "days", "lifetime", "age of the last message <= -0.3"),
     Age(lambda s: s.negative_at)),
    (Feature("silence", "days", "lifetime", "age of the last sign of life"), Age(lambda s: s.inbound_at)),
    (Feature("tenure", "days", "lifetime", "age of the relationship, at most 3650"),
     Age(born_at, cap=3650.0, unknown=3650.0)),
)  # fmt: skip

AGES: Final = {feature.name: derive for feature, derive in DERIVED if isinstance(derive, Age)}
"""The features that are ages, by name."""
REGISTRY: Final = (*SUMMED, *(feature for feature, _ in DERIVED))
FEATURE_NAMES: Final = tuple(feature.name for feature in REGISTRY)
_INDEX: Final = {name: index for index, name in enumerate(FEATURE_NAMES)}
_FIRST_DERIVED: Final = len(SUMMED)
_WIDTH: Final = len(REGISTRY)
_NOWHERE: Final = _WIDTH  # sums that no feature shows
_ORDER_VALUE: Final = _WIDTH + 1
_TONE: Final = {
    window: (_WIDTH + 2 + 2 * index, _WIDTH + 3 + 2 * index) for index, window in enumerate(("24h", "7d", "30d"))
}
_TONE_SUMS: Final = tuple(_TONE.values())
_BLANK: Final = [0] * (_WIDTH + 8)


def _slots(window: str) -> list[int]:
    slots = [_NOWHERE] * len(MEASURES)
    for feature in SUMMED:
        if feature.window == window:
            slots[MEASURE[feature.measure]] = _INDEX[feature.name]
    if window in _TONE:
        slots[MEASURE["tone_sum"]], slots[MEASURE["tone_count"]] = _TONE[window]
    if window == "30d":
        slots[MEASURE["order_value"]] = _ORDER_VALUE
    return slots


_SLOTS: Final = {window: _slots(window) for window in WINDOWS}


def features(state: State, t: int) -> list[float]:
    """The row at t, in the order of REGISTRY: finite numbers (sums are whole ones)."""
    sums = _BLANK.copy()
    if state.tiles_5m:
        _window(state.tiles_5m, t, "1h", sums)
    if state.tiles_1h:
        _window(state.tiles_1h, t, "24h", sums)
    _week_and_month(state.tiles_1d, t, sums)
    row: list[float] = [*sums[:_FIRST_DERIVED]]
    row += _derived(state, t, sums)
    return row


def _derived(state: State, t: int, sums: list[int]) -> tuple[float, ...]:
    """DERIVED at once: the same numbers (a test compares them), in a third of the time."""
    tones = [(sums[total], sums[count]) for total, count in _TONE_SUMS]
    day, week, month = [total / count / 10_000 if count else 0.0 for total, count in tones]
    sent = sums[_INDEX["contacts_out_30d"]]
    ratio = usage_ratio(state, t) if state.metrics else None
    return (
        day,
        week,
        month,
        week - month if tones[1][1] else 0.0,
        float(tones[2][1]),
        *(case_features(state, t) if state.cases else _NO_CASES),
        min(sums[_INDEX["answers_positive_30d"]] / sent, 1.0) if sent else 0.0,
        1.0 if ratio is None else min(max(ratio, 0.0), 10.0),
        _days(t, state.order_at),
        float(state.orders),
        sums[_ORDER_VALUE] / 100,
        mean_order(state),
        *_answer(t, state.nps, 8.0),
        *_answer(t, state.csat, 4.0),
        *_answer(t, state.ces, 5.0),
        _days(t, state.complained_at),
        _days(t, state.negative_at),
        _days(t, state.inbound_at),
        _days(t, state.opened_at or state.first_at, 3650.0),
    )


_NO_CASES: Final = (0.0,) * 7


def case_features(state: State, t: int) -> tuple[float, ...]:
    """The seven features about cases, in the order of DERIVED, in one pass."""
    count = worst = waiting = recurred = missed = broken = oldest = 0
    for case in state.cases:
        late = case.eta is not None and case.eta < t
        if case.open:
            count += 1
            worst = max(worst, 5 - case.severity)
            waiting += case.status == 1
            recurred = max(recurred, recurrences(state, case))
            missed += late and case.status == 0
            since = max(case.reported_at, case.opened_at)
            oldest = min(oldest, since) if oldest else since
            broken += late and t - 30 * DAY < (case.eta or 0)
        elif late:
            eta = case.eta or 0
            broken += t - 30 * DAY < eta < case.resolved_at
    age = (t - oldest) / HOUR if 0 < oldest < t else 0.0
    return float(count), float(worst), age, float(waiting), float(recurred), float(broken), float(missed)


def _days(t: int, anchor: int, cap: float = AGE_CAP_DAYS) -> float:
    """An `Age` in days."""
    if not anchor:
        return cap
    return min(cap, (t - anchor) / DAY) if t > anchor else 0.0


def _answer(t: int, known: tuple[int, int] | None, neutral: float) -> tuple[float, float]:
    """The last score and its age."""
    return (known[1] / 100, _days(t, known[0])) if known else (neutral, AGE_CAP_DAYS)


def _window(tiles: Tiles, t: int, window: str, sums: list[int]) -> None:
    level, count = WINDOWS[window]
    last = t // LEVELS[level][0]
    first = last - count
    slots = _SLOTS[window]
    for tile, amounts in tiles.items():
        if first < tile <= last:
            for measure, amount in amounts.items():
                sums[slots[measure]] += amount


def _week_and_month(tiles: Tiles, t: int, sums: list[int]) -> None:
    """Both windows of days in one pass."""
    last = t // DAY
    week, month = _SLOTS["7d"], _SLOTS["30d"]
    for tile, amounts in tiles.items():
        if last - 30 < tile <= last:
            in_week = tile > last - 7
            for measure, amount in amounts.items():
                sums[month[measure]] += amount
                if in_week:
                    sums[week[measure]] += amount


def fingerprint() -> str:
    """SHA-256 over names, units, windows and measures in order: a model fits exactly one registry."""
    text = "\n".join(f"{f.name}|{f.unit}|{f.window}|{f.measure}" for f in REGISTRY)
    return hashlib.sha256(text.encode()).hexdigest()
