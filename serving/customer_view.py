"""A customer's record as GET /v1/customers/{id} shows it: a pure function of what is stored.

Nothing depends on "now": features, their ages among them, are as of the record's `clock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from membrane.cases import UNKNOWN, recurrences, relapse_products
from membrane.contacts import told_id
from membrane.features import FEATURE_NAMES, features
from membrane.ids import episode_id
from membrane.obligation_view import ObligationView, obligation_view
from membrane.record import Case, Contact, Profile, Record, Tracker
from membrane.times import format_optional, format_time
from membrane.tracker import confidence, probabilities
from membrane.vocabulary import CASE_STATUSES, CHANNELS, DOMAINS, LIFECYCLES, OUTCOMES, STAGES

_MILLION: Final = 1_000_000


class CauseView(msgspec.Struct):
    """The signal that moved the stage (type `due`: a due time did)."""

    source: str
    id: str
    type: str


class StageView(msgspec.Struct):
    """The stage and the estimate behind it."""

    name: str
    since: str
    previous: str | None
    confidence: float
    probabilities: dict[str, float]
    cause: CauseView
    drivers: list[tuple[str, float]]
    rules_only: bool


class EpisodeView(msgspec.Struct):
    """A crisis and its aftermath."""

    id: str
    since: str


class RisksView(msgspec.Struct):
    """`churn`: probability of losing the customer within 30 days, null if there is no model."""

    churn: float | None
    relapse: bool


class CaseView(msgspec.Struct):
    """One problem of the customer."""

    case: str
    category: str
    product: str | None
    severity: int
    state: Literal["open", "resolved"]
    status: str
    opened_at: str
    eta: str | None
    resolved_at: str | None
    recurrences: int


class ContactView(msgspec.Struct):
    """A contact made by a department, and the latest answer to it. `contact` is null where the id is longer than a
    record keeps it (the timeline has it)."""

    contact: str | None
    made_at: str | None
    domain: str | None
    kind: str | None
    channel: str | None
    outcome: str | None
    outcome_at: str | None


class ConsentView(msgspec.Struct):
    """What the customer last said of one channel and domain."""

    channel: str
    domain: str
    granted: bool
    since: str


class ProfileView(msgspec.Struct):
    """What is known of the person; null where nothing is."""

    timezone: str | None
    language: str | None
    segment: str | None
    preferred_channel: str | None
    channels: list[str] | None
    vulnerable: bool | None


class CustomerView(msgspec.Struct):
    """All we know of one customer. `version` changes exactly when the record does. `foreign_orders`: how many orders
    came in another currency than the tenant's, and so are in no money feature."""

    customer: str
    version: int
    clock: str
    lifecycle: str
    stage: StageView
    episode: EpisodeView | None
    risks: RisksView
    features: dict[str, float]
    cases: list[CaseView]
    contacts: list[ContactView]
    consents: list[ConsentView]
    profile: ProfileView
    foreign_orders: int
    obligations: list[ObligationView]
    revisions: dict[str, str]


def customer_view(record: Record, revisions: Mapping[str, str]) -> CustomerView:
    """The view of a record; `revisions` are those that were in force when it was written."""
    state, tracker, clock = record.state, record.tracker, record.clock
    return CustomerView(
        customer=record.customer,
        version=record.version,
        clock=format_time(clock),
        lifecycle=LIFECYCLES[tracker.lifecycle],
        stage=_stage(tracker),
        episode=_episode(record),
        risks=RisksView(_probability(tracker.churn), bool(relapse_products(state, clock))),
        features=dict(zip(FEATURE_NAMES, features(state, clock), strict=True)),
        cases=[_case(record, case) for case in state.cases],
        contacts=[_contact(contact) for contact in (*state.contacts, *state.answers)],
        consents=[_consent(key, *consent) for key, consent in sorted(state.consents.items())],
        profile=_profile(state.profile),
        foreign_orders=state.foreign_orders,
        obligations=[obligation_view(record, obligation) for obligation in record.obligations],
        revisions=dict(revisions),
    )


def _stage(tracker: Tracker) -> StageView:
    return StageView(
        name=STAGES[tracker.stage],
        since=format_time(tracker.since),
        previous=STAGES[tracker.previous] if tracker.previous >= 0 else None,
        confidence=confidence(tracker),
        probabilities=dict(zip(STAGES, probabilities(tracker), strict=True)),
        cause=CauseView(tracker.cause.source, tracker.cause.id, tracker.cause.type),
        drivers=[(name, contribution / 10_000) for name, contribution in tracker.drivers],
        rules_only=not tracker.probabilities,
    )


def _episode(record: Record) -> EpisodeView | None:
    since = record.tracker.episode_at
    return EpisodeView(episode_id(record.tenant, record.customer, since), format_time(since)) if since else None


def _probability(millionths: int) -> float | None:
    return millionths / _MILLION if millionths >= 0 else None


def _case(record: Record, case: Case) -> CaseView:
    return CaseView(
        case=case.case,
        category=case.category_now or UNKNOWN,
        product=case.product_now or None,
        severity=case.severity,
        state="open" if case.open else "resolved",
        status=CASE_STATUSES[case.status],
        opened_at=format_time(case.opened_at),
        eta=format_optional(case.eta),
        resolved_at=format_optional(case.resolved_at or None),
        recurrences=recurrences(record.state, case),
    )


def _contact(contact: Contact) -> ContactView:
    made = contact.made_at > 0
    return ContactView(
        contact=told_id(contact.contact),
        made_at=format_time(contact.made_at) if made else None,
        domain=DOMAINS[contact.domain] if made else None,
        kind=contact.kind if made else None,
        channel=CHANNELS[contact.channel] if made else None,
        outcome=OUTCOMES[contact.outcome] if contact.outcome >= 0 else None,
        outcome_at=format_optional(contact.outcome_at or None),
    )


def _consent(key: int, since: int, granted: bool) -> ConsentView:
    return ConsentView(CHANNELS[key // 8], DOMAINS[key % 8], granted, format_time(since))


def _profile(profile: Profile) -> ProfileView:
    channel, channels = profile.preferred_channel, profile.channels
    return ProfileView(
        timezone=profile.timezone[0] if profile.timezone else None,
        language=profile.language[0] if profile.language else None,
        segment=profile.segment[0] if profile.segment else None,
        preferred_channel=CHANNELS[channel[0]] if channel else None,
        channels=[CHANNELS[index] for index in channels[0]] if channels else None,
        vulnerable=profile.vulnerable[0] if profile.vulnerable else None,
    )
