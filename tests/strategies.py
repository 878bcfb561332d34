"""Random signals of one customer, for property tests."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from membrane.signals import StoredSignal
from membrane.times import DAY, HOUR, MINUTE, format_time
from membrane.vocabulary import CHANNELS, DOMAINS, OUTCOMES

START = 1_780_000_000_000
CASES = ("A", "B", "C", "D")

channels = st.sampled_from(CHANNELS)
names = st.sampled_from(("email", "sms", "phone", "carrier-pigeon"))
tones = st.integers(-100, 100).map(lambda n: n / 100)


def _moment(t: int) -> str:
    return format_time(t)


times = st.one_of(
    st.integers(0, 3 * DAY),
    st.integers(0, 40 * DAY),
    st.integers(-3 * 365 * DAY, 0),
    st.sampled_from([0, 1, 5 * MINUTE, HOUR, HOUR - 1, DAY, DAY + 1, 7 * DAY, 30 * DAY, 30 * DAY - 1]),
).map(lambda offset: START + offset)

etas = st.integers(-DAY, 5 * DAY).map(lambda offset: _moment(START + offset))

payloads: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "message.received": st.fixed_dictionaries({"channel": names, "sentiment": tones}),
    "interaction.ended": st.fixed_dictionaries(
        {"interaction": st.sampled_from("IJK"), "channel": names},
        optional={"resolved": st.booleans(), "transfers": st.integers(0, 3), "direction": st.just("outbound")},
    ),
    "contact.made": st.fixed_dictionaries(
        {"domain": st.sampled_from(DOMAINS[:6]), "kind": st.sampled_from(("nps", "upsell")), "channel": names},
        optional={"contact": st.sampled_from("xyz")},
    ),
    "contact.answered": st.fixed_dictionaries(
        {"contact": st.sampled_from("xyz"), "outcome": st.sampled_from(OUTCOMES)}
    ),
    "case.opened": st.fixed_dictionaries(
        {
            "case": st.sampled_from(CASES),
            "category": st.sampled_from(("net", "bill")),
            "severity": st.integers(1, 4),
        },
        optional={"product": st.sampled_from(("T1", "T2")), "eta": etas},
    ),
    "case.updated": st.fixed_dictionaries(
        {"case": st.sampled_from(CASES)},
        optional={
            "severity": st.integers(1, 4),
            "status": st.sampled_from(("open", "waiting_on_customer")),
            "eta": st.one_of(st.none(), etas),
            "category": st.sampled_from(("net", "bill")),
            "product": st.sampled_from(("T1", "T2")),
        },
    ),
    "case.resolved": st.fixed_dictionaries(
        {"case": st.sampled_from(CASES)}, optional={"resolution_code": st.sampled_from(("fixed", "auto_closed"))}
    ),
    "case.reopened": st.fixed_dictionaries({"case": st.sampled_from(CASES)}),
    "usage.measured": st.fixed_dictionaries({"metric": st.sampled_from("mn"), "value": st.integers(0, 100)}),
    "order.placed": st.fixed_dictionaries({"amount": st.integers(0, 500)}),
    "order.cancelled": st.just({}),
    "payment.failed": st.just({}),
    "credit.given": st.just({"kind": "refund"}),
    "survey.sent": st.just({"survey": "s", "instrument": "nps"}),
    "product.replaced": st.fixed_dictionaries({"old": st.sampled_from(("T1", "T2")), "new": st.just("T3")}),
    "survey.answered": st.one_of(
        st.fixed_dictionaries({"instrument": st.just("nps"), "score": st.integers(0, 10)}),
        st.fixed_dictionaries(
            {"instrument": st.sampled_from(("csat", "ces")), "score": st.integers(1, 5), "survey": st.just("s")}
        ),
    ),
    "consent.changed": st.fixed_dictionaries(
        {"channel": names, "domain": st.sampled_from(DOMAINS[:3]), "granted": st.booleans()}
    ),
    "account.opened": st.just({}),
    "account.closed": st.just({}),
    "profile.updated": st.fixed_dictionaries(
        {}, optional={"language": st.sampled_from(("es", "en")), "vulnerable": st.booleans()}
    ),
    "label.given": st.fixed_dictionaries(
        {"target": st.just("stage"), "value": st.sampled_from(("crisis", "steady")), "by": st.just("ana")}
    ),
    "journey.moved": st.just({"journey": "j", "step": "s", "status": "done"}),
    "incident.declared": st.just({"incident": "i"}),
    "incident.updated": st.just({"incident": "i"}),
    "incident.resolved": st.just({"incident": "i"}),
}


@st.composite
def signals(draw: st.DrawFn, *, max_size: int = 40) -> list[StoredSignal]:
    """Signals of one customer in order of arrival, their times anything."""
    kinds = draw(st.lists(st.sampled_from(sorted(payloads)), min_size=1, max_size=max_size))
    return [signal(number, kind, draw(times), draw(payloads[kind])) for number, kind in enumerate(kinds)]


def signal(number: int, kind: str, t: int, data: dict[str, Any], *, customer: str = "c-1") -> StoredSignal:
    """One signal, as the log keeps it."""
    body = msgspec.Raw(json.dumps(data).encode())
    return StoredSignal("default", customer, "tests", str(number), f"cx.{kind}.v1", t, body)
