"""Everything that the routes of one API process share, opened once and closed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, ParamSpec, Self, TypeVar

from membrane.errors import InvalidBundle, MembraneError
from membrane.layers import COMMON
from serving.auth import Keys, check_host
from serving.champions import Champions
from serving.claims import LiveClaims
from serving.config import ServeConfig
from serving.freshness import Freshness
from serving.metrics import Metrics
from serving.pauses import Pauses
from serving.principle_sets import PrincipleSets, put_in_force
from serving.problems import report
from storage.claims import ClaimStore
from storage.decisions import DecisionLog
from storage.directory import DataDir
from storage.group_commit import GroupCommitter
from storage.log import SignalLog
from storage.principles import PrincipleFiles
from storage.record_reader import RecordReader

MAINTAIN_SECONDS: Final = 1.0
_SWEEP_ROUNDS: Final = 10
_COLD_THREADS: Final = 2

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Services:
    """The stores and what stands on them. Hot routes use them on the event loop, cold ones by `cold`."""

    config: ServeConfig
    directory: DataDir
    keys: Keys
    log: SignalLog
    committer: GroupCommitter
    records: RecordReader
    claims: LiveClaims
    decisions: DecisionLog
    principles: PrincipleSets
    freshness: Freshness
    pauses: Pauses
    champions: Champions
    metrics: Metrics
    _threads: ThreadPoolExecutor
    _rounds: int = 0

    @classmethod
    def open(cls, config: ServeConfig) -> Self:
        """Opens (and makes) the data directory and puts the principles that ship in force if none are.

        Raises UsageError (keys, host), StoreRefused, StoreUnavailable or InvalidPrinciples.
        """
        check_host(config.host, has_keys=config.keys is not None)
        keys = Keys(config.keys, config.now_ms)
        directory = DataDir.open(config.data, config.partitions)
        log = SignalLog(directory, clock=config.clock)
        files = PrincipleFiles(directory.principles_path)
        put_in_force(None, log, files, config.now_ms())
        principles = PrincipleSets(files)
        principles.get(log.revisions()[COMMON]["digest"])  # compiled before the first decision
        records = RecordReader(directory)
        return cls(
            config=config,
            directory=directory,
            keys=keys,
            log=log,
            committer=GroupCommitter(log),
            records=records,
            claims=LiveClaims(ClaimStore(directory.claims_path), config.now_ms),
            decisions=DecisionLog(directory.decisions_path, policy=config.decision_log),
            principles=principles,
            freshness=Freshness(log, records, clock=config.clock, now_ms=config.now_ms),
            pauses=Pauses(log, config.now_ms),
            champions=Champions(directory, log),
            metrics=Metrics(),
            _threads=ThreadPoolExecutor(_COLD_THREADS, "cold"),
        )

    async def cold(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a slow call beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))

    async def contacts_made(self, tenant: str, permits: list[str]) -> None:
        """Takes note that the contacts of permits were made, as far as the claims can be written: a signal that is
        stored is not refused for them."""
        with suppress(MembraneError):
            await self.cold(self.claims.store.made, tenant, permits, self.freshness.now())

    async def maintain(self) -> None:
        """Until cancelled: ticks under the wall clock, principle sets compiled before a decision needs them, pointers
        of models followed, and the counters told what was counted."""
        while True:
            self.metrics.flush()
            for work in (self._tick, self._compile, self._follow_models, self._sweep):
                try:
                    await work()
                except Exception as error:  # noqa: BLE001 - without the next round no time would pass any more
                    report(error)
            await asyncio.sleep(MAINTAIN_SECONDS)

    async def _tick(self) -> None:
        if self.config.clock == "wall":
            with suppress(MembraneError):  # a store that refuses is told by whoever needs an answer of it
                await self.cold(self.log.tick, self.config.now_ms())

    async def _sweep(self) -> None:
        self._rounds += 1
        if self._rounds % _SWEEP_ROUNDS == 0:
            with suppress(MembraneError):
                await self.cold(self.claims.store.sweep, self.freshness.now())

    async def _follow_models(self) -> None:
        known = list(self.champions.problems)
        await self.cold(self.champions.follow, self.config.now_ms())
        for problem in self.champions.problems:
            if problem not in known:
                report(InvalidBundle(problem))

    async def _compile(self) -> None:
        self.principles.retry()
        for partition, state in self.freshness.every_state().items():
            await self.cold(self.principles.prepare, partition, state)

    def close(self) -> None:
        """Stores what waits and closes all. Nobody may be asking any more."""
        self.metrics.flush()
        self._threads.shutdown(wait=True)
        stores = (self.committer, self.decisions, self.claims.store, self.log, self.records)
        for close in [one.close for one in stores]:
            try:
                close()
            except Exception as error:  # noqa: BLE001 - the others are to be closed all the same
                report(error)
