"""Erasing a customer from every store: nothing of it is left, and all that is another's stays."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane.pauses import Pause, PauseRecord
from membrane.ports import Commit, Effect, RecordKind, partition_of
from storage import erasing
from storage.claims import ClaimStore
from storage.decisions import DecisionLog
from storage.directory import DataDir
from storage.learner import Learned, LearnerStore
from storage.log import SignalLog
from storage.records import RecordStore
from storage.schema import RECORDS
from storage.set_aside import NewDeadLetter
from storage.slots import find, remove
from storage.sqlite import connect, connect_readonly, select

NAME, SECRET = "erasable-customer", b"a-secret-of-some-length"


def letters(log):
    return [(one.reason, one.source, one.id, one.payload) for one in log.dead_letters(100)]


def test_the_log_holds_nothing_of_an_erased_customer_any_more(directory, log, make_signal):
    mine = [make_signal(str(n), NAME, consents=((0, 0, True, n),)) for n in range(5)]
    log.append([*mine, make_signal("x", "other", consents=((0, 0, False, 1),))], 7)
    letter = b'{"subject": "%s", "data": "%s"}' % (NAME.encode(), SECRET)
    log.append([], 8, [NewDeadLetter("unknown_type", "t", NAME, 0, "crm", "9", letter)])
    partition = partition_of("t", NAME, 2)
    log.poison(partition, 0, 9)
    pause = Pause("p", "t", "customer", NAME, 1, 99, "ana", "why")
    assert log.pause(PauseRecord("pause", 1, "ana", "why", pause), 9)
    removed, stone = log.erase("t", NAME, 10, 11)
    assert removed == {"records": 6, "consents": 1, "dead_letters": 2, "pauses": 1}
    assert log.timeline("t", NAME, None, 10) == [] == log.consents("t", NAME) == log.pauses(0)
    assert [one.kind for one in log.read(partition, stone.offset, 9)] == [RecordKind.ERASE]
    assert log.end(partition) == stone.offset + 1
    assert len(log.timeline("t", "other", None, 10)) == len(log.consents("t", "other")) == 1
    erasing.purge(directory.log_path)
    files = [path.read_bytes() for path in directory.path.glob("log.db*")]
    assert [NAME.encode() in body or SECRET in body for body in files] == [False] * len(files)


def test_what_comes_after_an_erasure_is_set_aside_and_tells_of_nobody(log, make_signal):
    log.append([make_signal("1", NAME)], 1)
    log.erase("t", NAME, 2, 2)
    dead = NewDeadLetter("unknown_type", "t", NAME, 2, f"crm/{NAME}", "z", SECRET)
    signals = [make_signal("1", NAME), make_signal("2", "other"), make_signal("2", "other")]
    assert log.append(signals, 3, [dead]) == [None, True, False]
    assert letters(log) == [("erased", "crm", "", b""), ("erased", "", "", b"")]
    assert log.append_record(RecordKind.ACT, b"{}", 4, customer=("t", NAME)) is False
    pause = Pause("p", "t", "customer", NAME, 1, 99, "ana", "why")
    assert log.pause(PauseRecord("pause", 1, "ana", "why", pause), 9) is False
    assert log.timeline("t", NAME, None, 10) == []
    assert log.append([make_signal("1", NAME, tenant="u")], 5) == [True]


@pytest.mark.parametrize(
    "letter",
    [b'{"subject": "a", "subject": "%s"}', b'{"data": "\\u0000", "subject": "%s"}', b'{"subject": "%s", "x": [{}]}'],
)
def test_a_dead_letter_goes_whoever_it_seems_to_be_about(log, letter):
    """As it is read when it comes in: of two subjects the last counts."""
    log.append([], 8, [NewDeadLetter("unknown_type", "t", NAME, 0, "crm", "9", letter % NAME.encode())])
    log.append([], 8, [NewDeadLetter("unknown_type", "t", "other", 0, "crm", "9", b'{"subject": "other"}')])
    log.append([], 8, [NewDeadLetter("unknown_type", "t", "other", 0, "crm", "9", b"no JSON")])
    assert log.erase("t", NAME, 9, 9)[0] == {"dead_letters": 1}
    assert len(letters(log)) == 2


def test_to_erase_again_appends_nothing_and_keeps_the_first_moment(log, make_signal):
    log.append([make_signal("1", NAME)], 1)
    first = log.erase("t", NAME, 2, 2)[1]
    assert log.erase("t", NAME, 9, 9) == ({}, first)
    assert log.erasure("t", NAME) == first
    assert log.end(partition_of("t", NAME, 2)) == first.offset + 1


def test_what_the_other_stores_hold_of_a_customer_goes(directory):
    with closing(DecisionLog(directory.decisions_path)) as decisions:
        for customer in (NAME, "other"):
            decisions.put(f"d-{customer}", "t", customer, 1, b'{"customer": "%s"}' % customer.encode())
    with closing(ClaimStore(directory.claims_path)) as claims, claims.reserving("t", NAME, 1) as held:
        held.remember("key", b"digest", b'{"customer": "%s"}' % NAME.encode())
    assert {path.name for path in erasing.other_stores(directory)} == {"decisions.db", "claims.db"}
    assert erasing.count_rows(directory.decisions_path, "t", NAME) == {"decisions": 1}
    assert erasing.erase_from(directory.decisions_path, "t", NAME) == {"decisions": 1}
    assert erasing.erase_from(directory.claims_path, "t", NAME) == {"answers": 1}
    for path in erasing.other_stores(directory):
        erasing.purge(path)
        assert erasing.count_rows(path, "t", NAME) == {}
    assert not any(NAME.encode() in path.read_bytes() for path in directory.path.rglob("*") if path.is_file())
    assert erasing.count_rows(directory.decisions_path, "t", "other") == {"decisions": 1}


def test_the_learner_forgets_what_was_last_said_of_a_customer(directory):
    with closing(LearnerStore.open(directory)) as learner:
        learner.commit(Learned(places=b"[]", previous={"stage": {("t", NAME): 3, ("t", "other"): 4}}))
        assert erasing.erase_from(directory.path / "learn" / "learner.db", "t", NAME) == {"previous": 1}
        assert [learner.previous("stage", ("t", one)) for one in (NAME, "other")] == [None, 4]


@pytest.mark.parametrize("missing", ["openings", "obligation_tallies"])
def test_a_checkpoint_of_before_there_were_counts_is_erased_from(directory, missing):
    with closing(RecordStore.open_for_writing(directory, 0)) as store:
        owed = ("o", "t", NAME, "open", "service", 9, b"{}")
        store.commit(Commit([("t", NAME, SECRET)], [("t", NAME, 5)], [], [owed], 1))
    with closing(connect(directory.records_path(0))) as connection:
        connection.execute(f"DROP TABLE {missing}").fetchall()
    assert erasing.erase_from(directory.records_path(0), "t", NAME) == {"records": 1, "obligations": 1}


def test_an_erased_record_and_what_came_of_it_go_and_no_number_of_an_effect_is_given_again(directory):
    partition = partition_of("t", NAME, 2)
    with closing(RecordStore.open_for_writing(directory, partition)) as store:
        effect = Effect("e", 1, "stage", "t", NAME, 1, b"{}")
        owed = ("o", "t", NAME, "open", "service", 9, b'{"principle": "p", "opened_at": "2026-11-14T09:00:00Z"}')
        store.commit(Commit([("t", NAME, SECRET)], [("t", NAME, 5)], [effect], [owed], 1))
        told = Effect("told", 2, "erased", "t", "", 2, b"{}")
        store.commit(Commit(effects=[told], next_offset=2, erased=[("t", NAME)]))
        path = directory.records_path(partition)
        assert erasing.count_rows(path, "t", NAME) == {}
        with closing(connect_readonly(path)) as connection:
            assert select(connection, "SELECT seq, id FROM effects") == [(2, "told")]
            assert select(connection, "SELECT count(*) FROM openings") == [(0,)]
            assert select(connection, "SELECT state, count FROM obligation_tallies") == [("open", 0)]
        erasing.purge(path)
    assert not any(text in path.read_bytes() for text in (NAME.encode(), SECRET))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), unique_by=lambda one: one[1], max_size=12), st.data())
def test_who_shares_a_key_is_found_whoever_of_them_goes(homes, data):
    """Customers of the same and neighbouring hashes, all removed in any order: the others are always found."""
    home = {str(number): key for key, number in homes}
    connection = apsw.Connection(":memory:")
    connection.execute(RECORDS).fetchall()

    def key_of(_tenant: str, customer: str) -> int:
        return home[customer]

    for customer in home:
        key = find(connection, "t", customer, key_of)[0]
        connection.execute("INSERT INTO records VALUES(?, 't', ?, NULL, ?)", (key, customer, customer.encode()))
    left = data.draw(st.permutations(sorted(home)))
    while left:
        gone = left.pop()
        assert remove(connection, "t", gone, key_of)
        assert not remove(connection, "t", gone, key_of)
        assert [find(connection, "t", one, key_of)[1] for one in left] == [one.encode() for one in left]


def test_every_table_is_covered_or_known_to_be_about_nobody(directory: DataDir, make_signal):
    """A new table either has the columns tenant and customer, or stands in one of the two lists of `erasing`."""
    with closing(SignalLog(directory)) as log:
        log.append([make_signal("1", NAME)], 1)
        log.pause(PauseRecord("pause", 1, "a", "w", Pause("p", "t", "domain", "sales", 1, 9, "a", "w")), 1)
        log.erase("t", NAME, 2, 2)
    with closing(RecordStore.open_for_writing(directory, 0)), closing(ClaimStore(directory.claims_path)) as claims:
        claims.live(1)
    with closing(DecisionLog(directory.decisions_path)) as decisions:
        decisions.put("d", "t", "c", 1, b"{}")
    LearnerStore.open(directory).close()
    for path in (directory.log_path, directory.records_path(0), *erasing.other_stores(directory)):
        with closing(connect_readonly(path)) as connection:
            known = {*erasing.rules(connection), *erasing.WITHOUT_CUSTOMERS}
            tables = {row[0] for row in select(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
        others = {name for name in tables - known if not name.startswith(("log_", "seen_", "sqlite_"))}
        assert others == set(), path


@pytest.mark.parametrize("table", ["log_0", "log_1"])
def test_the_offsets_of_the_log_stay_without_a_gap(directory, log, make_signal, table):
    log.append([make_signal(str(n), f"c-{n % 7}") for n in range(50)], 1)
    for n in range(0, 7, 2):
        log.erase("t", f"c-{n}", 2, 2)
    with closing(connect_readonly(directory.log_path)) as connection:
        offsets = [row[0] for row in select(connection, f"SELECT offset FROM {table} ORDER BY offset")]
    assert all(after == before + 1 for before, after in pairwise(offsets))
