"""Which of the sources that a tenant names have been silent for longer than is usual for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from membrane.errors import MembraneError
from membrane.settings import TenantSettings
from serving.config import Clock
from storage.log_reader import LogReader
from storage.sources import Source

KEPT_MS: Final = 1_000


class Silence:
    """What log.db says of the sources, read at most once a second, and only where a tenant names some: what other
    processes hear counts within that. For the event loop's thread alone.

    Silence is told by the wall clock of receipt, so there is none under `--clock signals`."""

    def __init__(self, log: LogReader, *, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._log = log
        self._clock = clock
        self._now_ms = now_ms
        self._read_at = -KEPT_MS
        self._sources: list[Source] = []
        self._listening = 0

    def of(self, tenant: str, settings: TenantSettings) -> list[Source]:
        """The tenant's sources that are silent. While the log cannot be read: as far as was known before."""
        if not settings.sources or self._clock == "signals":
            return []
        wall = self._now_ms()
        if not 0 <= wall - self._read_at < KEPT_MS:
            self._read_at = wall
            self._read()
        return list(silent(self._sources, tenant, settings, wall, self._listening))

    def _read(self) -> None:
        try:
            self._sources, self._listening = self._log.sources(), self._log.listening_since() or 0
        except MembraneError:
            return  # that the log cannot be read is told by whoever asks it for more


def silent(
    sources: Iterable[Source], tenant: str, settings: TenantSettings, now_ms: int, listening_ms: int
) -> Iterator[Source]:
    """The tenant's sources that are silent at `now_ms`: for longer than the settings say nothing was heard of them, nor
    were they named, nor did the service begin to listen."""
    for one in sources:
        cadence = settings.sources.get(one.source) if one.tenant == tenant else None
        since = max(one.since_ms if one.heard_ms is None else one.heard_ms, listening_ms)
        if cadence is not None and now_ms - since > cadence:
            yield one
