"""An API in this process over real stores in a temporary directory, and a hand that writes as the stream does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import msgspec
import pytest

from membrane.obligation_view import obligation_view
from membrane.ports import Commit, Effect, partition_of
from membrane.record import OBLIGATION_STATES, Obligation, Record, State, encode
from membrane.times import HOUR, parse_time
from membrane.tracker import start
from membrane.vocabulary import STAGES
from serving.app import create_app
from serving.config import ServeConfig
from serving.services import Services
from storage.records import RecordStore

NOW = parse_time("2026-11-23T10:00:00Z")
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@dataclass
class Clock:
    """A wall clock that stands where it is put."""

    ms: int = NOW

    def __call__(self) -> int:
        return self.ms


@dataclass
class Api:
    """The app with its stores; `get`, `post` and the like ask it over ASGI."""

    services: Services
    clock: Clock
    headers: dict[str, str] = field(default_factory=dict)
    _stores: dict[int, RecordStore] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(self.services)

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        kwargs["headers"] = {**self.headers, **kwargs.get("headers", {})}
        return asyncio.run(self._request(method, path, **kwargs))

    async def _request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **kwargs)

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.request("POST", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.request("PUT", path, **kwargs)

    def send(self, *events: dict[str, Any]) -> httpx.Response:
        return self.post("/v1/signals", headers=BATCH, content=json.dumps(events))

    def decide(self, *candidates: dict[str, Any], customer: str = "c-1", **fields: Any) -> httpx.Response:
        return self.post("/v1/decisions", json={"customer": customer, "candidates": list(candidates), **fields})

    def store(self, partition: int) -> RecordStore:
        if partition not in self._stores:
            self._stores[partition] = RecordStore.open_for_writing(self.services.directory, partition)
        return self._stores[partition]

    def write(
        self,
        customer: str = "c-1",
        tenant: str = "default",
        *,
        record: Record | None = None,
        effects: list[Effect] | None = None,
        obligations: list[Obligation] | None = None,
        **meta: Any,
    ) -> Record:
        """Writes a record (steady, known for a year, if none is given), and a fresh meta into every partition."""
        partition = partition_of(tenant, customer, self.services.directory.partitions)
        written = record or make_record(customer, tenant)
        owed = obligations or []
        commit = Commit(
            records=[(tenant, customer, encode(written))],
            due=[(tenant, customer, 0)],
            effects=effects or [],
            obligations=[
                (
                    one.obligation,
                    tenant,
                    customer,
                    OBLIGATION_STATES[one.state],
                    one.owner,
                    one.due,
                    msgspec.json.encode(obligation_view(written, one)),
                )
                for one in owed
            ],
            meta=self.meta(partition, **meta),
        )
        for other in range(self.services.directory.partitions):
            self.store(other).commit(commit if other == partition else Commit(meta=self.meta(other, **meta)))
        self.clock.ms += 100  # what the API keeps for 100 ms is read anew
        return written

    def overwrite(self, data: bytes, customer: str = "c-1", tenant: str = "default") -> None:
        """Puts other bytes in the place of a record."""
        partition = partition_of(tenant, customer, self.services.directory.partitions)
        commit = Commit([(tenant, customer, data)], [(tenant, customer, None)], meta=self.meta(partition))
        self.store(partition).commit(commit)
        self.clock.ms += 100

    def meta(self, partition: int, **fields: Any) -> bytes:
        """A partition's meta: the end of the log just seen, the shipped principles and a model in force."""
        revisions = {
            "principles": self.services.log.revisions()["principles"],
            "stage_model": {"revision": "seed", "digest": "0" * 64},
        }
        return msgspec.json.encode({"seen_end_ms": self.clock.ms, "revisions": revisions, **fields})

    def close(self) -> None:
        for store in self._stores.values():
            store.close()
        self.services.close()


def make_record(
    customer: str = "c-1", tenant: str = "default", *, stage: str = "steady", clock: int = NOW - HOUR
) -> Record:
    """A customer of a year, with nothing special."""
    year_ago = NOW - 365 * 24 * HOUR
    state = State(first_at=year_ago, last_at=clock, opened_at=year_ago, inbound_at=clock, signals=2)
    tracker = start(year_ago)
    tracker.stage, tracker.lifecycle = [str(name) for name in STAGES].index(stage), 2
    return Record(tenant, customer, 7, clock, 0, state, tracker)


@pytest.fixture
def known() -> Any:
    """Makes records of customers known for a year."""
    return make_record


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def config(tmp_path, clock) -> ServeConfig:
    return ServeConfig(data=tmp_path / "data", partitions=2, now_ms=clock, deadline_seconds=60.0)


@pytest.fixture
def api(config, clock) -> Iterator[Api]:
    made = Api(Services.open(config), clock)
    yield made
    made.close()


@pytest.fixture
def make_api(config, clock) -> Iterator[Any]:
    """Makes an API with other settings."""
    made: list[Api] = []

    def make(**changes: Any) -> Api:
        made.append(Api(Services.open(replace(config, **changes)), clock))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def event() -> Any:
    """Makes an event, with other attributes where given."""

    def make(**attributes: Any) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": "e-1",
            "source": "test",
            "type": "cx.message.received.v1",
            "subject": "c-1",
            "time": "2026-11-23T09:59:00Z",
            "data": {"channel": "email"},
            **attributes,
        }

    return make
