"""Decisions as they come in and go out: the request and the answer, in the JSON of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from membrane.errors import InvalidRequest
from membrane.signals import Number, Text, Time, invalid
from membrane.times import DAY, parse_time

MAX_CANDIDATES: Final = 50
AHEAD_MS: Final = 31 * DAY
"""How far ahead of now a candidate may be judged."""

Propensity = Annotated[float, Meta(ge=0, le=1)]
Context = Annotated[float, Meta(ge=0, le=1000)]


class About(Struct, omit_defaults=True):
    """What a survey asks about, and when that ended."""

    interaction: Text | None = None
    case: Text | None = None
    touchpoint: Text | None = None
    at: Time | None = None


class Candidate(Struct, omit_defaults=True):
    """An interaction that a department wants to start."""

    id: Text
    domain: Text
    kind: Text
    channel: Text
    direction: Literal["outbound", "inbound"] = "outbound"
    value: Number | None = None
    propensity: Propensity | None = None
    context: Context | None = None
    topic: Text | None = None
    campaign: Text | None = None
    send_at: Time | None = None
    about: About | None = None


class DecisionRequest(Struct, omit_defaults=True):
    """The body of POST /v1/decisions."""

    customer: Text
    candidates: Annotated[list[Candidate], Meta(min_length=1, max_length=MAX_CANDIDATES)]
    at: Time | None = None
    reserve: bool = False
    choose: Literal["per_domain", "one", "none"] = "per_domain"
    language: Literal["en", "es"] | None = None
    explain: Literal["short", "full", "none"] = "short"


class Reason(Struct):
    """Why: `source` is principle, cap, quiet_hours, consent, pause, arbitration, default or degraded."""

    source: str
    id: str
    text: str
    facts: dict[str, Any]


class Modification(Struct):
    """What the principle `by` changes in an allowed candidate."""

    changes: dict[str, Any] = field(name="set")
    by: str


class Change(Struct):
    """A fact that is so now, and the values of which each would give a weaker verdict, with what is changed beside."""

    fact: str
    now: Any = field(name="is")
    would_be: list[Any]


class Unless(Struct):
    """Any of these sets of changes gives a weaker verdict."""

    any: list[list[Change]]


class Evaluated(Struct):
    """A principle that was evaluated; `holds` is null where its condition failed."""

    id: str
    effect: str
    holds: bool | None
    facts: dict[str, Any]


class CandidateVerdict(Struct):
    """The verdict on one candidate. `permit_until` is there with a permit, `evaluated` with explain=full."""

    candidate: str
    verdict: str
    until: str | None
    unless: Unless | None
    reasons: list[Reason]
    modifications: list[Modification]
    permit: str | None = None
    lost_to: str | None = None
    permit_until: str | UnsetType = UNSET
    evaluated: list[Evaluated] | UnsetType = UNSET


class PausePart(Struct):
    """A pause that touches the decision: `what` is a domain, a principle or the customer, `name` which."""

    pause: str
    what: str
    name: str
    by: str
    why: str
    until: str


class StagePart(Struct):
    """The stage at the moment judged. `drivers`: (feature, share) pairs of the model."""

    name: str
    since: str
    previous: str | None
    confidence: float
    drivers: list[tuple[str, float]]
    rules_only: bool


class EpisodePart(Struct):
    """The running episode."""

    id: str
    since: str


class Risks(Struct):
    """churn: calibrated probability, null when there is none; relapse: on a product in use."""

    churn: float | None
    relapse: bool


class Owed(Struct):
    """An obligation that is open or breached; `approval` is `human` where a person must agree before it is done."""

    obligation: str
    kind: str
    owner: str
    due: str
    state: str
    approval: str | None


class StatePart(Struct):
    """The record that was judged: null if there is none. `staleness_seconds` is for the server to fill in."""

    as_of: str | None
    version: int | None
    staleness_seconds: float | None
    degraded: list[str]


class Revisions(Struct):
    """What judged; the models are for the server to fill in."""

    principles: str
    stage_model: str | None = None
    churn_model: str | None = None


class Answer(Struct):
    """The answer to a decision request; `decision` and `logged` are for the server to fill in. `pauses` is there when
    one touches it, `currency` (of every `value`) when the tenant sets one."""

    decision: str
    customer: str
    at: str
    lifecycle: str
    verdicts: list[CandidateVerdict]
    choice: list[str]
    stage: StagePart | None
    episode: EpisodePart | None
    risks: Risks
    owed: list[Owed]
    state: StatePart
    revisions: Revisions
    valid_until: str | None
    logged: bool = False
    pauses: list[PausePart] | UnsetType = UNSET
    currency: str | UnsetType = UNSET


_decoder: Final = msgspec.json.Decoder(DecisionRequest)
encode_answer: Final = msgspec.json.Encoder().encode


def parse_request(body: bytes) -> DecisionRequest:
    """The request in a JSON body. InvalidRequest names each field at fault; what is no JSON at all raises as msgspec
    does (DecodeError, UnicodeDecodeError or RecursionError)."""
    try:
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        fault = invalid(error, "")
        raise InvalidRequest([(fault.pointer, fault.detail)]) from None
    errors = list(_errors(request))
    if errors:
        raise InvalidRequest(errors)
    return request


def _errors(request: DecisionRequest) -> Iterator[tuple[str, str]]:
    if "/" in request.customer:
        yield "/customer", "must not contain '/'"
    yield from _time_errors("/at", request.at)
    seen: set[str] = set()
    for place, candidate in enumerate(request.candidates):
        if candidate.id in seen:
            yield f"/candidates/{place}/id", "must differ from the ids of the other candidates"
        seen.add(candidate.id)
        yield from _time_errors(f"/candidates/{place}/send_at", candidate.send_at)
        if candidate.about is not None:
            yield from _time_errors(f"/candidates/{place}/about/at", candidate.about.at)


def _time_errors(pointer: str, text: str | None) -> Iterator[tuple[str, str]]:
    try:
        if text is not None:
            parse_time(text)
    except ValueError:
        yield pointer, "must be RFC 3339 with an offset, such as 2026-11-23T10:00:00Z"
