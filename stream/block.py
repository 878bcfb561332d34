"""An item of the dataflow: some consecutive records of one log partition, raw and decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from membrane.errors import InvalidSignal
from membrane.labelling import SYNTHETIC, is_synthetic
from membrane.ports import LogRecord, RecordKind
from membrane.signals import Data, StoredSignal, read_stored, typed

Customer = tuple[str, str]
"""(tenant, customer)"""


@dataclass(frozen=True, slots=True)
class Block:
    """`records` begin at offset `first`; `at_end` when the log held no more when they were read."""

    partition: int
    first: int
    records: Sequence[LogRecord]
    at_end: bool


@dataclass(frozen=True, slots=True)
class DecodedSignal:
    """A signal with its typed data (None for a type we do not know), or why it could not be decoded; `synthetic` if its
    sender says that it is made up."""

    offset: int
    customer: Customer
    signal: StoredSignal | None
    data: Data | None = None
    fault: str = ""
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """A block whose signals are decoded; ticks, revisions and acts stay as they are."""

    partition: int
    next_offset: int
    records: Sequence[DecodedSignal | LogRecord]
    at_end: bool


def decode_block(block: Block) -> Decoded:
    """The first step. Never raises because of data."""
    records = [decode_signal(record) if record.kind is RecordKind.SIGNAL else record for record in block.records]
    return Decoded(block.partition, block.first + len(records), records, block.at_end)


def decode_signal(record: LogRecord) -> DecodedSignal:
    """One signal of the log."""
    customer = (record.tenant, record.customer)
    try:
        signal = read_stored(record.body)
        made_up = SYNTHETIC in record.body and is_synthetic(signal)
        return DecodedSignal(record.offset, customer, signal, typed(signal), synthetic=made_up)
    except (InvalidSignal, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return DecodedSignal(record.offset, customer, None, fault=f"undecodable: {type(error).__name__}")
