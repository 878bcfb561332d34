"""Decisions over the stores of a data directory, without a server: nothing is written, only to ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from serving.claims import LiveClaims
from serving.config import ServeConfig
from serving.decisions import Decisions
from serving.freshness import Freshness
from serving.known import Knowledge
from serving.metrics import Metrics
from serving.pauses import Pauses
from serving.principle_sets import PrincipleSets
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.principles import PrincipleFiles
from storage.record_reader import RecordReader


@contextmanager
def asking(config: ServeConfig) -> Iterator[Decisions]:
    """What answers as POST /v1/decisions would, except that nothing is logged.

    Raises UsageError for no data directory, StoreUnavailable; answering raises InvalidRequest and Problem 400 or 503.
    """
    directory = DataDir.existing(config.data)
    with closing(LogReader(directory)) as log, closing(RecordReader(directory)) as records:
        freshness = Freshness(log, records, clock=config.clock, now_ms=config.now_ms)
        principles = PrincipleSets(PrincipleFiles(directory.principles_path))
        for partition, state in freshness.every_state().items():
            principles.prepare(partition, state)  # compiled before the time of the answer is counted
        with closing(LiveClaims(directory, config)) as claims:
            there = claims if directory.claims_path.exists() else None
            knowledge = Knowledge(log, records, freshness, principles, Pauses(log, config.now_ms), there)
            yield Decisions(knowledge, config, Metrics(), None, None)
