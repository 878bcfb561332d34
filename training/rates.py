"""What the simulated customers do: rates, channels, moods and odds by latent stage.

Every table is in the order of `membrane.vocabulary.STAGES` (crisis, recovering, strained, at_risk, thriving, steady).
The numbers are invented so that stages differ in the way practitioners describe; they are estimates of nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from membrane.times import HOUR
from membrane.vocabulary import STAGES

CRISIS, RECOVERING, STRAINED, AT_RISK, THRIVING, STEADY = range(len(STAGES))
ABSENT: Final = len(STAGES)  # not a customer yet, or no more

# ---- the latent semi-Markov process -------------------------------------------------------------------------------
INITIAL_SHARE: Final = (0.02, 0.06, 0.08, 0.10, 0.20, 0.54)
DWELL_MEAN_DAYS: Final = (3.5, 14.0, 8.0, 25.0, 45.0, 50.0)
DWELL_SHAPE: Final = (1.6, 4.0, 1.5, 1.5, 1.2, 1.0)  # of a gamma distribution; 1 is memoryless
NEXT_STAGE: Final[dict[int, tuple[tuple[int, ...], tuple[float, ...]]]] = {
    CRISIS: ((RECOVERING,), (1.0,)),
    RECOVERING: ((STEADY, AT_RISK, CRISIS, THRIVING), (0.62, 0.16, 0.15, 0.07)),
    STRAINED: ((STEADY, CRISIS, AT_RISK), (0.48, 0.32, 0.20)),
    AT_RISK: ((STEADY, STRAINED), (0.65, 0.35)),
    THRIVING: ((STEADY, STRAINED), (0.80, 0.20)),
    STEADY: ((STRAINED, THRIVING, AT_RISK, CRISIS), (0.42, 0.28, 0.22, 0.08)),
}
CHURN_PER_DAY: Final = (0.006, 0.003, 0.002, 0.012, 0.0002, 0.0005)
FRAGILE_SHARE: Final = 0.15  # customers whose product keeps failing
FRAGILE_DWELL: Final = 0.5  # their steady and thriving times are this much shorter
ESTABLISHED_SHARE: Final = 0.75  # customers on the first day; the others join later

# ---- signals that arrive at a rate, per customer and day ----------------------------------------------------------
RATES_PER_DAY: Final = {
    "message": (1.20, 0.35, 0.45, 0.08, 0.15, 0.06),
    "case": (0.25, 0.04, 0.12, 0.010, 0.008, 0.010),
    "usage": (0.45, 0.45, 0.45, 0.45, 0.45, 0.45),
    "order": (0.01, 0.04, 0.03, 0.015, 0.15, 0.08),
    "payment_failed": (0.03, 0.01, 0.02, 0.04, 0.002, 0.005),
    "self_service": (0.10, 0.06, 0.06, 0.02, 0.06, 0.04),
    "marketing": (0.12, 0.12, 0.12, 0.12, 0.12, 0.12),
    "sales": (0.04, 0.04, 0.04, 0.04, 0.04, 0.04),
    "service": (0.30, 0.15, 0.10, 0.02, 0.02, 0.02),
    "billing": (0.04, 0.04, 0.04, 0.04, 0.04, 0.04),
    "relationship_survey": (0.012, 0.012, 0.012, 0.012, 0.012, 0.012),
}
ARRIVALS: Final = tuple(RATES_PER_DAY)
_MACHINE: Final = frozenset({"usage"})
_OFFICE: Final = frozenset({"marketing", "sales", "service", "billing", "relationship_survey"})


def _hours_of_week(night: float, day: float, evening: float, weekend: float) -> list[float]:
    """168 weights from Monday 00:00 UTC on, with mean 1."""
    one_day = [night] * 7 + [day] * 12 + [evening] * 5
    week = np.array(one_day * 5 + [weight * weekend for weight in one_day] * 2)
    return [float(weight) for weight in week / week.mean()]


PEOPLE, OFFICE, MACHINE = range(3)
HOURS_OF_WEEK: Final = np.array(
    [_hours_of_week(0.1, 1.0, 0.7, 0.6), _hours_of_week(0.01, 1.0, 0.05, 0.1), _hours_of_week(1.0, 1.0, 1.0, 1.0)]
)
PROFILE: Final = np.array([MACHINE if k in _MACHINE else OFFICE if k in _OFFICE else PEOPLE for k in ARRIVALS])
RATES: Final = np.array([[*RATES_PER_DAY[kind], 0.0] for kind in ARRIVALS]).T / 24  # (7 stages, kinds) per hour


@dataclass(frozen=True)
class Drift:
    """What is otherwise from a moment (epoch ms, a whole hour) on: customers speak in another `tone` (added to every
    sentiment), and some things happen so many times as often (`factors`, by kind of arrival)."""

    from_ms: int
    tone: float = 0.0
    factors: tuple[tuple[str, float], ...] = ()

    def tone_at(self, t: int) -> float:
        """What is added to a sentiment at t."""
        return self.tone if t >= self.from_ms else 0.0

    def rates_at(self, t: int) -> npt.NDArray[np.float64]:
        """(7 stages, kinds) per hour, from t on."""
        if t < self.from_ms:
            return RATES
        factors = dict(self.factors)
        return np.asarray(RATES * np.array([factors.get(kind, 1.0) for kind in ARRIVALS]))


NO_DRIFT: Final = Drift(0)

# ---- what they say ------------------------------------------------------------------------------------------------
SENTIMENT: Final = ((-0.72, 0.18), (0.15, 0.35), (-0.42, 0.28), (-0.15, 0.30), (0.58, 0.22), (0.12, 0.28))
SATISFACTION: Final = (0.15, 0.65, 0.35, 0.45, 0.93, 0.75)  # mean, as a share of a survey's scale
SURVEY_ANSWERED: Final = (0.30, 0.30, 0.25, 0.10, 0.40, 0.20)
USAGE_FACTOR: Final = (0.55, 0.90, 0.80, 0.35, 1.40, 1.0)

MESSAGE_CHANNELS: Final = ("phone", "chat", "email", "whatsapp", "app", "social")
_ANGRY: Final = (0.40, 0.20, 0.15, 0.10, 0.02, 0.13)
_CALM: Final = (0.15, 0.20, 0.35, 0.15, 0.14, 0.01)
MESSAGE_CHANNEL_ODDS: Final = (_ANGRY, _CALM, _ANGRY, _CALM, _CALM, _CALM)

# ---- what the departments send, and what comes back ----------------------------------------------------------------
CONTACT_KINDS: Final = {
    "marketing": ("newsletter", "cross_sell", "upsell", "invitation", "win_back"),
    "sales": ("upsell", "cross_sell", "upgrade", "renewal", "retention"),
    "service": ("ticket_reply", "status_call", "agent_call", "appointment"),
    "billing": ("invoice", "payment_reminder", "refund"),
}
CONTACT_CHANNELS: Final = {
    "marketing": ("email", "push", "sms"),
    "sales": ("phone", "email", "whatsapp"),
    "service": ("email", "phone", "chat"),
    "billing": ("email", "letter"),
}
ANSWERED: Final = (0.30, 0.35, 0.25, 0.15, 0.50, 0.35)
OUTCOMES: Final = ("opened", "clicked", "converted", "ignored", "unsubscribed", "complained")
OUTCOME_ODDS: Final = (
    (0.40, 0.03, 0.00, 0.20, 0.22, 0.15),
    (0.60, 0.15, 0.04, 0.15, 0.04, 0.02),
    (0.50, 0.07, 0.01, 0.25, 0.12, 0.05),
    (0.45, 0.05, 0.01, 0.39, 0.08, 0.02),
    (0.52, 0.30, 0.12, 0.05, 0.01, 0.00),
    (0.60, 0.22, 0.05, 0.11, 0.015, 0.005),
)

# ---- their problems ------------------------------------------------------------------------------------------------
CATEGORIES: Final = ("connection", "hardware", "billing", "delivery", "app")
RELAPSING_CATEGORY: Final = "connection"
SEVERITY_ODDS: Final = (
    (0.35, 0.40, 0.20, 0.05),
    (0.01, 0.14, 0.50, 0.35),
    (0.03, 0.32, 0.45, 0.20),
    (0.01, 0.09, 0.50, 0.40),
    (0.00, 0.05, 0.45, 0.50),
    (0.01, 0.09, 0.50, 0.40),
)
SOLVED_WITHIN_MS: Final = (10 * HOUR, 20 * HOUR, 36 * HOUR, 60 * HOUR)  # median, by severity 1–4
STRAINED_DELAY: Final = 3.0  # while the relationship is strained, cases take this much longer
RESOLUTIONS: Final = ("fixed", "workaround", "customer_confirmed", "auto_closed", "rejected", "duplicate")
RESOLUTION_ODDS: Final = (0.50, 0.22, 0.15, 0.08, 0.03, 0.02)
