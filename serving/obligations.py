"""What is owed: listing it, and saying that it was done or is no longer wanted (an `act` record of the log)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from membrane.obligation_view import ToldObligation
from membrane.ports import RecordKind
from membrane.principles import PrincipleSet
from membrane.times import format_time
from serving.held import Breakers
from serving.problems import Problem, not_found, parsed
from storage.log import SignalLog
from storage.record_reader import RecordReader, StoredObligation

Act = Literal["meet", "waive"]
PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
Word = Annotated[str, Meta(min_length=1, max_length=256, pattern=PRINTABLE)]

MAX_LISTED: Final = 1000


class ActRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Who says so, and why."""

    by: Word | None = None
    reason: Word | None = None


class ActRecord(msgspec.Struct):
    """The act as the log keeps it."""

    act: Act
    tenant: str
    customer: str
    obligation: str
    time: int
    by: str | None
    reason: str | None


class ActAnswer(msgspec.Struct):
    """What was recorded. The obligation changes when the stream meets the record."""

    act: Act
    obligation: str
    customer: str
    time: str
    by: str | None
    reason: str | None


class ListedObligation(ToldObligation):
    """An obligation as the stream last wrote it. `held`: it is owed, but its principle opened so many within an hour
    that a person must look before any of them is carried out."""

    held: bool = False


class ObligationList(msgspec.Struct):
    """Obligations by due time, at most 1,000."""

    obligations: list[ListedObligation]


_stored: Final = msgspec.json.Decoder(ListedObligation)
_request: Final = msgspec.json.Decoder(ActRequest)


def parse_act(body: bytes) -> ActRequest:
    """The body of an act; an empty one says nothing of who and why. Problem 400 or 422."""
    if not body.strip():
        return ActRequest()
    return parsed(_request, body)


def list_obligations(
    records: RecordReader,
    tenant: str,
    principles: PrincipleSet | None,
    *,
    state: str | None,
    owner: str | None,
    customer: str | None,
) -> ObligationList:
    """A tenant's obligations of one state, owner and customer, each None for any, and which of them are held by the
    principles in force."""
    breakers = Breakers(records, tenant, principles)
    found = records.obligations(tenant, state=state, owner=owner, customer=customer, limit=MAX_LISTED)
    listed = [_stored.decode(obligation.body) for obligation in found]
    for one in listed:
        one.held = one.state in ("open", "breached") and breakers.holds(one.principle, one.opened_at)
    return ObligationList(listed)


def record_act(
    log: SignalLog,
    obligation: StoredObligation | None,
    act: Act,
    request: ActRequest,
    *,
    at: int,
    received_ms: int,
) -> ActAnswer:
    """Appends the act, fsynced. Problem 404 for no such obligation of this tenant, 409 for one that is closed."""
    if obligation is None:
        # A decision tells what has just fallen due before the stream has written it (the next tick makes it do so).
        raise not_found("obligation; if a decision has only just told of it, try again after the next tick (10 s)")
    if obligation.state in ("met", "waived"):
        raise Problem(409, "conflict", f"this obligation is {obligation.state} already")
    record = ActRecord(act, obligation.tenant, obligation.customer, obligation.id, at, request.by, request.reason)
    customer = obligation.tenant, obligation.customer
    if not log.append_record(RecordKind.ACT, msgspec.json.encode(record), received_ms, customer=customer):
        raise not_found("obligation")
    return ActAnswer(act, obligation.id, obligation.customer, format_time(at), request.by, request.reason)
