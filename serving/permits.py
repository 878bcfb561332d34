"""Permits: saying that a permitted contact was made (a contact.made signal of the log), or will not be."""

from __future__ import annotations

from typing import Final

import msgspec

from membrane.decisions import Candidate
from membrane.signals import Text, check
from membrane.times import format_time, parse_time
from serving.incoming import new_signals
from serving.problems import Problem, not_found, parsed
from storage.claims import CONFIRMED, RELEASED, ClaimStore, Permit, PermitState
from storage.log import SignalLog

SOURCE: Final = "membrane"
"""The source of the signals that confirming appends."""


class ConfirmRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of the contact made: its own id (else the permit's), campaign and topic (else the candidate's)."""

    contact: Text | None = None
    campaign: Text | None = None
    topic: Text | None = None


class PermitView(msgspec.Struct):
    """A permit and what became of it."""

    permit: str
    state: PermitState
    customer: str
    candidate: str
    decision: str
    granted_at: str
    until: str
    changed_at: str


_LIVE: Final = {"state": "live"}
_request: Final = msgspec.json.Decoder(ConfirmRequest)
_candidate: Final = msgspec.json.Decoder(Candidate)


def parse_confirm(body: bytes) -> ConfirmRequest:
    """The body of a confirmation, which may be empty. Problem 400 or 422."""
    if not body.strip():
        return ConfirmRequest()
    return parsed(_request, body)


def find_permit(store: ClaimStore, tenant: str, permit: str) -> Permit:
    """A tenant's permit; Problem 404 (a permit is known for a day after its end)."""
    found = store.permit(tenant, permit)
    if found is None:
        raise not_found("permit")
    return found


def permit_view(permit: Permit, now: int) -> PermitView:
    """A permit as the API shows it."""
    return PermitView(
        permit=permit.id,
        state=permit.state_at(now),
        customer=permit.customer,
        candidate=permit.candidate,
        decision=permit.decision,
        granted_at=format_time(permit.made_ms),
        until=format_time(permit.until_ms),
        changed_at=format_time(permit.changed_ms),
    )


def confirm(
    store: ClaimStore, log: SignalLog, tenant: str, permit: str, request: ConfirmRequest, *, now: int, received_ms: int
) -> PermitView:
    """Says that the contact was made, once; Problem 404, and 409 for a permit that is no longer live, or whose moment
    has not come.

    The claim is settled before the contact is appended: whoever gets no answer in between asks again, and the signal's
    id keeps it from being stored twice.
    """
    send_at = _candidate.decode(find_permit(store, tenant, permit).body).send_at
    if send_at is not None and parse_time(send_at) > now:
        raise Problem(409, "conflict", f"this permit is for {send_at}: it cannot be confirmed before", extra=_LIVE)
    found = _settled(store, tenant, permit, CONFIRMED, now)
    log.append(new_signals([check(_contact_made(found, request), tenant)]), received_ms)
    return permit_view(found, now)


def release(store: ClaimStore, tenant: str, permit: str, *, now: int) -> PermitView:
    """Gives the slot back; Problem 404, and 409 for a permit that is no longer live."""
    return permit_view(_settled(store, tenant, permit, RELEASED, now), now)


def _settled(store: ClaimStore, tenant: str, permit: str, state: int, now: int) -> Permit:
    store.settle(tenant, permit, state, now)
    found = find_permit(store, tenant, permit)
    if found.state != state:
        was = found.state_at(now)
        detail = f"this permit is {was}: a live one is required"
        raise Problem(409, "conflict", detail, extra={"state": was})
    return found


def _contact_made(permit: Permit, request: ConfirmRequest) -> bytes:
    candidate = _candidate.decode(permit.body)
    data = {
        "domain": candidate.domain,
        "kind": candidate.kind,
        "channel": candidate.channel,
        "contact": request.contact or permit.id,
        "permit": permit.id,
        "campaign": request.campaign or candidate.campaign,
        "topic": request.topic or candidate.topic,
    }
    event = {
        "specversion": "1.0",
        "id": f"permit:{permit.id}",
        "source": SOURCE,
        "type": "cx.contact.made.v1",
        "subject": permit.customer,
        "time": format_time(permit.changed_ms),
        "data": {name: value for name, value in data.items() if value is not None},
    }
    return msgspec.json.encode(event)
