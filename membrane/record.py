"""A customer's record: everything lasting we know of one customer, as bounded, versioned, checksummed bytes.

Two halves with two laws. `State` is a function of the *set* of signals and of the clock, whatever the order of arrival
(law 2), within its bounds: a case or problem that fell out of one and is named again starts anew. `Tracker` and the
obligations are functions of the log's order and are never rewritten by a late signal.

Stored form: one byte of format version, four bytes of CRC-32 of what follows, then MessagePack, deflated when that is
worth it. Times are epoch milliseconds; money is in minor units, tone in 1e-4, probabilities in 1e-6: integers, so that
the order of addition cannot show.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from membrane.errors import RecordUnreadable

FORMAT: Final = 1
MAX_BYTES: Final = 4096
_DEFLATE_ABOVE: Final = 1024
_PLAIN, _DEFLATED = 0, 1

Tiles = dict[int, dict[int, int]]
"""tile index -> measure index -> integer sum"""


class Case(msgspec.Struct, array_like=True):
    """One problem of a customer. Each value with an `_at` is a register that the latest event time wins (category and
    product as first given: the earliest); equal times are decided by value, so that arrival cannot show."""

    case: str
    touched_at: int  # the latest signal that names it: what the bound keeps by
    opened_at: int  # the earliest signal that names it
    reported_at: int = 0  # the earliest case.opened, 0 if none was seen (an update alone is no report of a problem)
    reopenings: list[int] = []  # case.reopened, and each later case.opened: the latest 8
    category: str = ""  # as first given
    category_at: int = 0
    category_now: str = ""
    category_now_at: int = 0
    product: str = ""  # as first given
    product_at: int = 0
    product_now: str = ""
    product_now_at: int = 0
    severity: int = 3
    severity_at: int = 0
    status: int = 0  # index in CASE_STATUSES
    status_at: int = 0
    eta: int | None = None
    eta_at: int = 0
    resolved_at: int = 0  # latest resolution, 0 if none
    code: int = -1  # index in RESOLUTION_CODES of that resolution, -1 if not given

    @property
    def open(self) -> bool:
        """Whether it is open; a reopening at the very time of a resolution wins."""
        return not self.resolved_at or (bool(self.reopenings) and self.reopenings[-1] >= self.resolved_at)


class Problem(msgspec.Struct, array_like=True):
    """A category and product with the latest times it was reported (openings and reopenings of its cases)."""

    category: str
    product: str
    reports: list[int]  # flat (time, case hash) pairs, by time


class Contact(msgspec.Struct, array_like=True):
    """A contact made by a department, and what came of it. `made_at` is 0 while only an answer is known. The same
    contact id made at two times is two contacts; an answer goes to both. Ids are as `membrane.contacts.brief` says."""

    contact: str
    made_at: int = 0
    domain: int = 0
    channel: int = 0
    kind: str = ""
    permit: str = ""
    outcome: int = -1  # index in OUTCOMES, -1 while unanswered
    outcome_at: int = 0
    opted_out_at: int = 0  # latest `unsubscribed` or `complained`, 0 if none


class Metric(msgspec.Struct, array_like=True):
    """Daily sums of one usage metric: day -> [sum in 1e-4, count]."""

    metric: str
    at: int
    days: dict[int, list[int]]


class LowScore(msgspec.Struct, array_like=True):
    """A bad survey answer (CSAT or CES <= 2, NPS <= 6)."""

    at: int
    survey: str  # the survey's id, else the signal's


class Profile(msgspec.Struct, array_like=True):
    """What is known of the person; each value with the event time that set it."""

    timezone: tuple[str, int] | None = None
    language: tuple[str, int] | None = None
    segment: tuple[str, int] | None = None
    preferred_channel: tuple[int, int] | None = None
    channels: tuple[list[int], int] | None = None
    vulnerable: tuple[bool, int] | None = None


class State(msgspec.Struct, array_like=True):
    """What the set of signals says. Lists are sorted by (time, id) and bounded; `overflow` counts what fell out."""

    first_at: int = 0
    last_at: int = 0
    opened_at: int = 0
    closed_at: int = 0
    profile: Profile = msgspec.field(default_factory=Profile)
    tiles_5m: Tiles = {}
    tiles_1h: Tiles = {}
    tiles_1d: Tiles = {}
    active_days: list[int] = []  # the latest days with something from the customer
    cases: list[Case] = []
    problems: list[Problem] = []
    replaced: dict[str, int] = {}  # product -> latest product.replaced
    contacts: list[Contact] = []  # the latest made
    contacts_lost: dict[int, int] = {}  # domain -> when the latest contact was made that is no longer in `contacts`
    answers: list[Contact] = []  # answers whose contact is not in `contacts`: the latest
    metrics: list[Metric] = []
    consents: dict[int, tuple[int, bool]] = {}  # channel * 8 + domain -> (event time, granted)
    very_negative: list[int] = []  # the two latest messages <= -0.7
    negative_at: int = 0  # the latest message <= -0.3
    positive_at: int = 0  # the latest message >= +0.3
    escalated_at: int = 0
    crisis_label_at: int = 0
    other_label_at: int = 0
    complained_at: int = 0
    service_contact_at: int = 0
    inbound_at: int = 0
    nps: tuple[int, int] | None = None  # (event time, score) of the latest
    csat: tuple[int, int] | None = None
    ces: tuple[int, int] | None = None
    low_csat_at: int = 0  # latest CSAT or CES <= 2
    good_csat_at: int = 0  # latest CSAT >= 4
    low_scores: list[LowScore] = []
    ended: dict[str, int] = {}  # interaction -> when it ended (bounded), for surveys about it
    ended_touchpoints: dict[str, int] = {}  # touchpoint -> when the latest interaction at it ended (bounded)
    orders: int = 0
    order_value: int = 0  # minor units
    order_at: int = 0
    credits: int = 0
    signals: int = 0
    overflow: int = 0
    foreign_orders: int = 0  # of `orders`, those whose amount is in another currency than the tenant's: not summed


class Cause(msgspec.Struct, array_like=True):
    """The signal (or due time: type `due`) that moved the stage."""

    source: str = ""
    id: str = ""
    type: str = ""


class Belief(msgspec.Struct, array_like=True):
    """What the signals in their order say of the stage (`membrane.belief`), with the last one that was news, about time
    `at`: `stages` in 1e-6; `weights` (6, levels of use) as 16-bit numbers; the `context` of open cases; the `metric`
    that use is judged by, and its first value in 1e-4; when the last conversation began."""

    at: int = 0
    stages: list[int] = []
    weights: bytes = b""
    context: int = 0
    metric: str = ""
    usual: int = 0
    message_at: int = 0


class Tracker(msgspec.Struct, array_like=True):
    """The stage and what led to it, by the log's order."""

    stage: int  # index in STAGES
    since: int
    previous: int = -1
    cause: Cause = msgspec.field(default_factory=Cause)
    lifecycle: int = 1  # index in LIFECYCLES at the last evaluation
    crisis_cases: dict[str, int] = {}  # the crisis's own cases and how each ended (`membrane.stages.closing`)
    left_crisis_at: int = 0
    episode_at: int = 0  # 0: no episode
    probabilities: list[int] = []  # filtered, in 1e-6, in the order of STAGES; empty: rules only
    estimated_at: int = 0
    churn: int = -1  # 1e-6, -1 unknown
    drivers: list[tuple[str, int]] = []  # (feature, contribution in 1e-4)
    model_invalid: bool = False
    by_rules: bool = False  # a rule names the stage (steady and thriving are what is left)
    problems: dict[int, int] = {}  # hash of a problem in the state -> when it began, as known when it was reported
    belief: Belief = msgspec.field(default_factory=Belief)


OPEN, MET, BREACHED, WAIVED = range(4)
OBLIGATION_STATES: Final = ("open", "met", "breached", "waived")


class Obligation(msgspec.Struct, array_like=True):
    """An action the company owes. `about` is the case, product, survey or category it is about, per once_per."""

    obligation: str
    principle: str
    kind: str
    owner: str
    opened_at: int
    due: int
    state: int = OPEN
    scope: str = ""  # once_per, or "" for `every`
    about: str = ""
    episode_at: int = 0
    closed_at: int = 0
    escalate_to: str = ""  # whose it becomes when it is breached
    approval: str = ""  # "human", or "" where none is needed


class Past(msgspec.Struct, array_like=True):
    """What stays of a closed obligation that made room for another (`membrane.ledger`)."""

    obligation: int  # its id, the 16 hex digits as a number
    principle: int  # hash
    opened_at: int
    money: bool


class Label(msgspec.Struct, array_like=True, frozen=True):
    """What was found out about a customer at a moment: `target` is an index in `membrane.labelled.TARGETS`, `label` an
    index in STAGES, or 1 for who leaves and 0 for who stays; `weight` in 1e-4; `by` the labelling function or the
    person, cut short; `about` the moment it speaks about, `found_at` when it was found out (the customer's clock)."""

    target: int
    label: int
    weight: int
    by: str
    about: int
    found_at: int


class Kept(msgspec.Struct, array_like=True):
    """Which of the customer's served vectors are kept to learn from (`membrane.examples`): `at` the latest one's clock,
    `signals` how many signals there were then; `latest` and `watched` (those whose horizon of churn is open) as flat
    (time, log offset) pairs by time; labels that still wait for a vector, and
    the log offset of the latest of them; `synthetic` once a signal was; `heard` the time of the latest signal that the
    lapse rule in force then listened to, and `heard_by` its mark."""

    at: int = 0
    signals: int = 0
    latest: list[int] = []
    watched: list[int] = []
    waiting: list[Label] = []
    waits_since: int = -1
    synthetic: bool = False
    heard: int = 0
    heard_by: int = 0


class Record(msgspec.Struct, array_like=True):
    """All of it. `clock` is the customer's clock when this was last written; `version` the log offset that wrote it;
    `revision` the offset of the last revision record in force then; `overdue` due times that a late signal set at or
    before the clock and that wait for the next tick (law 4); `past` what is known of obligations that made room,
    `forgotten_at` when the latest money was opened that is not even there any more; `unopened` the most debts at once
    that could not be opened because what is owed filled the record, or because of `forgotten_at`; `kept` what there is
    of the customer to learn from."""

    tenant: str
    customer: str
    version: int
    clock: int
    revision: int
    state: State
    tracker: Tracker
    obligations: list[Obligation] = []
    overdue: list[int] = []
    past: list[Past] = []
    forgotten_at: int = 0
    unopened: int = 0
    kept: Kept = msgspec.field(default_factory=Kept)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """The stored bytes of a record."""
    body = _encoder.encode(record)
    if len(body) > _DEFLATE_ABOVE:
        body = bytes((_DEFLATED,)) + zlib.compress(body, 1)
    else:
        body = bytes((_PLAIN,)) + body
    return bytes((FORMAT,)) + zlib.crc32(body).to_bytes(4, "big") + body


def decode(data: bytes) -> Record:
    """The record of stored bytes. RecordUnreadable if a byte is not as it was written, or the format is newer."""
    if len(data) < 6:
        raise RecordUnreadable(f"a record needs at least 6 bytes, came {len(data)}")
    if data[0] != FORMAT:
        raise RecordUnreadable(f"record format {data[0]}; this version reads format {FORMAT}")
    body = data[5:]
    if zlib.crc32(body) != int.from_bytes(data[1:5], "big"):
        raise RecordUnreadable("the record's checksum does not match its bytes")
    try:
        return _decoder.decode(zlib.decompress(body[1:]) if body[0] == _DEFLATED else body[1:])
    except (msgspec.MsgspecError, zlib.error) as error:
        raise RecordUnreadable("the record's bytes do not have the shape of a record") from error
