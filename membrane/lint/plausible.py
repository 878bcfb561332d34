"""Which facts go together: what holds of every customer, so that no finding rests on one who cannot be.

Each law speaks only of facts that are named; what is left out of `values` breaks none. Those of time (`ages`) are laws
of their own: a condition that only they keep from holding names a moment that never comes. They hold but for the time
until the next tick, when a late signal has set a due time that waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from membrane.cases import KEPT_CASES
from membrane.dictionary import BY_NAME, FEATURE_PREFIX, Value
from membrane.stages import CRISIS_RECURRENCES, NEW_FOR, RECOVERING_FOR
from membrane.vocabulary import Lifecycle, Stage

Values = Mapping[str, Value]

NOT_OF_THE_RECORD: Final = frozenset(
    {"about.known", "about.age", "consent.state", "request.channel", "incident.active", "data.service_source_silent"}
)
"""Facts that may be known of a customer never seen."""
_STAGE: Final = "stage.name"
_COUNTS: Final = ("case.open_without_eta", "case.waiting_on_customer", "case.eta_missed")
"""Counts of open cases of which no case is in two."""
_OPEN_ONLY: Final = (*_COUNTS, "case.open_billing", "problem.recurrences")
_WORST: Final = "case.worst_severity"
_NO_CASE: Final = 9


def plausible(values: Values, *, ages: bool = True) -> bool:
    """Whether there may be a customer with these facts; without `ages`, whatever their ages."""
    return all(law(values) for law in _LAWS) and (not ages or all(law(values) for law in _LAWS_OF_TIME))


def completed(values: Values) -> dict[str, Value]:
    """The facts with what they imply, of a customer who is known and of whom nothing else is to be told."""
    never_seen = values.get(_STAGE) == "none" or values.get("lifecycle") == Lifecycle.UNKNOWN
    implied: dict[str, Value] = {
        "lifecycle": str(Lifecycle.UNKNOWN if never_seen else Lifecycle.ACTIVE),
        _STAGE: "none" if never_seen else str(Stage.CRISIS if _forces_crisis(values) else Stage.STEADY),
    }
    if _has_cases(values):
        counted = sum(int(values.get(name, 0)) for name in _COUNTS)
        implied["case.open"] = max(counted, int(values.get("case.open_billing", 0)), 1)
        implied[_WORST] = 3
    whole = {**implied, **values}
    if whole[_STAGE] == Stage.CRISIS:
        whole.setdefault("stage.p_crisis", 1.0)
    return whole


def _has_cases(values: Values) -> bool:
    counted = any(values.get(name, 0) for name in ("case.open", *_OPEN_ONLY))
    return counted or values.get(_WORST, _NO_CASE) != _NO_CASE


def _forces_crisis(values: Values) -> bool:
    return values.get(_WORST) == 1 or int(values.get("problem.recurrences", 0)) >= CRISIS_RECURRENCES


def _never_seen(values: Values) -> bool:
    stage, lifecycle = values.get(_STAGE), values.get("lifecycle")
    strange = {stage == "none"} if stage is not None else set()
    strange |= {lifecycle == Lifecycle.UNKNOWN} if lifecycle is not None else set()
    if strange != {True}:
        return len(strange) < 2
    told = values.keys() - NOT_OF_THE_RECORD - {_STAGE, "lifecycle"}
    return all(values[name] == _unknown(name) for name in told if not _is_age(name))


def _unknown(name: str) -> Value:
    return BY_NAME[name].unknown if name in BY_NAME else 0.0


def _is_age(name: str) -> bool:
    return not name.startswith(FEATURE_PREFIX) and BY_NAME[name].type == "duration"


def _cases(values: Values) -> bool:
    if "case.open" not in values:
        return True
    count = int(values["case.open"])
    worst = values.get(_WORST)
    return (
        sum(int(values.get(name, 0)) for name in _COUNTS) <= count <= KEPT_CASES
        and int(values.get("case.open_billing", 0)) <= count
        and (count > 0 or not values.get("problem.recurrences", 0))
        and (worst is None or (worst == _NO_CASE) == (count == 0))
    )


def _worst(values: Values) -> bool:
    """No case is open where there is no worst one."""
    return values.get(_WORST) != _NO_CASE or not any(values.get(name, 0) for name in _OPEN_ONLY)


def _crisis(values: Values) -> bool:
    stage = values.get(_STAGE)
    if stage is None:
        return True
    if stage != Stage.CRISIS:
        return not _forces_crisis(values)
    return values.get("stage.p_crisis", 1.0) == 1.0


def _dormant(values: Values) -> bool:
    """Nobody is dormant in a crisis or with an open case."""
    if values.get("lifecycle") != Lifecycle.DORMANT:
        return True
    return values.get(_STAGE) != Stage.CRISIS and not _has_cases(values)


def _ages_of_the_never_seen(values: Values) -> bool:
    if values.get(_STAGE) != "none" and values.get("lifecycle") != Lifecycle.UNKNOWN:
        return True
    told = values.keys() - NOT_OF_THE_RECORD - {_STAGE, "lifecycle"}
    return not any(values[name] for name in told if _is_age(name))


def _recovering(values: Values) -> bool:
    return values.get(_STAGE) != Stage.RECOVERING or int(values.get("stage.age", 0)) < RECOVERING_FOR


def _tenure(values: Values) -> bool:
    tenure = values.get("customer.tenure")
    if tenure is None:
        return True
    match values.get("lifecycle"):
        case Lifecycle.NEW:
            return int(tenure) < NEW_FOR
        case Lifecycle.ACTIVE | Lifecycle.DORMANT:
            return int(tenure) >= NEW_FOR
    return True


def _episode(values: Values) -> bool:
    """An episode runs in crisis and while recovering from it, and began no later than that."""
    stage, age = values.get(_STAGE), values.get("episode.age")
    if stage is None or age is None:
        return True
    return int(age) >= int(values.get("stage.age", 0)) if stage in {Stage.CRISIS, Stage.RECOVERING} else not age


def _about(values: Values) -> bool:
    return values.get("about.known") is not False or not values.get("about.age", 0)


_Law = Callable[[Values], bool]
_LAWS: Final[tuple[_Law, ...]] = (_never_seen, _cases, _worst, _crisis, _dormant)
_LAWS_OF_TIME: Final[tuple[_Law, ...]] = (_ages_of_the_never_seen, _recovering, _tenure, _episode, _about)
