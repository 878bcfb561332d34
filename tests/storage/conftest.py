from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from membrane.ports import NewSignal
from membrane.signals import StoredSignal, encode_stored
from storage.directory import DataDir
from storage.log import SignalLog

MakeSignal = Callable[..., NewSignal]


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    return DataDir.open(tmp_path / "data", 2)


@pytest.fixture
def log(directory: DataDir) -> Iterator[SignalLog]:
    log = SignalLog(directory)
    yield log
    log.close()


@pytest.fixture
def make_signal() -> MakeSignal:
    def make(signal_id="1", customer="c-1", time_ms=1_000, tenant="t", source="crm", consents=(), **more) -> NewSignal:
        kind, data = more.get("type", "message.received"), more.get("data", {"channel": "email"})
        stored = StoredSignal(
            tenant, customer, source, signal_id, f"cx.{kind}.v1", time_ms, msgspec.Raw(msgspec.json.encode(data))
        )
        is_service = more.get("is_service", False)
        body = encode_stored(stored)
        return NewSignal(tenant, customer, source, signal_id, time_ms, body, consents, is_service=is_service)

    return make
