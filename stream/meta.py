"""What a partition's store says of itself beside its records, as JSON that serving reads.

Only `seen_end_ms` comes from the wall clock; nothing of it enters a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from membrane.entries import TILE, Entries, Entry, carry
from membrane.pauses import Pause
from membrane.settings import TenantSettings


class Revision(msgspec.Struct, omit_defaults=True):
    """A principle set or model in force since the log record at `offset`."""

    revision: str
    digest: str
    offset: int


class Meta(msgspec.Struct):
    """`last_tick`: event time of the partition's last tick; `fired_until`: the same, once all of that tick is applied.
    `revised`: what customers are judged by has changed since. `revisions`: by kind. `stages`, `lifecycles`: customers
    by tenant, then stage or lifecycle. `go_live`, `tenants`, `pauses` (of principles), `churn_is_advisory`: what
    customers are judged by beside the principles. `entries`: into crisis, by tenant, each `Entries` encoded, since a
    block changes few. `challengers`: digests by kind of revision. `unmatched`: labels that found no vector,
    `learned_until`: the tick up to which horizons have ended.
    `unreadable`: kinds whose latest revision is missing (nothing behind it is applied) or cannot be used (the last good
    one goes on). `seen_end_ms`: when the end of the log was last seen."""

    last_tick: int = 0
    fired_until: int = 0
    revised: bool = False
    revision_offset: int = -1
    revisions: dict[str, Revision] = {}
    stages: dict[str, dict[str, int]] = {}
    lifecycles: dict[str, dict[str, int]] = {}
    go_live: int = 0
    tenants: dict[str, TenantSettings] = {}
    pauses: list[Pause] = []
    churn_is_advisory: bool = True
    entries: dict[str, msgspec.Raw] = {}
    challengers: dict[str, list[str]] = {}
    unmatched: int = 0
    learned_until: int = 0
    unreadable: list[str] = []
    seen_end_ms: int = 0


def read_meta(body: bytes) -> Meta:
    """The meta of a store; a new store has none yet."""
    return msgspec.json.decode(body, type=Meta) if body else Meta()


write_meta = msgspec.json.encode


def copied(meta: Meta) -> Meta:
    """A copy that shares nothing with it."""
    return msgspec.json.decode(write_meta(meta), type=Meta)


_decoder: Final = msgspec.json.Decoder(Entries)


def carry_entries(meta: Meta, entered: Sequence[Entry], last_tick: int) -> None:
    """Takes in the entries into crisis of a block and its ticks; `last_tick` is the last one before. Tenants of whom
    nobody entered stay as they are until a tile is over, unless their places may be wanted."""
    passed, tenants = meta.last_tick // TILE > last_tick // TILE, {tenant for _, tenant, _ in entered}
    alone = not passed and tenants <= meta.entries.keys()
    entries = {name: _decoder.decode(meta.entries[name]) for name in (tenants if alone else meta.entries)}
    carry(entries, entered, meta.last_tick)
    changed = {name: msgspec.Raw(msgspec.json.encode(one)) for name, one in entries.items()}
    meta.entries = meta.entries | changed if alone else changed
