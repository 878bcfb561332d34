"""DIR/learn/learner.db: what the online learner knows, together with how far it has come, in one transaction.

The bodies are JSON of `training.learner`; this store gives them back to the bit. synchronous=NORMAL: what a power cut
takes, the labelled examples still have, and the place goes back with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import apsw

from membrane.errors import StoreRefused
from storage.directory import DataDir
from storage.keys import customer_key
from storage.sqlite import connect, select, transaction, writing

VERSION: Final = 1
MOST_CUSTOMERS: Final = 100_000
"""Of how many customers the previous label of a target is kept."""
_CHECKPOINT_PAGES: Final = 1_000
_SCHEMA: Final = """
CREATE TABLE learner(
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, log_id TEXT NOT NULL, places BLOB NOT NULL
);
CREATE TABLE targets(target TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE recent(target TEXT, slot INTEGER, body BLOB NOT NULL, PRIMARY KEY (target, slot)) WITHOUT ROWID;
CREATE TABLE previous(
    seq INTEGER PRIMARY KEY, target TEXT NOT NULL, customer_key INTEGER NOT NULL, label INTEGER NOT NULL
);
CREATE UNIQUE INDEX previous_of ON previous(target, customer_key);
"""
_PREVIOUS: Final = "SELECT label FROM previous WHERE target = ? AND customer_key = ?"
_REMEMBER: Final = "INSERT OR REPLACE INTO previous VALUES(NULL, ?, ?, ?)"
_FORGET: Final = (
    "DELETE FROM previous WHERE target = ? AND seq <="
    f" (SELECT seq FROM previous WHERE target = ? ORDER BY seq DESC LIMIT 1 OFFSET {MOST_CUSTOMERS})"
)

Customer = tuple[str, str]
"""Tenant and customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One step of the learner: the places after it, and by target its state, the rows of its window that changed (slot,
    body), and the latest label of each customer in it."""

    places: bytes
    targets: Mapping[str, bytes] = field(default_factory=dict)
    recent: Mapping[str, Sequence[tuple[int, bytes]]] = field(default_factory=dict)
    previous: Mapping[str, Mapping[Customer, int]] = field(default_factory=dict)


class LearnerStore:
    """The open store; make it with `open`. One process at a time: the lock is the caller's. For one thread."""

    def __init__(self, path: Path, hint: str) -> None:
        self._path = path
        self._hint = hint
        self._connection = connect(path, autocheckpoint_pages=_CHECKPOINT_PAGES)

    @classmethod
    def open(cls, directory: DataDir) -> Self:
        """Opens it, made if it is missing. StoreRefused if it is damaged, newer or learned from another log,
        StoreUnavailable if the disk does not let us."""
        path = directory.path / "learn" / "learner.db"
        hint = f"remove {path.parent} to learn anew from the examples that are kept"
        with writing(path, hint):
            path.parent.mkdir(exist_ok=True)
            store = cls(path, hint)
            try:
                store.check(directory.log_id)
            except BaseException:
                store.close()
                raise
        return store

    def check(self, log_id: str) -> None:
        """Makes an empty store, or StoreRefused unless it learned from this log in a version that we know."""
        with self._errors():
            with transaction(self._connection):
                if not select(self._connection, "SELECT 1 FROM sqlite_schema WHERE name = 'learner'"):
                    self._connection.execute(_SCHEMA).fetchall()
                    self._connection.execute("INSERT INTO learner VALUES(1, ?, ?, ?)", (VERSION, log_id, b""))
            version, found = select(self._connection, "SELECT version, log_id FROM learner")[0]
        if version > VERSION:
            raise StoreRefused(f"{self._path}: version {VERSION} or older was required, {version} came: {self._hint}")
        if found != log_id:
            raise StoreRefused(
                f"{self._path}: what was learned from this log was required, another's came: {self._hint}"
            )

    def close(self) -> None:
        """Closes it; nothing is held back."""
        with suppress(apsw.Error):
            self._connection.close()

    def places(self) -> bytes:
        """How far the learner has come; empty before its first step."""
        with self._errors():
            return bytes(select(self._connection, "SELECT places FROM learner")[0][0])

    def target(self, target: str) -> bytes | None:
        """The state of a target, None before its first label."""
        with self._errors():
            rows = select(self._connection, "SELECT body FROM targets WHERE target = ?", (target,))
        return bytes(rows[0][0]) if rows else None

    def recent(self, target: str) -> list[bytes]:
        """The rows of a target's window, by slot."""
        with self._errors():
            rows = select(self._connection, "SELECT body FROM recent WHERE target = ? ORDER BY slot", (target,))
        return [bytes(body) for (body,) in rows]

    def previous(self, target: str, customer: Customer) -> int | None:
        """A customer's latest label of a target, None where none is kept."""
        with self._errors():
            rows = select(self._connection, _PREVIOUS, (target, customer_key(*customer)))
        return rows[0][0] if rows else None

    def commit(self, learned: Learned) -> None:
        """All of a step or nothing of it. StoreUnavailable when the disk refuses."""
        with self._errors(), transaction(self._connection):
            self._connection.execute("UPDATE learner SET places = ?", (learned.places,))
            self._connection.executemany("INSERT OR REPLACE INTO targets VALUES(?, ?)", learned.targets.items())
            for target, rows in learned.recent.items():
                self._connection.executemany(
                    "INSERT OR REPLACE INTO recent VALUES(?, ?, ?)", [(target, slot, body) for slot, body in rows]
                )
            for target, labels in learned.previous.items():
                self._connection.executemany(
                    _REMEMBER, [(target, customer_key(*name), label) for name, label in labels.items()]
                )

    def sweep(self) -> None:
        """Forgets the previous labels beyond the latest of `MOST_CUSTOMERS` customers of each target."""
        with self._errors(), transaction(self._connection):
            for (target,) in select(self._connection, "SELECT target FROM targets"):
                self._connection.execute(_FORGET, (target, target))

    def forget(self, target: str) -> None:
        """Drops the window and the previous labels of a target that is learned anew."""
        with self._errors(), transaction(self._connection):
            for table in ("targets", "recent", "previous"):
                self._connection.execute(f"DELETE FROM {table} WHERE target = ?", (target,))

    def _errors(self) -> AbstractContextManager[None]:
        return writing(self._path, self._hint)
