"""Who is erased, at hand for each decision: of these nothing is logged and nothing reserved."""

from __future__ import annotations

from time import monotonic
from typing import Final

from storage.keys import customer_key
from storage.log_reader import LogReader

KEPT_SECONDS: Final = 0.1


class Erased:
    """Who is erased, looked for anew after 100 ms: for each decision of the event loop's thread."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._looked_at = float("-inf")
        self._change: int | None = None
        self._keys: frozenset[int] = frozenset()

    def holds(self, tenant: str, customer: str) -> bool:
        """Whether a customer is erased. Raises StoreUnavailable or RecordUnreadable."""
        now = monotonic()
        if now - self._looked_at >= KEPT_SECONDS:
            change = self._log.erasures()
            if change != self._change:
                self._keys, self._change = self._log.erased_keys(), change
            self._looked_at = now
        return bool(self._keys) and customer_key(tenant, customer) in self._keys
