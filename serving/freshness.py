"""What the stream says of itself in each partition's meta, read at most every 100 ms, and what time it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from membrane.errors import MembraneError
from membrane.ports import PartitionMeta
from membrane.settings import TenantSettings
from serving.config import Clock
from storage.log_reader import LogReader
from storage.record_reader import RecordReader

KEPT_MS: Final = 100


class RevisionInForce(msgspec.Struct):
    """A principle set or model that the stream works with."""

    revision: str
    digest: str


class StreamState(msgspec.Struct):
    """What a partition's meta tells: when the stream last saw the end of the log (wall clock, 0: never), what it works
    with by kind, its customers by tenant, then stage or lifecycle, what else it judges by (`membrane.engine`), and the
    kinds (`unreadable`) of which it had to keep the last good one."""

    seen_end_ms: int = 0
    revisions: dict[str, RevisionInForce] = {}
    stages: dict[str, dict[str, int]] = {}
    lifecycles: dict[str, dict[str, int]] = {}
    last_tick: int = 0
    fired_until: int = 0
    revised: bool = False
    go_live: int = 0
    tenants: dict[str, TenantSettings] = {}
    churn_is_advisory: bool = True
    unreadable: list[str] = []


NOTHING_YET: Final = StreamState()
_decoder: Final = msgspec.json.Decoder(StreamState)


class Freshness:
    """The stream's states and the moment that decisions call "now". For the event loop's thread alone."""

    def __init__(self, log: LogReader, records: RecordReader, *, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._log = log
        self._records = records
        self._clock = clock
        self._now_ms = now_ms
        self._states: dict[int, tuple[int, StreamState]] = {}
        self._greatest: tuple[int, int | None] = 0, None  # when it was read, and the log's greatest time then

    def now(self) -> int:
        """The moment decisions are for: the wall clock, or under `--clock signals` the log's greatest accepted time
        (the wall clock before there is any; what other processes accept counts within 100 ms). Raises StoreUnavailable
        or RecordUnreadable when the log cannot tell."""
        wall = self._now_ms()
        if self._clock == "wall":
            return wall
        if not 0 <= wall - self._greatest[0] < KEPT_MS:
            self._greatest = wall, self._log.greatest_time()
        known = [t for t in (self._greatest[1], self._log.appended_until) if t is not None]
        return max(known, default=wall)

    def state(self, partition: int) -> StreamState:
        """The stream's state in a partition. Raises StoreUnavailable or RecordUnreadable."""
        wall = self._now_ms()
        held = self._states.get(partition)
        if held is not None and 0 <= wall - held[0] < KEPT_MS:
            return held[1]
        state = read_state(self._records.meta(partition))
        self._states[partition] = wall, state
        return state

    def staleness_seconds(self, state: StreamState) -> float | None:
        """Wall time since the stream last saw the end of that partition's log; None if it never did."""
        return max(self._now_ms() - state.seen_end_ms, 0) / 1000 if state.seen_end_ms else None

    def settings(self, tenant: str) -> TenantSettings:
        """What a tenant's customers are judged by, as far as any partition tells."""
        states = self.every_state().values()
        return next((state.tenants[tenant] for state in states if tenant in state.tenants), TenantSettings())

    def every_state(self) -> dict[int, StreamState]:
        """The states of the partitions that can be read, by partition."""
        found = {}
        for partition in range(self._records.directory.partitions):
            try:
                found[partition] = self.state(partition)
            except MembraneError:
                continue
        return found


def read_state(meta: PartitionMeta) -> StreamState:
    """The state in a partition's meta; of one that no stream has written yet, or that cannot be read, nothing."""
    try:
        return _decoder.decode(meta.meta) if meta.meta else NOTHING_YET
    except msgspec.MsgspecError:
        return NOTHING_YET
