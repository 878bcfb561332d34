"""The claims of a data directory: those that count for a customer, read only while there are any, and turns at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from membrane.caps import Claim
from serving.config import ServeConfig
from serving.turns import Turns
from storage.claims import ClaimStore
from storage.directory import DataDir
from storage.lock import claims_gate

KEPT_MS: Final = 100
_NONE: Final[Sequence[Claim]] = ()


class LiveClaims:
    """The store, the turns of whoever reserves, and the claims for decisions that reserve nothing: what other processes
    claim counts within 100 ms. For the event loop's thread alone."""

    def __init__(self, directory: DataDir, config: ServeConfig) -> None:
        self.store = ClaimStore(directory.claims_path)
        self.turns = Turns(claims_gate(directory.path), config.deadline_seconds)
        self._now_ms = config.now_ms
        self._read_at = 0
        self._end = 0

    def of(self, tenant: str, customer: str, now: int) -> Sequence[Claim]:
        """The claims that count for a customer at `now`. Raises StoreUnavailable."""
        wall = self._now_ms()
        if not 0 <= wall - self._read_at < KEPT_MS:
            self._end, self._read_at = self.store.latest_end(), wall
        return self.store.claims(tenant, customer, now) if now < self._end else _NONE

    def made(self, claims: Sequence[Claim]) -> None:
        """Takes note of claims made by this process."""
        self._end = max([self._end, *(one.until for one in claims)])

    def close(self) -> None:
        """Closes the store. Nobody may be asking."""
        self.store.close()
