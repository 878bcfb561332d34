"""Where a customer's record lies: at the 64-bit hash of its names, or, when another customer has that, a few keys on.

When a record goes (its customer is erased), those behind it that it was in the way of move up, so that a probe may end
at the first free key. A row whose names could not have led to its
key is damaged, and "cannot read" is not "no data".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import apsw

from membrane.errors import RecordUnreadable
from storage.keys import customer_key

MAX_PROBES: Final = 16
_GREATEST: Final = 2**63 - 1
_SLOT: Final = "SELECT tenant = ? AND customer = ?, body, due FROM records WHERE key = ?"
_NAMES: Final = "SELECT tenant, customer FROM records WHERE key = ?"

Hash = Callable[[str, str], int]


def find(
    connection: apsw.Connection, tenant: str, customer: str, key_of: Hash = customer_key
) -> tuple[int, bytes | None, int | None]:
    """The key of a customer, its record and next due time, or the first free key and None. RecordUnreadable for a
    damaged row."""
    key = key_of(tenant, customer)
    for _ in range(MAX_PROBES):
        row = connection.execute(_SLOT, (tenant, customer, key)).fetchone()
        if row is None:
            return key, None, None
        same, body, due = row
        if same:
            if not isinstance(body, bytes):
                raise RecordUnreadable(f"record {key}: bytes were required, {type(body).__name__} came")
            return key, body, due if isinstance(due, int) else None
        _check_names(connection, key, key_of)
        key = after(key, 1)
    raise RecordUnreadable(f"record {key}: more than {MAX_PROBES} customers share a key")


def named(connection: apsw.Connection, hashed: int) -> list[tuple[str, str]]:
    """The customers that have a record at or behind the key `hashed`, and names of which that is the hash."""
    rows = [row for steps in range(MAX_PROBES) for row in connection.execute(_NAMES, (after(hashed, steps),))]
    return [(tenant, customer) for tenant, customer in rows if customer_key(tenant, customer) == hashed]


def remove(connection: apsw.Connection, tenant: str, customer: str, key_of: Hash = customer_key) -> bool:
    """Deletes a customer's record, and closes the gap; False if there is none. RecordUnreadable as `find` says."""
    gap, body, _ = find(connection, tenant, customer, key_of)
    if body is None:
        return False
    connection.execute("DELETE FROM records WHERE key = ?", (gap,))
    key = gap
    for _ in range(MAX_PROBES):
        key = after(key, 1)
        row = connection.execute(_NAMES, (key,)).fetchone()
        if row is None:
            break
        if (gap - key_of(*row)) % 2**64 < MAX_PROBES:  # it may lie there
            connection.execute("UPDATE records SET key = ? WHERE key = ?", (gap, key))
            gap = key
    return True


def after(key: int, steps: int) -> int:
    """The key that lies `steps` after `key`; past the greatest one it begins again at the smallest."""
    return (key + steps + _GREATEST + 1) % 2**64 - (_GREATEST + 1)


def _check_names(connection: apsw.Connection, key: int, key_of: Hash) -> None:
    tenant, customer = connection.execute(_NAMES, (key,)).fetchall()[0]
    if not isinstance(tenant, str) or not isinstance(customer, str):
        raise RecordUnreadable(f"record {key}: its names are damaged")
    home = key_of(tenant, customer)
    if all(after(home, steps) != key for steps in range(MAX_PROBES)):
        raise RecordUnreadable(f"record {key}: its names belong to another key")
