"""Fakes behind the ports, for unit tests: they mirror the adapters' behaviour, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

import membrane
from membrane.errors import StoreRefused
from membrane.features import FEATURE_NAMES
from membrane.ports import Commit, Learned, LogRecord, PartitionMeta, RecordKind, partition_of
from membrane.principle_file import read_principles
from membrane.principles import PrincipleSet
from membrane.signals import StoredSignal, encode_stored
from models.scorer import RulesOnly
from storage.documents import read_document
from storage.keys import customer_key
from stream.infer import Challenger, DrivenScorer

PACK = Path(membrane.__file__).parent / "packs" / "default.yaml"


@lru_cache
def default_pack() -> PrincipleSet:
    """The shipped principles."""
    document = read_document(PACK.read_bytes(), str(PACK))
    return read_principles(document.value, document.marks, digest="0" * 64, features=FEATURE_NAMES)


class MemoryStore:
    """A `membrane.ports.StateStore`."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}
        self.due: dict[tuple[str, str], int | None] = {}
        self.effects: dict[str, tuple[str, int, bytes]] = {}
        self.obligations: dict[str, tuple[str, bytes]] = {}
        self.examples: dict[int, tuple[str, str, int, int | None, bytes]] = {}
        self.labelled: dict[int, tuple[object, ...]] = {}
        self.next_offset = 0
        self.body = b""

    def meta(self) -> PartitionMeta:
        return PartitionMeta(self.next_offset, self.body)

    def load(self, customers: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bytes, int | None]]:
        return {one: (self.records[one], self.due.get(one)) for one in customers if one in self.records}

    def due_before(self, t: int, limit: int) -> list[tuple[str, str, int]]:
        waiting = sorted((due, *customer) for customer, due in self.due.items() if due is not None and due <= t)
        return [(tenant, customer, due) for due, tenant, customer in waiting[:limit]]

    def horizons(self, t: int) -> list[tuple[int, int, int]]:
        return [
            (due, offset, time)
            for offset, (_, _, time, due, _) in self.examples.items()
            if due is not None and due <= t
        ]

    def learn(self, learned: Learned) -> None:
        for offset, *kept in learned.examples:
            self.examples[offset] = tuple(kept)
        for number, *said, offset, time_bound in learned.labels:
            example = self.examples.get(offset)
            if example is not None and example[2] > time_bound:
                assert number not in self.labelled
                self.labelled[number] = (*said, offset, *example[:3], example[4])
        for offset in learned.decided:
            if offset in self.examples:
                tenant, customer, time, _, body = self.examples[offset]
                self.examples[offset] = (tenant, customer, time, None, body)
        for offset, example in list(self.examples.items()):
            if offset <= learned.offset_bound or example[2] <= learned.time_bound:
                del self.examples[offset]
        for number in [number for number in self.labelled if number <= learned.labels_bound]:
            del self.labelled[number]

    def named(self, key: int) -> list[tuple[str, str]]:
        return [one for one in self.records if customer_key(*one) == key]

    def commit(self, commit: Commit) -> None:
        if commit.learned is not None:
            self.learn(commit.learned)
        if commit.everybody_due:
            self.due = dict.fromkeys(self.due, 0)
        for tenant, customer, body in commit.records:
            self.records[tenant, customer] = body
        for tenant, customer, due in commit.due:
            self.due[tenant, customer] = due
        for effect in commit.effects:
            self.effects.setdefault(effect.id, (effect.kind, effect.time_ms, effect.body))
        for obligation, *_, state, _owner, _due, body in commit.obligations:
            self.obligations[obligation] = (state, body)
        for customer in commit.erased:
            self.records.pop(customer, None)
            self.due.pop(customer, None)
            self.examples = {offset: one for offset, one in self.examples.items() if one[:2] != customer}
            self.labelled = {number: one for number, one in self.labelled.items() if one[7:9] != customer}
        self.next_offset, self.body = commit.next_offset, commit.meta

    def checkpoint(self) -> bool:
        return True

    def mark_all_delivered(self) -> None:
        pass

    def close(self) -> None:
        pass


class MemoryLog:
    """One partition of a log."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []

    def add(self, kind: RecordKind, body: bytes, tenant: str = "", customer: str = "") -> None:
        self.records.append(LogRecord(len(self.records), kind, 0, tenant, customer, body))

    def signal(self, signal: StoredSignal) -> None:
        self.add(RecordKind.SIGNAL, encode_stored(signal), signal.tenant, signal.customer)

    def tick(self, t: int) -> None:
        self.add(RecordKind.TICK, json.dumps({"time": t}).encode())

    def revision(self, kind: str, digest: str) -> None:
        body = {"kind": kind, "revision": "2026-11-22.1", "digest": digest}
        self.add(RecordKind.REVISION, json.dumps(body).encode())

    def act(self, act: str, customer: str, obligation: str, t: int, **said: str) -> None:
        body = {"act": act, "obligation": obligation, "time": t, **said}
        self.add(RecordKind.ACT, json.dumps(body).encode(), "default", customer)

    def read(self, partition: int, offset: int, limit: int) -> Sequence[LogRecord]:
        return self.records[offset : offset + limit]

    def end(self, partition: int) -> int:
        return len(self.records)

    def change_counter(self) -> int:
        return len(self.records)


class OneLibrary:
    """A library that has the default pack under any digest, one scorer, and no challenger."""

    def __init__(self, scorer: DrivenScorer | None = None) -> None:
        self._scorer = scorer or RulesOnly()

    def principles(self, digest: str) -> PrincipleSet:
        return default_pack()

    def scorer(self, stage: str | None, churn: str | None) -> DrivenScorer:
        return self._scorer

    def challenger(self, digest: str) -> Challenger:
        raise StoreRefused(f"{digest}: missing")


class LinearScorer:
    """A made-up model: probabilities that depend on the row alone."""

    stage_revision: str | None = "made-up"
    churn_revision: str | None = "made-up"
    churn_is_advisory = True
    stage_is_advisory = False

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self._weights = rng.normal(size=(len(FEATURE_NAMES), 6)) / 20

    def score(self, rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        raw = np.array([[float(np.dot(row, column)) for column in self._weights.T] for row in np.clip(rows, -5, 5)])
        odds = np.exp(raw - raw.max(axis=1, keepdims=True))
        stages = odds / odds.sum(axis=1, keepdims=True)
        return stages, stages[:, 3]

    def stage_drivers(
        self, rows: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]
    ) -> list[list[tuple[str, float]]]:
        return [[(FEATURE_NAMES[int(stage)], 0.5)] for stage in chosen]


__all__ = ["LinearScorer", "MemoryLog", "MemoryStore", "OneLibrary", "default_pack", "partition_of"]
