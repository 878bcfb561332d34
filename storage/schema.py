"""The tables of the two lasting stores, and their versions: log.db (the truth) and records-<p>.db (made from it)."""

from __future__ import annotations

from typing import Final

LOG_VERSION: Final = 1
RECORDS_VERSION: Final = 1

LOG: Final = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stores(partition INTEGER PRIMARY KEY, store_id TEXT);
CREATE TABLE revisions(kind TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE consents(
    customer_key INTEGER, tenant TEXT, customer TEXT, channel INTEGER, domain INTEGER,
    granted INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    PRIMARY KEY (customer_key, tenant, customer, channel, domain)
) WITHOUT ROWID;
CREATE TABLE contacts(
    customer_key INTEGER, contact_key INTEGER, channel INTEGER, domain INTEGER,
    PRIMARY KEY (customer_key, contact_key, channel, domain)
) WITHOUT ROWID;
CREATE TABLE seen_segments(segment INTEGER PRIMARY KEY, day INTEGER NOT NULL, ids INTEGER NOT NULL);
CREATE TABLE dead_letters(
    seq INTEGER PRIMARY KEY, reason TEXT NOT NULL, received_ms INTEGER NOT NULL, tenant TEXT NOT NULL,
    position INTEGER NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, payload BLOB NOT NULL, partition INTEGER
);
CREATE UNIQUE INDEX dead_letters_poison ON dead_letters(partition, position) WHERE partition IS NOT NULL;
"""

LOG_PARTITION: Final = """
CREATE TABLE $log(
    offset INTEGER PRIMARY KEY, kind INTEGER NOT NULL, received_ms INTEGER NOT NULL, customer_key INTEGER,
    tenant TEXT NOT NULL, customer TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX $log_customer ON $log(customer_key) WHERE customer_key IS NOT NULL;
CREATE INDEX $log_revision ON $log(kind) WHERE kind = 3;
CREATE INDEX $log_revisions ON $log(offset) WHERE kind = 3;
"""

PAUSES: Final = """
CREATE TABLE IF NOT EXISTS pauses(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, until_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS pauses_until ON pauses(until_ms);
"""
"""Made with the first pause: log.db of before there were any has no such table. `body` is the last word on a pause."""

ERASED: Final = """
CREATE TABLE IF NOT EXISTS erased(
    customer_key INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, offset INTEGER NOT NULL
);
"""
"""Made with the first erasure: tombstones, by which later signals of a customer are known (`offset`: of the ERASE
record in its partition). What is left of the customer is this hash."""

RECORDS: Final = """
CREATE TABLE store(
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, log_id TEXT NOT NULL, store_id TEXT NOT NULL,
    partition INTEGER NOT NULL, epoch INTEGER NOT NULL, next_offset INTEGER NOT NULL, meta BLOB NOT NULL
);
CREATE TABLE records(
    key INTEGER PRIMARY KEY, tenant TEXT NOT NULL, customer TEXT NOT NULL, due INTEGER, body BLOB NOT NULL
);
CREATE INDEX records_due ON records(due) WHERE due IS NOT NULL;
CREATE TABLE effects(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, offset INTEGER NOT NULL, kind TEXT NOT NULL,
    customer_key INTEGER NOT NULL, tenant TEXT NOT NULL, customer TEXT NOT NULL, time_ms INTEGER NOT NULL,
    delivered INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX effects_customer ON effects(customer_key);
CREATE INDEX effects_waiting ON effects(seq) WHERE delivered = 0;
CREATE TABLE obligations(
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, customer TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    due_ms INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX obligations_by_state ON obligations(tenant, state, due_ms);
"""

EXAMPLES: Final = """
CREATE TABLE IF NOT EXISTS examples(
    offset INTEGER PRIMARY KEY, tenant TEXT NOT NULL, customer TEXT NOT NULL, time_ms INTEGER NOT NULL, due INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS examples_time ON examples(time_ms);
CREATE INDEX IF NOT EXISTS examples_due ON examples(due, offset) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS labelled(
    number INTEGER PRIMARY KEY, target INTEGER NOT NULL, label INTEGER NOT NULL, weight INTEGER NOT NULL,
    said_by TEXT NOT NULL, about_ms INTEGER NOT NULL, found_ms INTEGER NOT NULL,
    offset INTEGER NOT NULL, tenant TEXT NOT NULL, customer TEXT NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL
);
"""
"""Made by whoever opens the store for writing: a store of before there was anything to learn from has none."""


def log_tables(partitions: int) -> str:
    """The statements that make an empty log.db."""
    return LOG + "".join(for_partition(LOG_PARTITION, partition) for partition in range(partitions))


def for_partition(sql: str, partition: int) -> str:
    """A statement written for `$log`, for the table of one partition."""
    return sql.replace("$log", f"log_{partition:d}")
