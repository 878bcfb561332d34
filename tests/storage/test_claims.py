"""Claims on contact caps: what counts, who may still move on, and that one at a time reserves."""

import threading
from contextlib import closing
from time import perf_counter

import apsw
import pytest

from membrane.caps import PERMIT_MS, Claim
from membrane.errors import StoreRefused, StoreUnavailable
from membrane.times import DAY, HOUR, MINUTE
from storage.claims import CONFIRMED, CONFIRMED_FOR_MS, RELEASED, VERSION, ClaimStore, NewPermit

NOW = 1_800_000_000_000


@pytest.fixture
def store(tmp_path):
    store = ClaimStore(tmp_path / "claims.db")
    yield store
    store.close()


def grant(store, permit="p1", customer="c-1", tenant="default", now=NOW):
    claim = Claim(permit, now, 0, 0, "upsell", now + PERMIT_MS)
    with store.reserving(tenant, customer, now) as held:
        held.grant("d-1", [NewPermit(claim, "upsell", b"{}")], 0)
    return claim


def test_a_claim_counts_from_its_grant_until_it_ends(store):
    claim = grant(store)
    assert store.claims("default", "c-1", NOW) == [claim]
    assert store.claims("default", "c-1", NOW + PERMIT_MS - 1) == [claim]
    assert store.claims("default", "c-1", NOW + PERMIT_MS) == []
    assert store.claims("default", "c-2", NOW) == store.claims("other", "c-1", NOW) == []
    assert store.latest_end() >= NOW + PERMIT_MS


def test_a_confirmed_claim_counts_on_for_an_hour_and_a_released_one_no_more(store):
    grant(store, "p1")
    grant(store, "p2")
    assert store.settle("default", "p1", CONFIRMED, NOW + MINUTE)
    assert store.settle("default", "p2", RELEASED, NOW + MINUTE)
    (claim,) = store.claims("default", "c-1", NOW + PERMIT_MS)
    assert (claim.permit, claim.until) == ("p1", NOW + MINUTE + CONFIRMED_FOR_MS)
    assert store.claims("default", "c-1", NOW + MINUTE + HOUR) == []


def test_only_a_live_permit_of_the_tenant_can_be_settled_and_only_once(store):
    grant(store)
    assert not store.settle("other", "p1", CONFIRMED, NOW)
    assert store.permit("other", "p1") is None
    assert not store.settle("default", "p1", CONFIRMED, NOW + PERMIT_MS)
    assert store.permit("default", "p1").state_at(NOW + PERMIT_MS) == "expired"
    assert store.settle("default", "p1", RELEASED, NOW)
    assert not store.settle("default", "p1", CONFIRMED, NOW)
    assert store.permit("default", "p1").state_at(NOW) == "released"


def test_an_answer_is_remembered_by_its_key_and_tenant_for_a_day(store):
    with store.reserving("default", "c-1", NOW) as held:
        assert held.answer("k") is None
        held.remember("k", b"request", b"answer")
    with store.reserving("default", "c-2", NOW + DAY - 1) as held:
        assert held.answer("k") == (b"request", b"answer")
    with store.reserving("other", "c-1", NOW) as held:
        assert held.answer("k") is None
    with store.reserving("default", "c-1", NOW + DAY) as held:
        assert held.answer("k") is None


def test_nothing_of_a_block_that_fails_is_kept(store):
    def grant_and_fail():
        with store.reserving("default", "c-1", NOW) as held:
            held.grant("d-1", [NewPermit(Claim("p1", NOW, 0, 0, "upsell", NOW + 1), "upsell", b"{}")], 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        grant_and_fail()
    assert store.claims("default", "c-1", NOW) == []


def _refused_at_once(store):
    began = perf_counter()
    with store.reserving("default", "c-1", NOW) as refused:
        assert refused is None
    return perf_counter() - began < 0.03


def test_one_at_a_time_reserves_over_several_stores_and_nobody_is_kept_waiting(tmp_path, store):
    other = ClaimStore(tmp_path / "claims.db")
    with store.reserving("default", "c-1", NOW) as held:
        assert any(_refused_at_once(other) for _ in range(100))  # this machine may have other work
        held.grant("d-1", [NewPermit(Claim("p1", NOW, 0, 0, "upsell", NOW + 1), "upsell", b"{}")], 0)
    with other.reserving("default", "c-1", NOW) as held:
        assert [one.permit for one in held.claims] == ["p1"]
    other.close()


def test_whatever_else_writes_waits_for_who_is_reserving(tmp_path, store):
    grant(store)
    other, released = ClaimStore(tmp_path / "claims.db"), []
    thread = threading.Thread(target=lambda: released.append(other.settle("default", "p1", RELEASED, NOW)))
    with store.reserving("default", "c-2", NOW):
        thread.start()
        thread.join(0.1)  # longer than a reader waits
        assert thread.is_alive()
    thread.join()
    assert released == [True]
    other.close()


@pytest.mark.parametrize("version", [0, VERSION])
def test_a_file_of_this_version_or_from_before_there_was_one_is_taken(tmp_path, store, version):
    claim = grant(store)
    store.close()
    with closing(apsw.Connection(str(tmp_path / "claims.db"))) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    other = ClaimStore(tmp_path / "claims.db")
    other.check()
    assert other.claims("default", "c-1", NOW) == [claim]
    other.close()
    with closing(apsw.Connection(str(tmp_path / "claims.db"))) as connection:
        assert connection.execute("PRAGMA user_version").fetchall() == [(VERSION,)]


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "claims.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    store = ClaimStore(path)
    for ask in (store.check, lambda: store.live(NOW)):
        with pytest.raises(StoreRefused, match=f"version {VERSION} or older was required, {VERSION + 1} came"):
            ask()
    store.close()
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]


def test_what_is_past_its_time_is_forgotten(store):
    grant(store)
    with store.reserving("default", "c-1", NOW) as held:
        held.remember("k", b"request", b"answer")
    store.sweep(NOW + HOUR)
    assert store.permit("default", "p1") is not None
    store.sweep(NOW + 3 * DAY)
    assert store.permit("default", "p1") is None
    with store.reserving("default", "c-1", NOW) as held:
        assert held.answer("k") is None


def test_a_file_that_is_no_database_is_not_available(tmp_path):
    (tmp_path / "claims.db").write_bytes(b"x" * 5000)
    store = ClaimStore(tmp_path / "claims.db")
    store.check()
    with pytest.raises(StoreUnavailable):
        store.claims("default", "c-1", NOW)
    store.close()


def test_a_claim_survives_the_process_and_a_new_connection(tmp_path, store):
    claim = grant(store)
    other = ClaimStore(tmp_path / "claims.db")
    assert other.claims("default", "c-1", NOW) == [claim]
    other.close()
    connection = apsw.Connection(str(tmp_path / "claims.db"))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
