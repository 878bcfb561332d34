"""Contacts, their answers and consents, as parts of the fold."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from bisect import insort
from hashlib import blake2b
from typing import Final

from membrane import signals as s
from membrane.record import Contact, State
from membrane.signals import StoredSignal
from membrane.tiles import MEASURE, OUT_CHANNEL, OUT_DOMAIN, add
from membrane.vocabulary import DOMAIN_INDEX, OUTCOMES, channel_index, domain_index

KEPT_CONTACTS: Final = 32
"""The latest made are kept; caps count them (`membrane.caps`), so no cap is greater."""
KEPT_ANSWERS: Final = 8
KEPT_KIND: Final = 24
"""So many characters of a kind are kept: more than any known kind has, so a cut one stays unknown."""
_KEPT_ID: Final = 16
_HASHED: Final = "#"
_SERVICE: Final = DOMAIN_INDEX["service"]
_OPT_OUTS: Final = frozenset({"unsubscribed", "complained"})
_POSITIVE: Final = frozenset({"opened", "clicked", "converted"})


def make_contact(state: State, data: s.ContactMade, signal: StoredSignal, t: int, clock: int) -> None:
    """contact.made: one more contact, with the answer that may have come before it."""
    domain, channel = domain_index(data.domain), channel_index(data.channel)
    if domain == _SERVICE:
        state.service_contact_at = max(state.service_contact_at, t)
    name = brief(data.contact or f"~{signal.id}")
    contact = Contact(name, t, domain, channel, data.kind[:KEPT_KIND], brief(data.permit or ""))
    order = _order(contact)
    if all(_order(known) != order for known in state.contacts):
        for known in (*state.answers, *state.contacts):
            if known.contact == name:
                contact.outcome, contact.outcome_at = known.outcome, known.outcome_at
                contact.opted_out_at = known.opted_out_at
        if contact.opted_out_at:
            set_consent(state, channel, domain, False, contact.opted_out_at)
        _keep(state, contact)
    add(state, t, clock, ((MEASURE["out"], 1), (OUT_CHANNEL + channel, 1), (OUT_DOMAIN + domain, 1)))


def answer_contact(state: State, data: s.ContactAnswered, signal: StoredSignal, t: int, clock: int) -> None:
    """contact.answered: the latest answer goes to every contact of that id, known or still to come."""
    opted_out = t if data.outcome in _OPT_OUTS else 0
    for contact in _answered(state, brief(data.contact)):
        contact.outcome_at, contact.outcome = max(
            (contact.outcome_at, contact.outcome), (t, OUTCOMES.index(data.outcome))
        )
        contact.opted_out_at = max(contact.opted_out_at, opted_out)
        if opted_out and contact.made_at:
            set_consent(state, contact.channel, contact.domain, False, opted_out)
    _bound_answers(state)
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


def brief(name: str) -> str:
    """How the id of a contact or permit is kept: as it is up to 16 characters, else as `#` and a hash of 64 bits, so
    that long ids make no room for fewer contacts.

    >>> brief("k-1"), brief("0b9d2f0c-6c1e-4a53-8b57-31f3f0f9a1c2")
    ('k-1', '#dRaJa1dayEA')
    """
    if len(name) <= _KEPT_ID and name.isascii() and not name.startswith(_HASHED):
        return name
    return _HASHED + urlsafe_b64encode(blake2b(name.encode(), digest_size=8).digest())[:11].decode()


def told_id(name: str) -> str | None:
    """The id that was told, None where only its hash is kept."""
    return None if name.startswith(_HASHED) else name


def _order(contact: Contact) -> tuple[int, str, int, int, str, str]:
    """By when it was made; two that are equal in this are one."""
    return contact.made_at, contact.contact, contact.domain, contact.channel, contact.kind, contact.permit


def _keep(state: State, contact: Contact) -> None:
    """Which are kept, and what is said of the others, is a function of the set of contacts."""
    contacts = state.contacts
    insort(contacts, contact, key=_order)
    if len(contacts) > KEPT_CONTACTS:
        lost = contacts.pop(0)
        state.contacts_lost[lost.domain] = max(lost.made_at, state.contacts_lost.get(lost.domain, 0))
        state.overflow += 1
    if contact in contacts:
        state.answers = [answer for answer in state.answers if answer.contact != contact.contact]


def _answered(state: State, name: str) -> list[Contact]:
    for among in (state.contacts, state.answers):
        found = [known for known in among if known.contact == name]
        if found:
            return found
    state.answers.append(Contact(name))
    return state.answers[-1:]


def _bound_answers(state: State) -> None:
    state.answers.sort(key=lambda answer: (answer.outcome_at, answer.contact))
    while len(state.answers) > KEPT_ANSWERS:
        del state.answers[0]
        state.overflow += 1
