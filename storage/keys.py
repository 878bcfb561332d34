"""Integer keys: 64-bit hashes that stand for customers and for signal ids in SQLite's integer primary keys."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1024)  # one request or block asks for the same ones again and again
def customer_key(tenant: str, customer: str) -> int:
    """The key of a customer, a signed 64-bit integer. Two customers may share it: stores compare the names too."""
    return _hash64(f"{tenant}\0{customer}")


def signal_key(tenant: str, source: str, signal_id: str) -> int:
    """The key by which duplicates of a signal are known (at 50 M ids, one in 4e11 new signals meets another's)."""
    return _hash64(f"{tenant}\0{source}\0{signal_id}")


def contact_key(contact: str) -> int:
    """The key of a contact among those of its customer: two hashes together name it."""
    return _hash64(contact)


def _hash64(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
