"""Data directories with a log of a few customers, and the stream run over them to the log's end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import models
from membrane.ports import NewSignal, RecordKind
from membrane.signals import encode_stored
from membrane.times import HOUR
from models.bundle import read_bundle
from models.registry import Registry
from storage.digest import Digest, digest
from storage.directory import DataDir
from storage.log import SignalLog
from storage.principles import PrincipleFiles
from storage.record_reader import RecordReader
from stream.flow import run_bytewax
from stream.partition import Partition
from stream.plain import run_plain
from stream.runner import StreamConfig
from stream.steps import Applied, Dropped
from stream.work import open_partitions
from tests.fakes import PACK
from tests.strategies import START, signal

RUNNERS = {"plain": run_plain, "bytewax": run_bytewax}
SEED = Path(models.__file__).parent / "seed"
NOW = START + 900 * HOUR


class Told:
    """An observer that keeps what it hears; it stands in for the metrics, which belong to a whole process."""

    def __init__(self, *_: object) -> None:
        self.dropped: list[Dropped] = []
        self.transitions = 0
        self.lag = -1.0

    def written(self, partition: int, applied: Applied, dropped: list[Dropped]) -> None:
        self.dropped += dropped
        self.transitions += sum(applied.transitions.values())

    def waited(self, seconds: float) -> None:
        self.lag = seconds


def some_signals(count: int = 400, customers: int = 30, seed: int = 5) -> list[NewSignal]:
    """Signals of a shop's customers over some weeks, a few of them late."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        t = START + number * 2 * HOUR - (rng.randrange(5) == 0) * rng.randrange(100 * HOUR)
        kind, data = _anything(rng)
        item = signal(number, kind, t, data, customer=f"c-{rng.randrange(customers)}")
        made.append(NewSignal("default", item.customer, item.source, item.id, t, encode_stored(item)))
    return made


def _anything(rng: random.Random) -> tuple[str, dict[str, Any]]:
    case = rng.choice("ABCDEF")
    return rng.choice(
        [
            ("case.opened", {"case": case, "category": "net", "product": "T1", "severity": rng.randint(1, 4)}),
            ("case.resolved", {"case": case, "resolution_code": rng.choice(("fixed", "auto_closed"))}),
            ("message.received", {"channel": "chat", "sentiment": rng.randint(-10, 10) / 10}),
            ("contact.made", {"domain": "service", "kind": "agent_call", "channel": "phone"}),
            ("survey.answered", {"instrument": "csat", "score": rng.randint(1, 5)}),
            ("order.placed", {"amount": rng.randrange(100)}),
        ]
    )


def make_data(path: Path, signals: Sequence[NewSignal] = (), *, partitions: int = 2, model: bool = False) -> Path:
    """A data directory with the default pack (and the seed stage model) in force and those signals in its log."""
    directory = DataDir.open(path, partitions)
    log = SignalLog(directory, clock="signals")
    pack = PrincipleFiles(directory.principles_path).install(PACK.read_bytes())
    _revise(log, "principles", pack)
    if model:
        Registry(directory.models_path).install(SEED / "stage")
        _revise(log, "stage_model", read_bundle(SEED / "stage").digest)
    log.append(signals, NOW)
    log.close()
    return path


def append(data: Path, signals: Sequence[NewSignal], received_ms: int = NOW) -> None:
    """More signals for its log."""
    log = SignalLog(DataDir.existing(data), clock="signals")
    log.append(signals, received_ms)
    log.close()


def _revise(log: SignalLog, kind: str, digest_of_it: str) -> None:
    body = {"kind": kind, "revision": "2026-11-22.1", "digest": digest_of_it}
    log.append_record(RecordKind.REVISION, msgspec.json.encode(body), NOW)


def apply_log(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    runner: str = "plain",
    batch: int = 64,
    share: tuple[int, int] = (0, 1),
) -> Told:
    """Runs the stream in this process until everything that is in the log is applied."""
    told = Told()
    monkeypatch.setattr("stream.work.StreamMetrics", lambda _: told)
    owned: dict[int, Partition] = {}

    def stopping() -> bool:
        return all(partition.steps.next_offset == partition.end() for partition in owned.values())

    numbers = [n for n in range(DataDir.existing(data).partitions) if n % share[1] == share[0]]
    with open_partitions(StreamConfig(data, batch=batch), numbers, stopping, lambda: NOW) as opened:
        owned |= opened
        RUNNERS[runner](opened, stopping)
    return told


def log_ends(data: Path) -> list[int]:
    """The offset that each partition's next record will get."""
    log = SignalLog(DataDir.existing(data))
    try:
        return [log.end(partition) for partition in range(log.directory.partitions)]
    finally:
        log.close()


def state_of(data: Path) -> tuple[Digest, list[dict[str, Any]]]:
    """What two data directories with equal logs must share: the digest, and what the partitions say of themselves."""
    reader = RecordReader(DataDir.existing(data))
    try:
        metas = [msgspec.json.decode(reader.meta(n).meta) for n in range(reader.directory.partitions)]
    finally:
        reader.close()
    return digest(data), [{name: value for name, value in meta.items() if name != "seen_end_ms"} for meta in metas]


def but_for_counts(state: tuple[Digest, list[dict[str, Any]]]) -> tuple[Digest, list[dict[str, Any]]]:
    """The same without what was only counted: that goes on counting who was erased, until a rebuild."""
    counted = {"entries", "unmatched"}
    return state[0], [{name: value for name, value in meta.items() if name not in counted} for meta in state[1]]
