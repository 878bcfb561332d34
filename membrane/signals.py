"""Signals: CloudEvents 1.0 in, one checked and typed fact out.

`check` turns the bytes of one event into a `CheckedSignal` or raises `InvalidSignal` (the sender's fault: nothing is
stored). Whether a checked signal is accepted or set aside as a dead letter (unknown type, ahead of the clock) is for
whoever owns the wall clock to say. `StoredSignal` is the form in the log, `typed` reads it back behind the log.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from membrane.errors import InvalidSignal
from membrane.times import parse_time

EARLIEST_MS: Final = 631_152_000_000  # 1990-01-01
MAX_SIGNAL_BYTES: Final = 64 * 1024

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"  # `$` alone lets a last newline through
Text = Annotated[str, Meta(min_length=1, max_length=256, pattern=_PRINTABLE)]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=_PRINTABLE)]
Time = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
Count = Annotated[float, Meta(ge=0, le=1e9)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
Instrument = Literal["nps", "csat", "ces"]
Sentiment = Annotated[float, Meta(ge=-1, le=1)]
Severity = Annotated[int, Meta(ge=1, le=4)]
Domain = Literal["marketing", "sales", "survey", "service", "billing", "legal"]
Outcome = Literal["opened", "clicked", "converted", "ignored", "unsubscribed", "complained"]
Status = Literal["open", "waiting_on_customer", "waiting_on_supplier"]
ResolutionCode = Literal["fixed", "workaround", "customer_confirmed", "auto_closed", "rejected", "duplicate"]

SCORE_RANGES: Final = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
"""The scale of each instrument, ends included."""


class Data(Struct, kw_only=True, omit_defaults=True):
    """The payload of one signal type; slots not named here are kept in the log and acted on by nobody."""


class AccountOpened(Data):
    product: Name | None = None
    timezone: Name | None = None
    language: Name | None = None
    segment: Name | None = None
    reason: str | None = None


class AccountClosed(Data):
    reason: str | None = None


class ProfileUpdated(Data):
    timezone: Name | None = None
    language: Name | None = None
    preferred_channel: Name | None = None
    channels: Annotated[list[Name], Meta(max_length=32)] | None = None
    segment: Name | None = None
    vulnerable: bool | None = None


class MessageReceived(Data):
    channel: Name
    text: str | None = None
    language: Name | None = None
    sentiment: Sentiment | None = None
    sentiment_by: Name | None = None
    reason: str | None = None
    agent: Name | None = None
    case: Name | None = None
    interaction: Name | None = None
    duration_seconds: Count | None = None


class InteractionEnded(Data):
    interaction: Name
    channel: Name
    direction: Literal["inbound", "outbound"] | None = None
    touchpoint: Name | None = None
    case: Name | None = None
    reason: str | None = None
    agent: Name | None = None
    handled_by: Literal["human", "bot", "ivr", "self_service"] | None = None
    duration_seconds: Count | None = None
    hold_seconds: Count | None = None
    transfers: Annotated[int, Meta(ge=0, le=1000)] | None = None
    disposition: str | None = None
    resolved: bool | None = None


class ContactMade(Data):
    domain: Name
    kind: Name
    channel: Name
    contact: Name | None = None
    campaign: Name | None = None
    permit: Name | None = None
    topic: Name | None = None


class ContactAnswered(Data):
    contact: Name
    outcome: Outcome


class CaseOpened(Data):
    case: Name
    category: Name
    severity: Severity
    product: Name | None = None
    eta: Time | None = None

    def __post_init__(self) -> None:
        _check_time("eta", self.eta)


class CaseUpdated(Data):
    case: Name
    severity: Severity | None = None
    eta: Time | msgspec.UnsetType | None = msgspec.UNSET
    category: Name | None = None
    product: Name | None = None
    status: Status | None = None

    def __post_init__(self) -> None:
        if self.eta is not msgspec.UNSET:
            _check_time("eta", self.eta)


class CaseResolved(Data):
    case: Name
    resolution: str | None = None
    resolution_code: ResolutionCode | None = None


class CaseReopened(Data):
    case: Name


class UsageMeasured(Data):
    metric: Name
    value: Number
    product: Name | None = None


class Money(Data):
    """order.placed, order.cancelled and payment.failed."""

    amount: Number | None = None
    currency: Currency | None = None
    product: Name | None = None


class ProductReplaced(Data):
    old: Name
    new: Name


class CreditGiven(Data):
    kind: Name
    amount: Number | None = None
    currency: Currency | None = None
    obligation: Name | None = None


class SurveySent(Data):
    survey: Name
    instrument: Instrument
    touchpoint: Name | None = None
    contact: Name | None = None
    interaction: Name | None = None


class SurveyAnswered(Data):
    instrument: Instrument
    score: Number
    survey: Name | None = None
    touchpoint: Name | None = None
    contact: Name | None = None
    interaction: Name | None = None
    verbatim: str | None = None

    def __post_init__(self) -> None:
        low, high = SCORE_RANGES[self.instrument]
        if not low <= self.score <= high:
            raise ValueError(f"score must be {low}..{high} for {self.instrument}")


class ConsentChanged(Data):
    channel: Name
    domain: Domain
    granted: bool


class JourneyMoved(Data):
    journey: Name
    step: Name
    status: Name
    instance: Name | None = None


class LabelGiven(Data):
    target: Literal["stage", "churn"]
    value: Name | bool | Number
    by: Name
    about_time: Time | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        _check_time("about_time", self.about_time)


class Incident(Data):
    """incident.declared, incident.updated and incident.resolved: stored, acted on later."""

    incident: Name
    scope: Any = None
    eta: Time | None = None

    def __post_init__(self) -> None:
        _check_time("eta", self.eta)


_BY_NAME: Final[dict[str, type[Data]]] = {
    "account.opened": AccountOpened,
    "account.closed": AccountClosed,
    "profile.updated": ProfileUpdated,
    "message.received": MessageReceived,
    "interaction.ended": InteractionEnded,
    "contact.made": ContactMade,
    "contact.answered": ContactAnswered,
    "case.opened": CaseOpened,
    "case.updated": CaseUpdated,
    "case.resolved": CaseResolved,
    "case.reopened": CaseReopened,
    "usage.measured": UsageMeasured,
    "order.placed": Money,
    "order.cancelled": Money,
    "payment.failed": Money,
    "product.replaced": ProductReplaced,
    "credit.given": CreditGiven,
    "survey.sent": SurveySent,
    "survey.answered": SurveyAnswered,
    "consent.changed": ConsentChanged,
    "journey.moved": JourneyMoved,
    "label.given": LabelGiven,
    "incident.declared": Incident,
    "incident.updated": Incident,
    "incident.resolved": Incident,
}
TYPES: Final = {f"cx.{name}.v1": data for name, data in _BY_NAME.items()}
"""Signal type -> the type of its data."""


class Envelope(Struct):
    """A CloudEvent in structured JSON form. Extension attributes are ignored."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    subject: Text
    time: Time
    data: msgspec.Raw = msgspec.Raw(b"{}")
    data_base64: Any = None


class StoredSignal(Struct, frozen=True, omit_defaults=True):
    """A signal in the log: `time` is its event time in epoch ms, `data` the JSON its sender sent; `traceparent` (W3C)
    names the request that brought it, if that is traced."""

    tenant: str
    customer: str
    source: str
    id: str
    type: str
    time: int
    data: msgspec.Raw
    traceparent: str = ""


class CheckedSignal(Struct, frozen=True):
    """A valid event. `typed` is None when its type is not one we know (a dead letter, not the sender's fault)."""

    stored: StoredSignal
    typed: Data | None


PROBE: Final = "_probe"
"""A tenant, and its one customer: whom `membrane probe` sends signals of."""
_envelope: Final = msgspec.json.Decoder(Envelope)
_typed: Final = {name: msgspec.json.Decoder(data) for name, data in TYPES.items()}
_stored: Final = msgspec.json.Decoder(StoredSignal)
_any: Final = msgspec.json.Decoder()
encode_stored: Final = msgspec.json.Encoder().encode

_FORBIDDEN_PATTERN: Final = (
    r"biometri"
    r"|((?<!in)voice|vocal|speech|(?<!inter)(?<!sur)face|facial|finger|iris|retina|palm)[-_.]?"
    r"(print|id(?![a-z])|scan|emotion|stress|expression|embedding|template)"
    r"|agents?[-_.]?(emotion|sentiment|mood|feeling|stress|tone|anger|frustration)"
    r"|emotion[-_.]?((of|from|in|by)[-_.]?)?(agent|voice|speech|face)"
)
_FORBIDDEN: Final = re.compile(_FORBIDDEN_PATTERN, re.IGNORECASE)
_SUSPECT: Final = re.compile(_FORBIDDEN_PATTERN.encode() + rb"|\\u", re.IGNORECASE)
_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)


def check(raw: bytes | msgspec.Raw, tenant: str) -> CheckedSignal:
    """The checked form of one event's JSON; InvalidSignal says which field (a JSON pointer) and what was required."""
    if memoryview(raw).nbytes > MAX_SIGNAL_BYTES:
        raise InvalidSignal("", f"a signal has at most {MAX_SIGNAL_BYTES} bytes")
    try:
        envelope = _envelope.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise invalid(error, "") from None
    if envelope.data_base64 is not None:
        raise InvalidSignal("/data_base64", "binary data is not accepted; send JSON in data")
    if "/" in envelope.subject:
        raise InvalidSignal("/subject", "must not contain '/'")
    if envelope.subject == PROBE and tenant != PROBE:
        raise InvalidSignal("/subject", f"must be another: {PROBE} is a customer of the tenant {PROBE} alone")
    t = _event_time(envelope.time)
    data = envelope.data
    if not bytes(data).startswith(b"{"):
        if bytes(data) != b"null":
            raise InvalidSignal("/data", "must be an object")
        data = msgspec.Raw(b"{}")
    stored = StoredSignal(tenant, envelope.subject, envelope.source, envelope.id, envelope.type, t, data)
    known = typed(stored)
    _refuse_forbidden(data)
    return CheckedSignal(stored, known)


def typed(signal: StoredSignal) -> Data | None:
    """The typed payload, None for a type we do not know. InvalidSignal if it breaks its schema."""
    decoder = _typed.get(signal.type)
    if decoder is None:
        return None
    try:
        return decoder.decode(signal.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise invalid(error, "/data") from None


def read_stored(body: bytes) -> StoredSignal:
    """The signal of a log record's body. msgspec.MsgspecError when it is none."""
    return _stored.decode(body)


def invalid(error: Exception, prefix: str) -> InvalidSignal:
    """A decoder's complaint as InvalidSignal, without the offending value."""
    if not isinstance(error, msgspec.ValidationError):
        return InvalidSignal(prefix, "must be JSON (UTF-8, no NaN or infinity, not nested too deeply)")
    match = _AT.match(str(error))
    what, path = (match["what"], match["path"] or "$") if match else (str(error), "$")
    if what.startswith("Invalid enum value"):
        what = "not one of the values allowed here"
    elif what.startswith("Expected `str` matching regex"):
        what = "must match the pattern of its field (no control characters)"
    elif what.startswith("Object contains unknown field"):
        what = "a field that is not known here"
    pointer = re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", path.removeprefix("$")).replace(".", "/").replace("////", "/...")
    missing = re.match(r"Object missing required field `(\w+)`", what)
    named = missing or re.match(r"(\w+) must ", what)  # our own checks begin with the slot's name
    if named:
        pointer, what = f"{pointer}/{named[1]}", "required" if missing else what
    return InvalidSignal(prefix + pointer, what)


def schemas() -> dict[str, object]:
    """JSON Schemas of the envelope's `data`, by signal type, generated from the types above."""
    found, components = msgspec.json.schema_components(TYPES.values(), ref_template="#/$defs/{name}")
    named = dict(zip(TYPES, found, strict=True))
    refused = {"propertyNames": {"not": {"pattern": _FORBIDDEN_PATTERN}}}
    return {name: {"allOf": [schema, refused], "$defs": components} for name, schema in named.items()}


def _event_time(text: str) -> int:
    try:
        t = parse_time(text)
    except ValueError:
        raise InvalidSignal("/time", "must be RFC 3339 with an offset, such as 2026-11-23T10:00:00Z") from None
    if t < EARLIEST_MS:
        raise InvalidSignal("/time", "must not be before 1990")
    return t


def _check_time(name: str, text: str | None) -> None:
    if text is None:
        return
    try:
        parse_time(text)
    except ValueError:
        raise ValueError(f"{name} must be RFC 3339 with an offset, such as 2026-11-23T10:00:00Z") from None


def _refuse_forbidden(data: msgspec.Raw) -> None:
    """Reads the whole of `data`, slots nobody knows included, so that whatever is stored can be read back."""
    try:
        todo = [_any.decode(data)]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise invalid(error, "/data") from None
    if _SUSPECT.search(data) is None:
        return
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo.extend(item)
        elif isinstance(item, dict):
            if any(_FORBIDDEN.search(key) for key in item):
                raise InvalidSignal("/data", "biometric fields, voice emotion and agents' emotions are not accepted")
            todo.extend(item.values())
