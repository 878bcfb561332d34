"""Room for obligations: what has to go, and what is still known of it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.ids import stable_id
from membrane.ledger import KEPT, KEPT_PAST, make_room, openings, was_opened
from membrane.obligations import due_moments, required
from membrane.principles import MONEY_KINDS
from membrane.record import (
    BREACHED,
    MAX_BYTES,
    MET,
    OPEN,
    WAIVED,
    Case,
    Obligation,
    Past,
    Record,
    State,
    Tracker,
    encode,
)
from membrane.settings import TenantSettings
from membrane.times import DAY, HOUR
from membrane.vocabulary import STAGES, Stage
from tests.membrane.fakes_principles import NOON, default_pack, principle, principle_set

SETTINGS = TenantSettings()
PACK = default_pack()
YEAR = 365 * DAY


def case(name, opened=NOON, **fields):
    return Case(name, opened, opened, reported_at=opened, category="terminal", **({"severity": 3} | fields))


def customer(*cases, stage=Stage.STEADY, since=NOON - DAY, owed=()):
    episode = since if stage is Stage.CRISIS else 0
    tracker = Tracker(STAGES.index(stage), since, episode_at=episode)
    return Record("default", "c-1", 1, NOON, 0, State(first_at=1, cases=list(cases)), tracker, list(owed))


def opened(record, principles=PACK, t=NOON):
    return required(principles, record, SETTINGS, t=t, at=t)


def owing(n, *, kind="agent_call", state=OPEN, rule="r", opened_at=NOON, closed_at=0, about=""):
    name = stable_id(rule, n)
    return Obligation(name, rule, kind, "service", opened_at, NOON + DAY, state, "", about, 0, closed_at)


def rule(kind="agent_call", when="case.open > 0", **fields):
    obligation = {"kind": kind, "owner": "service", "due": "4h"} | fields
    return principle_set(principle(when, "require", obligation=obligation))


def meet(record, t):
    for one in record.obligations:
        if one.state in {OPEN, BREACHED}:
            one.state, one.closed_at = MET, t


def fill(record, t, count):
    """That many cases in a row, each owed a time, given one and resolved."""
    for n in range(count):
        record.state.cases = [*record.state.cases[-23:], case(f"{t}-{n}", t + n, severity=1)]
        opened(record, t=t + n)
        meet(record, t + n)
        record.state.cases[-1].resolved_at = t + n + 1


def test_money_is_not_owed_again_within_its_window_whatever_came_between():
    record = customer(stage=Stage.CRISIS, since=NOON - 80 * HOUR)
    assert [one.kind for one in opened(record)] == ["free_service"]
    meet(record, NOON + 1)
    fill(record, NOON + DAY, 100)
    record.tracker.since = record.tracker.episode_at = NOON + 20 * DAY
    assert [one.kind for one in opened(record, t=NOON + 32 * DAY)] == []
    record.tracker.since = record.tracker.episode_at = NOON + YEAR - 10 * DAY
    assert [one.kind for one in opened(record, t=NOON + YEAR)] == ["free_service"]


def test_what_was_met_for_a_case_still_open_is_not_opened_again():
    principles = rule("status_call", when="case.open > 0", once_per="case")
    record = customer(case("k-0"))
    [call] = opened(record, principles)
    meet(record, NOON)
    record.obligations += [owing(n, state=MET, closed_at=NOON + 1, rule=f"r-{n}") for n in range(KEPT - 1)]
    for n in range(60):
        record.state.cases = [record.state.cases[0], case(f"k-{n + 1}", NOON + n)]
        opened(record, principles, t=NOON + n)
        meet(record, NOON + n)
        assert opened(record, principles, t=NOON + n) == []
    assert was_opened(record, call.obligation)


def test_the_needless_go_first_then_the_oldest_closed():
    rules = rule("agent_call", once_per="case", at_most={24: "48h"})
    name = rules.principles[0].id
    old, counted, known, other = (
        owing(1, state=MET, rule=name, opened_at=NOON - 3 * DAY, closed_at=NOON - HOUR),
        owing(2, state=MET, rule=name, opened_at=NOON - DAY, closed_at=NOON - 9 * HOUR),
        Obligation(stable_id(name, "default", "c-1", "case:k-1"), name, "agent_call", "service", NOON - 3 * DAY, NOON,
                   WAIVED, "case", "k-1", 0, NOON - 8 * HOUR),
        owing(4, state=MET, rule="gone", opened_at=NOON - DAY, closed_at=NOON - 2 * HOUR),
    )  # fmt: skip
    full = [owing(n, rule=f"r-{n}") for n in range(KEPT - 4)]
    record = customer(case("k-1", resolved_at=NOON), owed=[*full, old, counted, known, other])
    gone = []
    for _ in range(4):
        before = list(record.obligations)
        assert make_room(record, rules, NOON)
        gone += [one for one in before if one not in record.obligations]
        record.obligations.append(owing(len(gone), rule="new"))
    assert gone == [other, old, counted, known]
    assert not make_room(record, rules, NOON)
    assert sorted(openings(record, name)) == sorted([counted.opened_at, known.opened_at])


def test_debts_that_find_no_room_are_counted_and_opened_when_there_is():
    record = customer(*(case(f"k-{n}") for n in range(3)), owed=[owing(n, rule=f"r-{n}") for n in range(KEPT - 1)])
    principles = rule(once_per="case")
    assert [one.about for one in opened(record, principles)] == ["k-0"]
    assert record.unopened == 2
    assert opened(record, principles) == []
    assert record.unopened == 2
    record.obligations[0].state = MET
    assert [one.about for one in opened(record, principles)] == ["k-1"]


def test_windows_of_what_went_still_make_room_at_their_time():
    principles = rule("service_credit", when="case.open > 0", every="24h", at_most={2: "72h"})
    name = principles.principles[0].id
    record = customer(case("k-1"), owed=[owing(1, state=MET)])
    record.past = [Past(1, int(stable_id(name), 16), NOON, money=True)]
    assert sorted(due_moments(record, principles)) == [NOON + DAY, NOON + 3 * DAY]
    assert opened(record, principles, t=NOON + DAY - 1) == []
    assert len(opened(record, principles, t=NOON + DAY)) == 1
    assert opened(record, principles, t=NOON + 2 * DAY) == []


@pytest.mark.parametrize("kind", ["free_service", "agent_call"])
@pytest.mark.parametrize("window", [{}, {"at_most": {1: "8760h"}}])
def test_where_money_was_forgotten_no_more_is_owed_within_the_window_but_care_is(kind, window):
    principles = rule(kind, once_per="case", **window)
    record = customer(case("k-1"))
    record.forgotten_at = NOON - YEAR + 1
    assert bool(opened(record, principles)) is (kind not in MONEY_KINDS)
    assert record.unopened == (kind in MONEY_KINDS)
    assert bool(opened(record, principles, t=NOON + 1)) is (kind in MONEY_KINDS)


def test_the_ledger_is_bounded_and_says_when_it_lost_money():
    monthly = rule("service_credit", every="1h", at_most={24: "8760h"})
    record = customer(case("k-1"), owed=[owing(n, rule=f"r-{n}") for n in range(KEPT)])
    for n in range(200):
        record.obligations[0] = owing(
            n, kind="free_service", state=MET, rule="of-another-set", opened_at=NOON + n, closed_at=NOON
        )
        assert make_room(record, monthly, NOON + YEAR)
        record.obligations.insert(0, owing(n, rule="new"))
    assert len(record.past) == KEPT_PAST
    assert record.forgotten_at == NOON + 200 - KEPT_PAST - 1


def test_what_nothing_needs_any_more_leaves_nothing():
    record = customer()
    fill(record, NOON, 200)
    assert all(one.kind == "promised_time" for one in record.obligations)
    assert (record.past, record.forgotten_at, record.unopened) == ([], 0, 0)


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans(), st.integers(0, 5)), max_size=60))
def test_no_window_ever_holds_more_than_at_most_and_no_id_is_opened_twice(steps):
    principles = principle_set(
        *(
            principle(
                "case.open > 0", "require", id=name,
                obligation={"kind": kind, "owner": "service", "due": "4h", "once_per": "case"} | more,
            )
            for name, kind, more in (
                ("money", "service_credit", {"at_most": {3: "8760h"}}),
                ("care", "agent_call", {}),
                ("more-care", "status_call", {}),
            )
        )
    )  # fmt: skip
    record, clock, ids, paid = customer(), NOON, [], []
    for number, (hours, met, reopened) in enumerate(steps):
        clock += hours * HOUR
        record.state.cases = [*record.state.cases[-23:], case(f"k-{number}", clock)]
        for known in record.state.cases:
            known.resolved_at = 0 if known.case.endswith(str(reopened)) else clock
        found = opened(record, principles, t=clock)
        ids += [one.obligation for one in found]
        paid += [one.opened_at for one in found if one.kind == "service_credit"]
        if met:
            meet(record, clock)
    assert len(record.obligations) <= KEPT
    assert len(record.past) <= KEPT_PAST
    assert len(ids) == len(set(ids))
    assert all(sum(other - YEAR < at <= other for at in paid) <= 3 for other in paid)


def test_a_full_ledger_and_all_that_is_owed_fit_a_record():
    record = customer(*(case(f"case-{n}", NOON + n) for n in range(24)))
    record.obligations = [
        owing(n, rule=f"rule-{n % 3}", about=f"case-{n}", opened_at=NOON + n * HOUR) for n in range(KEPT)
    ]
    record.past = [
        Past(int(stable_id(n), 16), int(stable_id(n % 3), 16), NOON + n * 7_777_777, money=False)
        for n in range(KEPT_PAST)
    ]
    assert len(encode(record)) <= MAX_BYTES
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record.past), type=list[Past]) == record.past
