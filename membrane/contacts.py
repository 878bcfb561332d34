"""Contacts, their answers and consents, as parts of the fold."""

from __future__ import annotations

from typing import Final

from membrane import signals as s
from membrane.record import Contact, State
from membrane.signals import StoredSignal
from membrane.tiles import MEASURE, OUT_CHANNEL, OUT_DOMAIN, add
from membrane.vocabulary import DOMAIN_INDEX, OUTCOMES, channel_index, domain_index

KEPT_CONTACTS: Final = 32
KEPT_BYTES: Final = 900
_SERVICE: Final = DOMAIN_INDEX["service"]
_OPT_OUTS: Final = frozenset({"unsubscribed", "complained"})
_POSITIVE: Final = frozenset({"opened", "clicked", "converted"})


def make_contact(state: State, data: s.ContactMade, signal: StoredSignal, t: int, clock: int) -> None:
    """contact.made: one more contact, with the answer that may have come before it."""
    name = data.contact or f"~{signal.id}"
    domain, channel = domain_index(data.domain), channel_index(data.channel)
    if domain == _SERVICE:
        state.service_contact_at = max(state.service_contact_at, t)
    contact = Contact(name, t, t, domain, channel, data.kind, data.permit or "")
    for known in [known for known in state.contacts if known.contact == name]:
        contact.outcome, contact.outcome_at = known.outcome, known.outcome_at
        contact.opted_out_at = known.opted_out_at
        contact.at = max(contact.at, known.outcome_at)
        if known.made_at in (0, t):
            state.contacts.remove(known)
    _keep(state, contact)
    if contact.opted_out_at:
        set_consent(state, channel, domain, False, contact.opted_out_at)
    add(state, t, clock, ((MEASURE["out"], 1), (OUT_CHANNEL + channel, 1), (OUT_DOMAIN + domain, 1)))


def answer_contact(state: State, data: s.ContactAnswered, signal: StoredSignal, t: int, clock: int) -> None:
    """contact.answered: the latest answer goes to every contact of that id, known or still to come."""
    opted_out = t if data.outcome in _OPT_OUTS else 0
    answered = [known for known in state.contacts if known.contact == data.contact]
    if not answered:
        answered = [Contact(data.contact, t)]
        _keep(state, answered[0])
    for contact in answered:
        contact.at = max(contact.at, t)
        rank = (t, OUTCOMES.index(data.outcome))
        contact.outcome_at, contact.outcome = max((contact.outcome_at, contact.outcome), rank)
        contact.opted_out_at = max(contact.opted_out_at, opted_out)
        if opted_out and contact.made_at:
            set_consent(state, contact.channel, contact.domain, False, opted_out)
    state.contacts.sort(key=_recency)
    if data.outcome == "complained":
        state.complained_at = max(state.complained_at, t)
    if opted_out:
        add(state, t, clock, ((MEASURE["opt_outs"], 1),))
    elif data.outcome in _POSITIVE:
        add(state, t, clock, ((MEASURE["answers_positive"], 1),))
    else:
        add(state, t, clock, ((MEASURE["answers_ignored"], 1),))


def change_consent(state: State, data: s.ConsentChanged, signal: StoredSignal, t: int, clock: int) -> None:
    """consent.changed: the latest word on a channel and domain."""
    set_consent(state, channel_index(data.channel), domain_index(data.domain), data.granted, t)


def set_consent(state: State, channel: int, domain: int, granted: bool, t: int) -> None:
    """The latest event time wins, a refusal wins a tie."""
    key = consent_key(channel, domain)
    known = state.consents.get(key)
    if known is None or (t, not granted) > (known[0], not known[1]):
        state.consents[key] = (t, granted)


def consent_key(channel: int, domain: int) -> int:
    """Where the consent for a channel and domain (both indexes) stands in `State.consents`."""
    return channel * 8 + domain


def _recency(contact: Contact) -> tuple[int, str, int]:
    return contact.at, contact.contact, contact.made_at


def _keep(state: State, contact: Contact) -> None:
    contacts = state.contacts
    contacts.append(contact)
    contacts.sort(key=_recency)
    while len(contacts) > KEPT_CONTACTS or (len(contacts) > 1 and _size(contacts) > KEPT_BYTES):
        del contacts[0]
        state.overflow += 1


def _size(contacts: list[Contact]) -> int:
    return sum(len(known.contact) + len(known.kind) + len(known.permit) for known in contacts)
