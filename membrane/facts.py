"""The facts of one customer at one moment, read from the record one by one as conditions ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from membrane import cases as c
from membrane.dictionary import (
    BY_NAME,
    FEATURE_PREFIX,
    SOURCE_SILENT_FACT,
    CaseFacts,
    FactSource,
    Matters,
    Value,
)
from membrane.due import relapse_moments
from membrane.feature_changes import next_feature_change
from membrane.features import AGES, FEATURE_NAMES, born_at, features
from membrane.forecast import Forecast
from membrane.record import Case, Record, State
from membrane.settings import TenantSettings
from membrane.stages import MILLION, lifecycle, limits_of
from membrane.times import DAY
from membrane.tracker import p_crisis
from membrane.vocabulary import CASE_STATUSES, CHANNELS, STAGES, Lifecycle

LOW_SCORES_FOR: Final = 30 * DAY
COMPLAINTS_FOR: Final = 90 * DAY
_EMAIL: Final = CHANNELS.index("email")
_WAITING: Final = CASE_STATUSES.index("waiting_on_customer")
_FEATURE_INDEX: Final = {FEATURE_PREFIX + name: index for index, name in enumerate(FEATURE_NAMES)}
_EMPTY: Final = State()


class About(Struct, frozen=True):
    """What a request says: its channel, the consent for its channel and domain, and when what it asks about ended."""

    channel: str = "other"
    consent: str = "none"
    known: bool = False
    ended_at: int = 0


NOTHING: Final = About()
CONSENT: Final = "consent.state"
REQUEST_FACTS: Final = frozenset({"request.channel", "about.known", "about.age", CONSENT})
"""Facts that differ between the candidates of one request."""


class RecordFacts:
    """A `membrane.dictionary.FactSource` over a record (None: never seen) at moment t.

    `narrow` = (scope, entity) shows the facts of cases, problems, products and surveys as if only that entity were
    there: so is found which case or product a condition is true for.
    """

    def __init__(
        self,
        record: Record | None,
        t: int,
        settings: TenantSettings,
        about: About = NOTHING,
        narrow: tuple[str, str] | None = None,
        forecast: Forecast | None = None,
    ) -> None:
        self.record = record
        self.t = t
        self.settings = settings
        self.about = about
        self.narrow = narrow
        self.forecast = forecast
        self.state = record.state if record else _EMPTY
        self._open_cases: list[Case] | None = None
        self._relapsing: list[str] | None = None
        self._features: list[float] | None = None

    def get(self, name: str) -> Value:
        """The value at t; the dictionary's `unknown` where there is none."""
        read = _READ.get(name)
        if read is not None:
            return read(self)
        if name in _FEATURE_INDEX:
            return self._row[_FEATURE_INDEX[name]] if self.record else 0.0
        anchor = self.anchor(name)
        return max(self.t - anchor, 0) if anchor is not None else BY_NAME[name].unknown

    def anchor(self, name: str) -> int | None:
        """Where an age starts, a feature's among them; None when unknown."""
        if name == "about.age":
            return self.about.ended_at if self.about.known else None
        if self.record is None:
            return None
        read = _ANCHORS.get(name)
        if read is not None:
            return read(self) or None
        age = AGES.get(name.removeprefix(FEATURE_PREFIX))
        return (age.anchor(self.state) or None) if age is not None else None

    def next_change(self, name: str) -> int | None:
        """The earliest moment > t at which time alone may change the fact; ages apart, of which it is the next at which
        to look where no literal says when it matters."""
        if self.record is None:
            return None
        if name in _FEATURE_INDEX:
            return next_feature_change(self.state, self.t, name.removeprefix(FEATURE_PREFIX))
        read = _CHANGES.get(name)
        found = read(self) if read else []
        return min((moment for moment in found if moment > self.t), default=None)

    def next_move(self, matters: Matters) -> int | None:
        """The earliest moment > t at which time alone moves stage or lifecycle in a way that matters."""
        if self.record is None:
            return None
        return (self.forecast or Forecast(self.record, self.t, limits_of(self.settings))).next_move(self.t, matters)

    def cases(self) -> Sequence[CaseFacts]:
        """The open cases, as conditions see them."""
        return [
            CaseFacts(
                case.case,
                case.category_now or c.UNKNOWN,
                case.product_now,
                case.severity,
                CASE_STATUSES[case.status],
                max(self.t - case.opened_at, 0),
                case.eta is not None,
                c.missed_eta(case, self.t),
                c.recurrences(self.state, case, self.recurrence_window),
            )
            for case in self.open_cases
        ]

    @property
    def recurrence_window(self) -> int:
        """The time (ms) within which the tenant counts recurrences."""
        return self.settings.recurrences.days * DAY

    @property
    def open_cases(self) -> list[Case]:
        """The open cases, of the narrowed entity only."""
        found = self._open_cases
        if found is None:
            found = self._open_cases = [case for case in self.state.cases if case.open and self._shows(case)]
        return found

    def _shows(self, case: Case) -> bool:
        if self.narrow is None:
            return True
        scope, entity = self.narrow
        if scope == "case":
            return case.case == entity
        if scope == "problem":
            category, product, _ = entity.split("\x1f")
            return (case.category, case.product) == (category, product)
        return scope != "product" or case.product == entity

    @property
    def relapsing(self) -> list[str]:
        """Products at risk of relapse."""
        if self._relapsing is None:
            found = c.relapse_products(self.state, self.t)
            only = self.narrow[1] if self.narrow and self.narrow[0] == "product" else None
            self._relapsing = [product for product in found if only in (None, product)]
        return self._relapsing

    @property
    def low_scores(self) -> list[str]:
        """Surveys with a bad answer of the last 30 days and no service contact since."""
        only = self.narrow[1] if self.narrow and self.narrow[0] == "survey" else None
        return [
            low.survey
            for low in self.state.low_scores
            if self.t - LOW_SCORES_FOR < low.at <= self.t
            and low.at > self.state.service_contact_at
            and only in (None, low.survey)
        ]

    @property
    def _row(self) -> list[float]:
        if self._features is None:
            self._features = features(self.state, self.t)
        return self._features


class _Values(dict[str, Value]):
    """Values read once; those that are the same for all candidates are kept in `shared`, too."""

    __slots__ = ("_shared", "_source")

    def __init__(self, source: FactSource, shared: dict[str, Value]) -> None:
        self._source = source
        self._shared = shared

    def __missing__(self, name: str) -> Value:
        value = self._shared.get(name)
        if value is None:
            value = self._source.get(name)
            if name not in REQUEST_FACTS:
                self._shared[name] = value
        self[name] = value
        return value


class SharedFacts:
    """Facts read once: what is the same for all candidates is kept in `shared`."""

    get: Callable[[str], Value]

    def __init__(self, source: FactSource, shared: dict[str, Value]) -> None:
        self._source = source
        self.get = _Values(source, shared).__getitem__  # conditions do little else than read facts

    @property
    def t(self) -> int:
        return self._source.t

    def anchor(self, name: str) -> int | None:
        return self._source.anchor(name)

    def next_change(self, name: str) -> int | None:
        return self._source.next_change(name)

    def next_move(self, matters: Matters) -> int | None:
        return self._source.next_move(matters)

    def cases(self) -> Sequence[CaseFacts]:
        return self._source.cases()


Read = Callable[[RecordFacts], Value]


def _stage(f: RecordFacts) -> Value:
    return str(STAGES[f.record.tracker.stage]) if f.record else "none"


def _lifecycle(f: RecordFacts) -> Value:
    return str(lifecycle(f.state, f.record.tracker, f.t) if f.record else Lifecycle.UNKNOWN)


def _count(test: Callable[[RecordFacts, Case], bool]) -> Read:
    return lambda f: sum(test(f, case) for case in f.open_cases)


def _worst(f: RecordFacts) -> Value:
    return min((case.severity for case in f.open_cases), default=9)


def _recurrences(f: RecordFacts) -> Value:
    return max((c.recurrences(f.state, case, f.recurrence_window) for case in f.open_cases), default=0)


def _has_email(f: RecordFacts) -> Value:
    channels = f.state.profile.channels
    return channels is None or _EMAIL in channels[0]


def _churn(f: RecordFacts) -> Value:
    return f.record.tracker.churn / MILLION if f.record and f.record.tracker.churn >= 0 else 0.0


def _complained(f: RecordFacts) -> Value:
    return int(bool(f.state.complained_at) and f.state.complained_at > f.t - COMPLAINTS_FOR)


_READ: Final[dict[str, Read]] = {
    "lifecycle": _lifecycle,
    "stage.name": _stage,
    "stage.p_crisis": lambda f: p_crisis(f.record.tracker) if f.record else 0.0,
    "case.open": lambda f: len(f.open_cases),
    "case.open_without_eta": _count(lambda _, case: case.eta is None and case.status == 0),
    "case.waiting_on_customer": _count(lambda _, case: case.status == _WAITING),
    "case.worst_severity": _worst,
    "case.eta_missed": _count(lambda f, case: c.missed_eta(case, f.t)),
    "case.open_billing": _count(lambda f, case: case.category_now in f.settings.billing_categories),
    "problem.recurrences": _recurrences,
    "risk.relapse": lambda f: bool(f.relapsing),
    "risk.churn": _churn,
    "survey.low_unanswered": lambda f: len(f.low_scores),
    "about.known": lambda f: f.about.known,
    "consent.state": lambda f: f.about.consent,
    "contact.complaints_90d": _complained,
    "profile.vulnerable": lambda f: bool(f.state.profile.vulnerable and f.state.profile.vulnerable[0]),
    "profile.has_email": _has_email,
    "request.channel": lambda f: f.about.channel,
    "incident.active": lambda _: False,
    SOURCE_SILENT_FACT: lambda _: False,
}

_ANCHORS: Final[dict[str, Callable[[RecordFacts], int]]] = {
    "stage.age": lambda f: f.record.tracker.since if f.record else 0,
    "episode.age": lambda f: f.record.tracker.episode_at if f.record else 0,
    "closed.age": lambda f: f.state.closed_at,
    "customer.tenure": lambda f: born_at(f.state),
}


def _staged(f: RecordFacts) -> list[int]:
    return _moved(f, lambda before, after: before[0] != after[0])


def _moved(f: RecordFacts, matters: Matters) -> list[int]:
    moment = f.next_move(matters)
    return [] if moment is None else [moment]


_CHANGES: Final[dict[str, Callable[[RecordFacts], list[int]]]] = {
    "lifecycle": lambda f: _moved(f, lambda before, after: before[1] != after[1]),
    "stage.name": _staged,
    "stage.p_crisis": _staged,
    "risk.relapse": lambda f: relapse_moments(f.state) if f.relapsing else [],
    "case.eta_missed": lambda f: [case.eta + 1 for case in f.open_cases if case.eta is not None],
    "survey.low_unanswered": lambda f: [low.at + LOW_SCORES_FOR for low in f.state.low_scores],
    "contact.complaints_90d": lambda f: [f.state.complained_at + COMPLAINTS_FOR] if f.state.complained_at else [],
}
