"""Revoking: a live permit is judged again when something becomes known of its customer, or the principles change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

import msgspec

from membrane.decisions import CandidateVerdict
from membrane.errors import MembraneError
from membrane.ports import partition_of
from membrane.times import format_time
from membrane.vocabulary import Verdict
from serving.decisions import Decisions
from serving.problems import report
from serving.services import Services
from storage.claims import Permit

ROUND_SECONDS: Final = 0.2
_EFFECTS_AT_ONCE: Final = 1_000
_TURN: Final = 8


@dataclass(slots=True)
class _Seen:
    """How far a round has come: permits checked, and by partition the log's offset and the number of the effect."""

    permits: set[str] = field(default_factory=set)
    offsets: dict[int, int] = field(default_factory=dict)
    effects: dict[int, int] = field(default_factory=dict)


class Revoker:
    """Watches the permits of one data directory. Every API process has one: whichever comes first revokes, once.

    What it has seen is kept in memory alone: after a restart every live permit is compared with all that the log holds
    since it was granted, so that a kill makes it miss nothing.
    """

    def __init__(self, services: Services, decisions: Decisions) -> None:
        self._services = services
        self._decisions = decisions
        self._seen = _Seen()

    async def run(self) -> None:
        """Until cancelled: a round every 200 ms."""
        while True:
            try:
                await self.round()
            except MembraneError:  # what cannot be read now is read in a later round
                pass
            except Exception as error:  # noqa: BLE001 - without the next round no permit would be revoked any more
                report(error)
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Revokes what would no longer be given as far as the stream has come. Raises the errors of the stores."""
        services = self._services
        now = services.freshness.now()
        concerned, seen = await services.cold(self._concerned, now)
        for number, permit in enumerate(concerned):
            verdict = self._decisions.judged_again(permit)
            if verdict is None:
                seen.permits.discard(permit.id)  # next time
            elif verdict.verdict != Verdict.ALLOW and await self._revoke(permit, now, verdict):
                services.metrics.permits_revoked.inc()
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        self._seen = seen

    async def _revoke(self, permit: Permit, now: int, verdict: CandidateVerdict) -> bool:
        return await self._services.cold(self._services.claims.store.revoke, permit, now, _body(permit, now, verdict))

    def _concerned(self, now: int) -> tuple[list[Permit], _Seen]:
        """The live permits whose customers have something new, and what has been seen with that."""
        live = self._services.claims.store.live(now)
        if not live:
            return [], _Seen()
        partitions = self._services.directory.partitions
        placed = [(permit, partition_of(permit.tenant, permit.customer, partitions)) for permit in live]
        seen = _Seen({permit.id for permit in live})
        changed = {partition: self._changed(partition, seen) for partition in {place for _, place in placed}}
        found = [permit for permit, place in placed if self._is_concerned(permit, changed[place], seen.offsets[place])]
        return found, seen

    def _changed(self, partition: int, seen: _Seen) -> set[tuple[str, str]] | None:
        """The customers of a partition with something new since the last round; None for everybody."""
        log, records = self._services.log, self._services.records
        end = seen.offsets[partition] = records.meta(partition).next_offset
        known = self._seen.offsets.get(partition)
        if known is None:
            seen.effects[partition] = records.last_effect(partition)
            return set()  # no permit of it has been checked before: each is compared with the log
        effects = records.effects_after(partition, self._seen.effects[partition], _EFFECTS_AT_ONCE)
        seen.effects[partition] = effects[-1][0] if effects else self._seen.effects[partition]
        if log.is_revised(partition, known, end):
            return None
        by_time = {(effect.tenant, effect.customer) for _, effect in effects}
        return log.customers_between(partition, known, end) | by_time

    def _is_concerned(self, permit: Permit, changed: set[tuple[str, str]] | None, end: int) -> bool:
        if changed is None or (permit.tenant, permit.customer) in changed:
            return True
        if permit.id in self._seen.permits:
            return False
        if self._services.log.concerns(permit.tenant, permit.customer, permit.seen_offset, end):
            return True
        latest = self._services.records.effects(permit.tenant, permit.customer, None, 1)
        return any(effect.offset >= permit.seen_offset for effect in latest)


def _body(permit: Permit, now: int, verdict: CandidateVerdict) -> bytes:
    reason = verdict.reasons[0] if verdict.reasons else None
    return msgspec.json.encode(
        {
            "customer": permit.customer,
            "from": "live",
            "to": "revoked",
            "at": format_time(now),
            "cause": {"source": reason.source if reason else "", "id": reason.id if reason else "", "type": "reason"},
            "permit": permit.id,
            "candidate": permit.candidate,
            "decision": permit.decision,
            "verdict": verdict.verdict,
        }
    )
