"""GET /v1/customers/{id}: one customer's record, shown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from membrane.ports import partition_of
from membrane.record import decode
from serving.answers import send_json
from serving.auth import Identity
from serving.customer_view import customer_view
from serving.limits import Receive, Scope, Send
from serving.problems import not_found
from storage.log import SignalLog
from storage.record_reader import RecordReader

PREFIX: Final = "/v1/customers/"
_encoder: Final = msgspec.json.Encoder()


class Customers:
    """The endpoint."""

    def __init__(self, records: RecordReader, log: SignalLog) -> None:
        self._records = records
        # What the log says of an offset never changes.
        self._revisions = lru_cache(maxsize=1024)(lambda partition, offset: revisions_at(log, partition, offset))

    async def __call__(self, scope: Scope, _receive: Receive, send: Send, identity: Identity) -> None:
        """Raises Problem 404 for a customer never seen, RecordUnreadable or StoreUnavailable for one who cannot be
        read."""
        identity.must("read")
        customer = scope["path"].removeprefix(PREFIX)
        stored = self._records.get(identity.tenant, customer)
        if stored is None:
            raise not_found("customer")
        record = decode(stored)
        partition = partition_of(identity.tenant, customer, self._records.directory.partitions)
        view = customer_view(record, self._revisions(partition, record.revision))
        await send_json(send, 200, _encoder.encode(view))


def revisions_at(log: SignalLog, partition: int, offset: int) -> Mapping[str, str]:
    """The names (`<revision>+<digest's beginning>`) of what was in force for everybody at an offset, by kind."""
    bodies = [body for kind, body in log.revisions_at(partition, offset).items() if "/" not in kind]
    return {body["kind"]: f"{body['revision']}+{body['digest'][:8]}" for body in bodies}
