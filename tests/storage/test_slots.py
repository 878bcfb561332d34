from __future__ import annotations

import apsw
import pytest

from membrane.errors import RecordUnreadable
from storage.schema import RECORDS
from storage.slots import MAX_PROBES, after, find


@pytest.fixture
def connection():
    connection = apsw.Connection(":memory:")
    connection.execute(RECORDS)
    yield connection
    connection.close()


def home(tenant: str, customer: str) -> int:
    return 40


def put(connection, key, customer, body=b"x", tenant="t"):
    connection.execute("INSERT INTO records VALUES(?, ?, ?, NULL, ?)", (key, tenant, customer, body))


def test_keys_go_round_at_the_greatest_one():
    assert after(41, 1) == 42
    assert after(2**63 - 1, 1) == -(2**63)
    assert after(-1, 1) == 0


def test_a_customer_is_found_behind_those_that_share_its_key(connection):
    put(connection, 40, "a", b"1")
    put(connection, 41, "b", b"2")
    assert find(connection, "t", "a", home)[:2] == (40, b"1")
    assert find(connection, "t", "b", home)[:2] == (41, b"2")
    assert find(connection, "t", "c", home) == (42, None, None)
    assert find(connection, "t", "c") [1] is None  # fmt: skip


def test_too_many_customers_on_one_key_cannot_be_read(connection):
    for number in range(MAX_PROBES):
        put(connection, 40 + number, f"c-{number}")
    with pytest.raises(RecordUnreadable, match="share a key"):
        find(connection, "t", "other", home)


def test_a_row_that_its_names_do_not_lead_to_cannot_be_read(connection):
    put(connection, 60, "a")
    with pytest.raises(RecordUnreadable, match="names belong to another key"):
        find(connection, "t", "b", lambda tenant, customer: 60 if customer == "b" else 40)


@pytest.mark.parametrize("column", ["tenant", "customer"])
def test_names_that_are_no_text_cannot_be_read(connection, column):
    put(connection, 40, "a")
    connection.execute(f"UPDATE records SET {column} = x'ff'")
    with pytest.raises(RecordUnreadable, match="names are damaged"):
        find(connection, "t", "b", home)


def test_a_body_that_is_no_blob_cannot_be_read(connection):
    put(connection, 40, "a", "text")
    with pytest.raises(RecordUnreadable, match="bytes were required, str came"):
        find(connection, "t", "a", home)
