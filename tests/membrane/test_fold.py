"""Law 2: features are a function of the set of signals and the clock."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.cases import KEPT_CASES, recurrences, relapse_products
from membrane.contacts import KEPT_CONTACTS
from membrane.features import FEATURE_NAMES, features
from membrane.fold import fold
from membrane.record import MAX_BYTES, Record, State, encode
from membrane.signals import StoredSignal, typed
from membrane.stages import dormant_from
from membrane.times import DAY, HOUR, MINUTE
from membrane.tracker import start
from membrane.vocabulary import channel_index
from tests.membrane import naive
from tests.strategies import START, signal, signals


def folded(stream: list[StoredSignal], currency: str = "") -> tuple[State, int]:
    state, clock = State(), 0
    for item in stream:
        clock = max(clock, item.time)
        fold(state, item, typed(item), clock, currency)
    return state, clock


def facts_of(state: State, t: int) -> dict[str, object]:
    """What a state says, lists in a fixed order."""
    return {
        "row": features(state, t),
        "cases": sorted(
            (c.case, c.open, c.opened_at, c.category, c.product, c.severity, c.status, c.eta or 0, c.resolved_at,
             recurrences(state, c))
            for c in state.cases
        ),
        "contacts": sorted((c.contact, c.made_at, c.outcome, c.opted_out_at) for c in state.contacts),
        "answers": sorted((c.contact, c.outcome, c.opted_out_at) for c in state.answers),
        "consents": state.consents,
        "profile": state.profile,
        "relapse": relapse_products(state, t),
        "dormant": dormant_from(state),
        "low": sorted((low.at, low.survey) for low in state.low_scores if low.survey != "~"),
        "life": (state.first_at, state.last_at, state.opened_at, state.closed_at, state.orders, state.order_value),
    }  # fmt: skip


@given(signals(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_show(stream: list[StoredSignal], rng: random.Random) -> None:
    shuffled = stream.copy()
    rng.shuffle(shuffled)
    (state, clock), (other, same) = folded(stream), folded(shuffled)
    assert same == clock
    assert facts_of(other, clock) == facts_of(state, clock)


@given(signals(), st.integers(0, 40 * DAY))
def test_windowed_features_equal_the_naive_reference(stream: list[StoredSignal], later: int) -> None:
    state, clock = folded(stream)
    row = dict(zip(FEATURE_NAMES, features(state, clock + later), strict=True))
    expected = naive.windowed(stream, clock + later)
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_there_are_at_least_forty_features_with_different_names() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) >= 40


def test_a_window_covers_the_tiles_that_begin_after_its_start_rounded_down() -> None:
    hour_start = START // HOUR * HOUR
    state, _ = folded([signal(1, "message.received", hour_start + 4 * MINUTE, {"channel": "chat"})])
    index = FEATURE_NAMES.index("contacts_in_1h")
    assert features(state, hour_start + 59 * MINUTE)[index] == 1
    assert features(state, hour_start + 60 * MINUTE)[index] == 0  # its tile began at t - 1 h, not after


def test_a_signal_older_than_the_windows_changes_lifetime_facts_only() -> None:
    now = signal(1, "order.placed", START, {"amount": 10})
    old = signal(2, "order.placed", START - 400 * DAY, {"amount": 5})
    (state, clock), (alone, _) = folded([now, old]), folded([now])
    row, before = features(state, clock), features(alone, clock)
    changed = {name for name, a, b in zip(FEATURE_NAMES, row, before, strict=True) if a != b}
    assert changed == {"orders_total", "order_value_mean", "tenure"}
    assert state.first_at == old.time


orders = st.lists(
    st.fixed_dictionaries(
        {}, optional={"amount": st.integers(0, 500), "currency": st.sampled_from(("COP", "EUR", "USD"))}
    ),
    min_size=1,
    max_size=8,
)


@given(orders, st.randoms(use_true_random=False))
def test_amounts_in_another_currency_are_counted_and_not_summed(given: list[dict[str, object]], rng: random.Random):
    stream = [signal(number, "order.placed", START + number * DAY, data) for number, data in enumerate(given)]
    rng.shuffle(stream)
    state, clock = folded(stream, "COP")
    row = dict(zip(FEATURE_NAMES, features(state, clock), strict=True))
    foreign = [one for one in given if one.get("currency", "COP") != "COP" and "amount" in one]
    own = [one for one in given if one not in foreign]
    total = sum(int(str(one.get("amount", 0))) for one in own)
    assert (row["orders_total"], row["orders_30d"], state.foreign_orders) == (len(given), len(given), len(foreign))
    assert row["order_value_30d"] == total
    assert row["order_value_mean"] == pytest.approx(total / len(own) if own else 0)


@given(orders)
def test_without_a_currency_amounts_are_summed_as_they_come(given: list[dict[str, object]]) -> None:
    state, _ = folded([signal(number, "order.placed", START, data) for number, data in enumerate(given)])
    assert state.order_value == 100 * sum(int(str(one.get("amount", 0))) for one in given)
    assert state.foreign_orders == 0


def test_the_fifth_report_of_a_problem_has_four_recurrences() -> None:
    stream = []
    for number in range(5):
        t = START + number * DAY
        opened = {"case": f"C{number}", "category": "net", "product": "T1", "severity": 3}
        stream.append(signal(2 * number, "case.opened", t, opened))
        stream.append(signal(2 * number + 1, "case.resolved", t + HOUR, {"case": f"C{number}"}))
    state, _ = folded(stream)
    assert [recurrences(state, case) for case in state.cases] == [0, 1, 2, 3, 4]


def test_a_reopening_counts_as_a_report_for_later_cases_only() -> None:
    opened = {"category": "net", "product": "T1", "severity": 3}
    state, _ = folded(
        [
            signal(1, "case.opened", START, {"case": "A", **opened}),
            signal(2, "case.reopened", START + DAY, {"case": "A"}),
            signal(3, "case.opened", START + 2 * DAY, {"case": "B", **opened}),
        ]
    )
    assert {case.case: recurrences(state, case) for case in state.cases} == {"A": 0, "B": 2}


def test_a_replaced_product_starts_without_recurrences() -> None:
    opened = {"category": "net", "product": "T1", "severity": 3}
    state, _ = folded(
        [
            signal(1, "case.opened", START, {"case": "A", **opened}),
            signal(2, "product.replaced", START + DAY, {"old": "T1", "new": "T2"}),
            signal(3, "case.opened", START + 2 * DAY, {"case": "B", **opened}),
        ]
    )
    assert recurrences(state, state.cases[-1]) == 0


def test_reports_outside_thirty_days_do_not_count() -> None:
    opened = {"category": "net", "product": "T1", "severity": 3}
    state, _ = folded(
        [
            signal(1, "case.opened", START, {"case": "A", **opened}),
            signal(2, "case.opened", START + 30 * DAY, {"case": "B", **opened}),
            signal(3, "case.opened", START + 60 * DAY - 1, {"case": "C", **opened}),
        ]
    )
    assert [recurrences(state, case) for case in state.cases] == [0, 0, 1]


def test_an_update_of_an_unknown_case_opens_it_with_severity_three_and_no_report() -> None:
    state, _ = folded([signal(1, "case.updated", START, {"case": "A", "status": "waiting_on_customer"})])
    case = state.cases[0]
    assert (case.open, case.severity, case.category, state.problems) == (True, 3, "", [])


@pytest.mark.parametrize(("later", "is_open"), [("case.reopened", True), ("case.opened", True)])
def test_what_names_a_resolved_case_again_reopens_it(later: str, is_open: bool) -> None:
    opened = {"case": "A", "category": "net", "severity": 3}
    data = opened if later == "case.opened" else {"case": "A"}
    state, _ = folded(
        [
            signal(1, "case.opened", START, opened),
            signal(2, "case.resolved", START + HOUR, {"case": "A"}),
            signal(3, later, START + 2 * HOUR, data),
        ]
    )
    assert state.cases[0].open is is_open


def test_an_unsubscribed_answer_opts_out_of_the_channel_and_domain_of_its_contact_in_either_order() -> None:
    made = signal(1, "contact.made", START, {"domain": "marketing", "kind": "upsell", "channel": "sms", "contact": "k"})
    answered = signal(2, "contact.answered", START + HOUR, {"contact": "k", "outcome": "unsubscribed"})
    for stream in ([made, answered], [answered, made]):
        state, _ = folded(stream)
        assert list(state.consents.values()) == [(START + HOUR, False)]


def test_each_part_of_a_profile_is_the_latest_word_on_it() -> None:
    first = {"channels": ["sms", "email", "sms"], "preferred_channel": "email", "vulnerable": True, "language": "es"}
    words = [
        signal(1, "profile.updated", START, first),
        signal(2, "profile.updated", START + 1, {"preferred_channel": "carrier-pigeon", "vulnerable": False}),
        signal(3, "account.opened", START + 2, {"language": "en", "timezone": "UTC"}),
    ]
    for order in permutations(words):
        profile = folded(list(order))[0].profile
        assert profile.channels == ([channel_index("email"), channel_index("sms")], START)
        assert profile.preferred_channel == (channel_index("other"), START + 1)
        assert (profile.vulnerable, profile.language) == ((False, START + 1), ("en", START + 2))


def test_the_latest_ends_of_interactions_and_touchpoints_are_kept() -> None:
    stream = [
        signal(n, "interaction.ended", START + n, {"interaction": f"i{n}", "channel": "phone", "touchpoint": "support"})
        for n in range(12)
    ]
    state, _ = folded(stream)
    assert state.ended == {f"i{n}": START + n for n in range(4, 12)}
    assert state.ended_touchpoints == {"support": START + 11}


def test_credits_are_counted_for_life_and_by_window() -> None:
    state, clock = folded([signal(n, "credit.given", START + n * 20 * DAY, {"kind": "refund"}) for n in range(3)])
    assert (state.credits, features(state, clock)[FEATURE_NAMES.index("credits_30d")]) == (3, 2)


def test_lists_are_bounded_by_recency_and_overflow_is_counted() -> None:
    stream = [
        signal(n, "case.opened", START + n, {"case": f"C{n}", "category": "x", "severity": 4}) for n in range(40)
    ] + [
        signal(100 + n, "contact.made", START + n, {"domain": "sales", "kind": "upsell", "channel": "sms"})
        for n in range(50)
    ]
    state, _ = folded(stream)
    assert [case.case for case in state.cases] == [f"C{n}" for n in range(40 - KEPT_CASES, 40)]
    assert len(state.contacts) == KEPT_CONTACTS
    assert state.overflow == (40 - KEPT_CASES) + (50 - KEPT_CONTACTS)


@pytest.mark.parametrize(
    ("length", "ids", "words", "pace", "most"),
    [(8, 12, 4, 4 * HOUR, MAX_BYTES), (128, 200, 200, 40 * MINUTE, 2 * MAX_BYTES)],
    ids=["busy", "hostile"],
)
def test_a_record_stays_bounded_whatever_comes(length: int, ids: int, words: int, pace: int, most: int) -> None:
    """4 KiB for a very busy customer: a signal every two hours for eight months, a dozen cases and contacts, a few
    categories and products; twice that for one every 20 minutes with ever new random names of 128 characters."""
    rng = random.Random(7)
    names = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length)) for _ in range(ids)]
    state, clock = State(), START
    largest = 0
    for number in range(3000):
        clock += rng.randrange(pace)
        kind, data = _anything(rng, names, names[:words])
        item = signal(number, kind, clock, data)
        fold(state, item, typed(item), clock)
        if number % 50 == 0:
            record = Record("default", "c" * 256, number, clock, 0, state, start(START))
            largest = max(largest, len(encode(record)))
    assert largest <= most


def _anything(rng: random.Random, names: list[str], words: list[str]) -> tuple[str, dict[str, object]]:
    channel = rng.choice(("email", "sms", "phone", "push", "app", "chat", "web", "ivr", "letter", "visit", "social"))
    return rng.choice(
        [
            ("message.received", {"channel": channel, "sentiment": rng.uniform(-1, 1)}),
            ("contact.made", {"domain": rng.choice(("sales", "service", "survey", "billing", "legal", "marketing")),
                              "kind": "upsell", "channel": channel, "contact": rng.choice(names)}),
            ("case.opened", {"case": rng.choice(names), "category": rng.choice(words), "product": rng.choice(words),
                             "severity": rng.randint(1, 4)}),
            ("case.reopened", {"case": rng.choice(names)}),
            ("usage.measured", {"metric": rng.choice(words[:12]), "value": rng.uniform(-1e9, 1e9)}),
            ("consent.changed", {"channel": channel, "domain": rng.choice(("sales", "survey", "legal")),
                                 "granted": rng.random() < 0.5}),
            ("order.placed", {"amount": rng.uniform(0, 1e9)}),
            ("interaction.ended", {"interaction": rng.choice(names), "channel": channel, "transfers": 3}),
            ("product.replaced", {"old": rng.choice(words), "new": "n"}),
            ("survey.answered", {"instrument": "csat", "score": rng.randint(1, 5), "survey": rng.choice(names)}),
            ("profile.updated", {"segment": rng.choice(words), "language": rng.choice(words),
                                 "timezone": rng.choice(words)}),
        ]
    )  # fmt: skip
