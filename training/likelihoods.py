"""What a simulated signal, or its absence, says of the latent stage: the odds and densities of `training.rates`.

Arrays are by stage in the order of STAGES, (6,) or (6, 2), the second column for customers on a fragile product. Times
are hours, ages days, unless a name says otherwise.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import gamma, gammaincc, log_ndtr, ndtr

from membrane.signals import SCORE_RANGES
from membrane.times import DAY, HOUR, MINUTE
from membrane.vocabulary import STAGES
from training import rates

Floats = npt.NDArray[np.float64]

_STAGES: Final = len(STAGES)
_TINY: Final = 1e-300
_MONDAY: Final = 72  # 1970-01-01 was a Thursday
_TONE_STEP: Final = 0.01  # what sentiment is rounded to
_SCORE_NOISE: Final = 0.15
_USAGE_NOISE: Final = 0.15
_RESOLUTION_NOISE: Final = 0.6
_THANKS: Final = (0.3, 0.8)  # the range of tones of a kind word after a crisis

# ---- how long a stage lasts, and what follows ----------------------------------------------------------------------
SHAPE: Final = np.array(rates.DWELL_SHAPE)[:, None] * np.ones(2)
SCALE: Final = np.array(
    [
        [mean / shape, mean / shape * (rates.FRAGILE_DWELL if stage in (rates.STEADY, rates.THRIVING) else 1.0)]
        for stage, (mean, shape) in enumerate(zip(rates.DWELL_MEAN_DAYS, rates.DWELL_SHAPE, strict=True))
    ]
)
FOLLOWS: Final = np.zeros((_STAGES, _STAGES))  # [before, after]
for _before, (_after, _odds) in rates.NEXT_STAGE.items():
    FOLLOWS[_before, _after] = _odds
LEAVING: Final = np.array(rates.CHURN_PER_DAY)


def dwell_survival(stage: npt.NDArray[np.int64], age: Floats) -> Floats:
    """(n, 2) the share of stages (n,) that last longer than the ages (n,) in days."""
    found: Floats = gammaincc(SHAPE[stage], age[:, None] / SCALE[stage])
    return np.maximum(found, _TINY)


def dwell_hazard(stage: npt.NDArray[np.int64], age: Floats) -> Floats:
    """(n, 2) the rate per day at which stages (n,) end at ages (n,) in days, if they have lasted so long."""
    shape, scale = SHAPE[stage], SCALE[stage]
    density = age[:, None] ** (shape - 1) * np.exp(-age[:, None] / scale) / (gamma(shape) * scale**shape)
    return np.asarray(density / dwell_survival(stage, age))


# ---- arrivals ------------------------------------------------------------------------------------------------------
KIND: Final = {kind: index for index, kind in enumerate(rates.ARRIVALS)}
RATE: Final = rates.RATES[:_STAGES]  # (6, kinds) per hour of weight 1
BY_PROFILE: Final = np.stack([RATE[:, profile == rates.PROFILE].sum(axis=1) for profile in range(3)], axis=1)
OFFICE: Final = rates.OFFICE
SELLING: Final = RATE[:, [KIND["marketing"], KIND["sales"]]].sum(axis=1)
_WEEK: Final = np.concatenate((np.zeros((3, 1)), np.cumsum(rates.HOURS_OF_WEEK, axis=1)), axis=1)


def weight_at(t: int, kind: str) -> float:
    """The weight of the hour of the week of t (epoch ms) for arrivals of a kind."""
    return float(rates.HOURS_OF_WEEK[rates.PROFILE[KIND[kind]], (t // HOUR + _MONDAY) % 168])


def exposure(begin: int, end: int) -> Floats:
    """(profiles,) hours from `begin` to `end` (epoch ms), each by the weight of its hour of the week."""
    return _passed(end) - _passed(begin)


def _passed(t: int) -> Floats:
    hours = t / HOUR + _MONDAY
    weeks, rest = divmod(hours, 168.0)
    hour = min(int(rest), 167)
    inside = _WEEK[:, hour] + (rest - hour) * rates.HOURS_OF_WEEK[:, hour]
    return np.asarray(weeks * _WEEK[:, -1] + inside)


# ---- what comes later or never: chance p of an exponential delay -----------------------------------------------------
def still_out(chance: Floats, mean_ms: float, begin_ms: int, end_ms: int) -> Floats:
    """How probable it is that nothing came between two moments after the cause, if nothing had come before."""
    return np.asarray((1 - chance * _came(mean_ms, end_ms)) / (1 - chance * _came(mean_ms, begin_ms)))


def comes_now(chance: Floats, mean_ms: float, since_ms: int) -> Floats:
    """The rate per hour at which it comes so many ms after the cause, if it has not come yet."""
    share = _came(mean_ms, since_ms)
    return np.asarray(chance * (1 - share) / (mean_ms / HOUR) / (1 - chance * share))


def _came(mean_ms: float, since_ms: int) -> float:
    """The share of delays (of at least a minute) that are over after so many ms."""
    return 1.0 - math.exp(-max(0, since_ms - MINUTE) / mean_ms)


# ---- what they say ---------------------------------------------------------------------------------------------------
_TONE: Final = np.array(rates.SENTIMENT)
_LOG_FACTOR: Final = np.log(rates.USAGE_FACTOR)
_CHANNEL: Final[dict[str, Floats]] = {
    channel: np.array([odds[index] for odds in rates.MESSAGE_CHANNEL_ODDS])
    for index, channel in enumerate(rates.MESSAGE_CHANNELS)
}
_OUTCOME: Final[dict[str, Floats]] = {
    outcome: np.array([odds[index] for odds in rates.OUTCOME_ODDS]) for index, outcome in enumerate(rates.OUTCOMES)
}
SATISFIED: Final = np.array(rates.SATISFACTION)
ANSWERED: Final = np.array(rates.ANSWERED)
SURVEY_ANSWERED: Final = np.array(rates.SURVEY_ANSWERED)


def message(channel: str, tone: float) -> Floats:
    """(6,) of a message's channel and tone."""
    mean, noise = _TONE.T
    edges = np.array([tone - _TONE_STEP / 2, tone + _TONE_STEP / 2])
    if tone <= -1:
        edges[0] = -np.inf
    if tone >= 1:
        edges[1] = np.inf
    low, high = (edges[:, None] - mean) / noise
    return np.asarray(_CHANNEL[channel] * _between(low, high))


def thanks(channel: str, tone: float) -> float:
    """The same of the kind word after a crisis."""
    low, high = _THANKS
    return _TONE_STEP / (high - low) if channel == "email" and low <= tone <= high else 0.0


def outcome(name: str) -> Floats:
    """(6,) of the outcome of a selling contact that is answered."""
    return _OUTCOME[name]


def score(instrument: str, given: float) -> Floats:
    """(6,) of the score of a survey that is answered."""
    low, high = SCORE_RANGES[instrument]
    edges = (np.array([given - 0.5, given + 0.5]) - low) / (high - low)
    if given <= low:
        edges[0] = -np.inf
    if given >= high:
        edges[1] = np.inf
    below, above = (edges[:, None] - SATISFIED) / _SCORE_NOISE
    return _between(below, above)


def usage(value: float, levels: Floats) -> Floats:
    """(6, levels) of a measured value, by the logarithm of the customer's usual level (density up to a factor)."""
    off = np.log(max(value, 0.05)) - _LOG_FACTOR[:, None] - levels
    return np.asarray(np.exp(-0.5 * (off / _USAGE_NOISE) ** 2))


def _between(low: Floats, high: Floats) -> Floats:
    """The share of a standard normal distribution between two bounds, exact in either tail."""
    swap = low > 0
    low, high = np.where(swap, -high, low), np.where(swap, -low, high)
    return np.asarray(np.maximum(ndtr(high) - ndtr(low), _TINY))


# ---- their problems --------------------------------------------------------------------------------------------------
_SEVERITY: Final = np.array(rates.SEVERITY_ODDS)
_TIPPING: Final = (0.7, 0.3, 0.0, 0.0)
_RESOLUTION: Final = dict(zip(rates.RESOLUTIONS, rates.RESOLUTION_ODDS, strict=True))
_CURE: Final = dict(zip(rates.RESOLUTIONS[:3], (0.6, 0.2, 0.2), strict=True))
REOPENING: Final = np.array([0.04, 0.12])
USUAL_SEVERITY: Final = 3


def severity(grade: int) -> Floats:
    """(6,) of the severity of a case that is reported in a stage."""
    return np.asarray(_SEVERITY[:, grade - 1])


def tipping(grade: int) -> float:
    """Of the severity of the case that begins a crisis."""
    return _TIPPING[grade - 1]


def category(name: str, *, replaced: bool) -> Floats:
    """(2,) of a case's category, for customers on a sound product and on a fragile one (that was replaced or not)."""
    even = 1 / len(rates.CATEGORIES)
    again = 0.0 if replaced else 0.8
    return np.array([even, (1 - again) * even + again * (name == rates.RELAPSING_CATEGORY)])


def resolution(code: str) -> float:
    """Of the code with which a case is resolved when its time has come."""
    return _RESOLUTION[code]


def cure(code: str) -> float:
    """Of the code with which the end of a crisis resolves a case."""
    return _CURE.get(code, 0.0)


def case_survival(grade: int, begin_ms: int, end_ms: int, *, slow: bool) -> float:
    """How probable it is that a case is not resolved between two ages, if it was not before; `slow`: it was reported
    while the relationship was strained."""
    begin, end = (_case_score(grade, age, slow=slow) for age in (begin_ms, end_ms))
    return math.exp(log_ndtr(-end) - log_ndtr(-begin))


def case_hazard(grade: int, age_ms: int, *, slow: bool) -> float:
    """The rate per hour at which a case of that age is resolved."""
    z = _case_score(grade, age_ms, slow=slow)
    density = math.exp(-0.5 * z**2 - log_ndtr(-z)) / math.sqrt(2 * math.pi)
    return density / (_RESOLUTION_NOISE * max(age_ms, 1) / HOUR)


def _case_score(grade: int, age_ms: int, *, slow: bool) -> float:
    """How many deviations the logarithm of a case's age lies above its mean at resolution."""
    median = rates.SOLVED_WITHIN_MS[grade - 1] * (rates.STRAINED_DELAY if slow else 1.0)
    return math.log(max(age_ms, 1) / median) / _RESOLUTION_NOISE


# ---- mean delays in ms, and what follows a crisis with which chance -------------------------------------------------
THANKS_COME: Final = (np.array([0.6]), 3.0 * HOUR)
CREDIT_COMES: Final = (np.array([0.3]), 1.0 * DAY)
ANSWER_DELAY_MS: Final = 5.0 * HOUR
SURVEY_DELAY_MS: Final = 12.0 * HOUR
REOPENING_DELAY_MS: Final = 2.0 * DAY
