"""Stored records: read back as they were written, and never read when they are not."""

from __future__ import annotations

import json
import zlib

import msgspec
import pytest
from hypothesis import given, settings

from membrane.engine import Rules
from membrane.errors import RecordUnreadable
from membrane.record import FORMAT, Case, Record, decode, encode
from membrane.signals import StoredSignal
from tests.fakes import default_pack
from tests.membrane.customer import Customer
from tests.strategies import START, signals


def lived(stream: list[StoredSignal]) -> Record:
    """The record of a customer with that history, judged by the default pack."""
    customer = Customer(Rules(default_pack()))
    for item in stream:
        customer.hear(item)
    return customer.record


def a_record(messages: int = 3) -> Record:
    """A crisis with something owed; more messages make the stored form a deflated one."""
    customer = Customer(Rules(default_pack()))
    customer.tell("case.opened", START, case="A", category="net", severity=1, product="T1")
    for n in range(messages):
        customer.tell("contact.made", START + n * 10_000_000, domain="service", kind="status_call", channel="phone")
    return customer.record


def sealed(body: bytes, form: int = FORMAT) -> bytes:
    """A body with the checksum it should have."""
    return bytes((form,)) + zlib.crc32(body).to_bytes(4, "big") + body


@given(signals())
@settings(max_examples=40)
def test_a_record_is_read_back_as_it_was_written(stream: list[StoredSignal]) -> None:
    record = lived(stream)
    data = encode(record)
    again = decode(data)
    assert again == record
    assert encode(again) == data


@pytest.mark.parametrize("messages", [1, 30], ids=["plain", "deflated"])
def test_every_flip_of_one_bit_is_detected(messages: int) -> None:
    data = encode(a_record(messages))
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RecordUnreadable):
            decode(bytes(flipped))


@pytest.mark.parametrize("messages", [1, 30], ids=["plain", "deflated"])
def test_every_truncation_and_every_byte_too_many_is_detected(messages: int) -> None:
    data = encode(a_record(messages))
    for cut in range(len(data)):
        with pytest.raises(RecordUnreadable):
            decode(data[:cut])
    for extra in (b"\0", b"x", data):
        with pytest.raises(RecordUnreadable):
            decode(data + extra)


def test_the_long_form_is_deflated_and_the_short_one_is_not() -> None:
    assert (encode(a_record(1))[5], encode(a_record(30))[5]) == (0, 1)
    assert len(encode(a_record(30))) < len(msgspec.msgpack.encode(a_record(30)))


def test_a_newer_format_is_refused_by_its_number_not_by_its_checksum() -> None:
    data = encode(a_record())
    with pytest.raises(RecordUnreadable, match=f"record format {FORMAT + 1}; this version reads format {FORMAT}"):
        decode(bytes((FORMAT + 1,)) + data[1:])


@pytest.mark.parametrize(
    "body",
    [
        b"\0",
        b"\0" + msgspec.msgpack.encode([1, 2]),
        b"\0" + json.dumps({"tenant": "t"}).encode(),
        b"\0" + msgspec.msgpack.encode(["t", "c", "v", 0, 0, [], []]),
        b"\1not deflated",
        b"\1" + zlib.compress(b"\xc1"),
    ],
)
def test_bytes_with_a_right_checksum_that_are_no_record_are_refused(body: bytes) -> None:
    with pytest.raises(RecordUnreadable, match="shape of a record"):
        decode(sealed(body))


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\0\0\0\0"])
def test_too_few_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(RecordUnreadable, match=f"at least 6 bytes, came {len(data)}"):
        decode(data)


@pytest.mark.parametrize(
    ("resolved_at", "reopenings", "is_open"),
    [(0, [], True), (5, [], False), (5, [4], False), (5, [5], True), (5, [1, 6], True), (0, [1], True)],
)
def test_a_case_is_open_until_it_is_resolved_after_its_last_reopening(
    resolved_at: int, reopenings: list[int], is_open: bool
) -> None:
    assert Case("A", 9, 1, resolved_at=resolved_at, reopenings=reopenings).open is is_open


def test_two_records_never_share_a_list() -> None:
    one, other = a_record(1), a_record(1)
    one.state.cases.append(Case("B", 1, 1))
    assert len(other.state.cases) == 1
