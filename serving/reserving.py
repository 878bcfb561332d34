"""What reserving adds to a decision: idempotency keys, and permits as the store of claims takes them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from membrane.decisions import Candidate, DecisionRequest
from membrane.reserving import Granted
from serving.problems import invalid_field
from storage.claims import NewPermit

_MAX_KEY: Final = 256


@dataclass(frozen=True, slots=True)
class Reservation:
    """A request to reserve: whose customer it is about, its idempotency key, and the digest of its body."""

    request: DecisionRequest
    tenant: str
    key: str | None
    digest: bytes


def idempotency_key(value: bytes | None) -> str | None:
    """The key in a header; Problem 422 for one that is none."""
    if value is None:
        return None
    key = value.decode("latin-1").strip()
    if not 1 <= len(key) <= _MAX_KEY or not key.isprintable():
        raise invalid_field("Idempotency-Key", f"must have 1 to {_MAX_KEY} printable characters")
    return key


def same_answer(earlier: tuple[bytes, bytes], digest: bytes) -> bytes:
    """The answer that an idempotency key had before; Problem 422 where it came with another request."""
    if earlier[0] != digest:
        raise invalid_field("Idempotency-Key", "was sent with another request in the last 24 hours; take a new one")
    return earlier[1]


def new_permit(_candidate: Candidate) -> str:
    """The id of a permit."""
    return "p" + secrets.token_hex(7)  # short enough for a record to keep it as it is


def new_row(granted: Granted) -> NewPermit:
    """A permit as the store of claims takes it."""
    return NewPermit(granted.claim, granted.candidate.id, msgspec.json.encode(granted.candidate))
