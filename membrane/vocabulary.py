"""The closed vocabularies: stages, lifecycles, channels, domains, kinds, classes, verdicts.

The order of a tuple or an enum is part of the stored form (records keep indexes): append, never reorder.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """The inferred condition of a relationship (design, section 6)."""

    CRISIS = "crisis"
    RECOVERING = "recovering"
    STRAINED = "strained"
    AT_RISK = "at_risk"
    THRIVING = "thriving"
    STEADY = "steady"


class Lifecycle(StrEnum):
    """Where a relationship stands by facts alone."""

    UNKNOWN = "unknown"
    NEW = "new"
    ACTIVE = "active"
    DORMANT = "dormant"
    CLOSED = "closed"


class Verdict(StrEnum):
    """What a department may do with a candidate."""

    ALLOW = "allow"
    DEFER = "defer"
    FORBID = "forbid"


class FindingKind(StrEnum):
    """What the check of principles looks for (`membrane.lint`); the faults of a load that are among them, too."""

    CONTRADICTION = "contradiction"
    UNREACHABLE = "unreachable"
    SHADOWED = "shadowed"
    GAP = "gap"
    STARVATION = "starvation"
    CAN_ERROR = "can_error"
    UNBOUNDED = "unbounded"
    MISSING_TRANSLATION = "missing_translation"
    NUMBER = "number"
    GUARANTEE = "guarantee"
    DUE_TIME = "due_time"
    OVER_BLOCK = "over_block"


class InteractionClass(StrEnum):
    """What kind of interaction a domain and kind are; the safe defaults go by it."""

    PERSUASION = "persuasion"
    SURVEY = "survey"
    HELP = "help"
    CARE_MONEY = "care_money"
    MONEY_IN = "money_in"
    DUTY = "duty"


STAGES: Final = tuple(Stage)
LIFECYCLES: Final = tuple(Lifecycle)

CHANNELS: Final = (
    "email", "sms", "phone", "whatsapp", "push", "app", "chat", "web", "ivr", "letter", "visit", "social", "other",
)  # fmt: skip
DOMAINS: Final = ("marketing", "sales", "survey", "service", "billing", "legal", "other")

KINDS: Final[dict[str, dict[InteractionClass, tuple[str, ...]]]] = {
    "marketing": {
        InteractionClass.PERSUASION: ("newsletter", "upsell", "cross_sell", "win_back", "invitation", "referral")
    },
    "sales": {
        InteractionClass.PERSUASION: ("upsell", "cross_sell", "upgrade", "renewal", "retention", "rescue_offer")
    },
    "survey": {InteractionClass.SURVEY: ("csat", "ces", "nps", "interview")},
    "service": {
        InteractionClass.HELP: (
            "ticket_reply", "agent_call", "status_call", "outage_notice", "appointment", "onboarding",
            "security_notice",
        )
    },
    "billing": {
        InteractionClass.CARE_MONEY: ("service_credit", "free_service", "refund"),
        InteractionClass.MONEY_IN: ("invoice", "payment_reminder", "collections", "suspension", "contract_change"),
    },
    "legal": {InteractionClass.DUTY: ("legal_notice", "safety_notice", "security_notice", "recall")},
}  # fmt: skip

STRICTEST_FIRST: Final = (
    InteractionClass.PERSUASION,
    InteractionClass.SURVEY,
    InteractionClass.MONEY_IN,
    InteractionClass.CARE_MONEY,
    InteractionClass.HELP,
    InteractionClass.DUTY,
)

_CLASS_OF: Final = {
    (domain, kind): cls for domain, classes in KINDS.items() for cls, kinds in classes.items() for kind in kinds
}
_STRICTEST_OF: Final = {
    domain: next(cls for cls in STRICTEST_FIRST if cls in classes) for domain, classes in KINDS.items()
}
CHANNEL_INDEX: Final = {channel: index for index, channel in enumerate(CHANNELS)}
DOMAIN_INDEX: Final = {domain: index for index, domain in enumerate(DOMAINS)}
_OTHER_CHANNEL: Final = CHANNEL_INDEX["other"]
_OTHER_DOMAIN: Final = DOMAIN_INDEX["other"]


def class_of(domain: str, kind: str) -> InteractionClass | None:
    """The class of a domain and kind; an unknown kind takes its domain's strictest class, an unknown domain None.

    >>> class_of("billing", "suspension").value, class_of("billing", "never-heard-of").value, class_of("astrology", "x")
    ('money_in', 'money_in', None)
    """
    found = _CLASS_OF.get((domain, kind))
    return found if found is not None else _STRICTEST_OF.get(domain)


def channel_index(channel: str) -> int:
    """The stored index of a channel; one that is not in the list counts as `other`."""
    return CHANNEL_INDEX.get(channel, _OTHER_CHANNEL)


def domain_index(domain: str) -> int:
    """The stored index of a domain; one that is not in the list counts as `other`."""
    return DOMAIN_INDEX.get(domain, _OTHER_DOMAIN)


OBLIGATION_KINDS: Final = (
    "promised_time", "agent_call", "status_call", "free_service", "service_credit", "rescue_offer",
    "survey_follow_up", "outage_notice",
)  # fmt: skip
ONCE_PER: Final = ("episode", "case", "problem", "product", "survey", "incident")
OUTCOMES: Final = ("opened", "clicked", "converted", "ignored", "unsubscribed", "complained")
RESOLUTION_CODES: Final = (
    "fixed", "workaround", "customer_confirmed", "auto_closed", "rejected", "duplicate",
)  # fmt: skip
NO_EVIDENCE_CODES: Final = frozenset({"auto_closed", "rejected", "duplicate"})
CASE_STATUSES: Final = ("open", "waiting_on_customer", "waiting_on_supplier")
SOURCE_SILENT: Final = "source_silent"
DEGRADED: Final = (
    "stale", "record_unreadable", "claims_unreadable", "consents_unreadable", "model_missing", "model_invalid",
    "principles_last_good", "deadline", "log_full", SOURCE_SILENT,
)  # fmt: skip
