"""Revoking: a live permit is judged again when something becomes known of its customer, or the principles change."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec

from membrane.decisions import CandidateVerdict
from membrane.errors import MembraneError
from membrane.ports import partition_of
from membrane.times import format_time
from membrane.vocabulary import Verdict
from serving.decisions import Again, Decisions
from serving.problems import report
from serving.services import Services
from storage.claims import Permit

ROUND_SECONDS: Final = 0.2
_EFFECTS_AT_ONCE: Final = 1_000
_TURN: Final = 8


@dataclass(slots=True)
class _Place:
    """How far a partition was looked at: the end of its log, the offset that the stream had applied, the number of the
    latest effect, and the permits checked by then."""

    end: int
    applied: int
    effect: int
    permits: set[str] = field(default_factory=set)


Customers = set[tuple[str, str]]


class Revoker:
    """Watches the permits of one data directory. Every API process has one: whichever comes first revokes, once.

    What it has looked at is kept in memory alone: after a restart every live permit is compared with all that the log
    holds since it was granted, so that a kill makes it miss nothing.
    """

    def __init__(self, services: Services, decisions: Decisions) -> None:
        self._services = services
        self._decisions = decisions
        self._seen: dict[int, _Place] = {}

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
        """Revokes what would no longer be given as far as the log and the stream have come. Raises the errors of the
        claims' store."""
        services = self._services
        now = services.freshness.now()
        concerned, self._seen = await services.cold(self._concerned, now)
        for number, permit in enumerate(concerned):
            verdict = await self._judged(permit, now)
            if verdict is not None and verdict.verdict != Verdict.ALLOW and await self._revoke(permit, now, verdict):
                services.metrics.permits_revoked.inc()
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)

    async def _judged(self, permit: Permit, now: int) -> CandidateVerdict | None:
        """None where nothing speaks against it, or nothing can be told for now: then it is looked at the next time."""
        judged = self._decisions.judged_again(permit)
        if judged is Again.LATER:
            for place in self._seen.values():
                place.permits.discard(permit.id)
        elif judged is Again.MADE:
            await self._services.cold(self._services.claims.store.made, permit.tenant, [permit.id], now)
        return None if isinstance(judged, Again) else judged

    async def _revoke(self, permit: Permit, now: int, verdict: CandidateVerdict) -> bool:
        return await self._services.cold(self._services.claims.store.revoke, permit, now, _body(permit, now, verdict))

    def _concerned(self, now: int) -> tuple[list[Permit], dict[int, _Place]]:
        """The live permits whose customers have something new, and how far was looked. A partition whose
        records cannot be read is looked at again in a later round; what its log tells counts at once."""
        found: list[Permit] = []
        seen: dict[int, _Place] = {}
        for partition, permits in self._live(now).items():
            before = self._seen.get(partition)
            try:
                place, changed = self._look(partition, before)
                found += [one for one in permits if self._is_concerned(one, before, changed, place)]
            except MembraneError:
                with suppress(MembraneError):  # nor can the log be read
                    found += self._told_by_log(partition, permits, before)
                if before is not None:
                    seen[partition] = before
                continue
            place.permits = {one.id for one in permits}
            seen[partition] = place
        return found, seen

    def _told_by_log(self, partition: int, permits: list[Permit], before: _Place | None) -> list[Permit]:
        """The permits whose customers, or everybody, the log has something new of: an opt-out needs no record."""
        log, end = self._services.log, self._services.log.end(partition)
        checked = before.permits if before is not None else set()
        since = before.end if before is not None else 0
        changed = log.customers_between(partition, since, end) if checked else set()
        everybody = bool(checked) and log.concerns_everybody(partition, since, end)

        def concerns(one: Permit) -> bool:
            if one.id in checked:
                return everybody or (one.tenant, one.customer) in changed
            return log.concerns(one.tenant, one.customer, one.seen_offset, end)

        return [one for one in permits if concerns(one)]

    def _live(self, now: int) -> dict[int, list[Permit]]:
        placed: dict[int, list[Permit]] = {}
        for permit in self._services.claims.store.live(now):
            partition = partition_of(permit.tenant, permit.customer, self._services.directory.partitions)
            placed.setdefault(partition, []).append(permit)
        return placed

    def _look(self, partition: int, before: _Place | None) -> tuple[_Place, Customers | None]:
        """How far a partition has come, and the customers with something new since the last look (None: everybody):
        accepted into the log (consents and pauses count at once), applied by the stream, or fallen due."""
        log, records = self._services.log, self._services.records
        end, applied = log.end(partition), records.meta(partition).next_offset
        if before is None:  # no permit of it has been checked: each is compared with the log
            return _Place(end, applied, records.last_effect(partition)), set()
        effects = records.effects_after(partition, before.effect, _EFFECTS_AT_ONCE)
        place = _Place(end, applied, effects[-1][0] if effects else before.effect)
        changed = {(effect.tenant, effect.customer) for _, effect in effects}
        for since, until in ((before.end, end), (before.applied, applied)):
            if log.concerns_everybody(partition, since, until):
                return place, None
            changed |= log.customers_between(partition, since, until)
        return place, changed

    def _is_concerned(self, permit: Permit, before: _Place | None, changed: Customers | None, place: _Place) -> bool:
        if changed is None or (permit.tenant, permit.customer) in changed:
            return True
        if before is not None and permit.id in before.permits:
            return False
        if self._services.log.concerns(permit.tenant, permit.customer, permit.seen_offset, place.end):
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
