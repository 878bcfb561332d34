"""POST /v1/signals: check each event, set aside what cannot be processed, acknowledge what is on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import time_ns
from typing import Final

import msgspec

from membrane.signals import ContactMade
from serving.answers import send_json
from serving.auth import Identity
from serving.events import BATCH, cap_of, content_mode, events
from serving.incoming import Fates, Incoming, Rejected, new_signals, sort_events
from serving.limits import Receive, Scope, Send, read_body
from serving.metrics import Metrics
from serving.problems import Problem
from storage.group_commit import GroupCommitter
from storage.log import Batch, SignalLog, Taken
from storage.traces import CURRENT


class IngestAnswer(msgspec.Struct):
    """What became of the signals sent: the four counts add up. What is accepted or set aside is on the disk."""

    accepted: int
    duplicates: int
    dead_lettered: int
    rejected: list[Rejected]


_OUTCOMES: Final = {True: "accepted", False: "duplicate", None: "dead_lettered"}
_encoder: Final = msgspec.json.Encoder()


class Ingest:
    """The endpoint. `now_ms` is the wall clock, under either `--clock`: what is ahead of it is set aside. `made` takes
    note of the permits (of a tenant) whose contacts came."""

    def __init__(
        self,
        log: SignalLog,
        committer: GroupCommitter,
        metrics: Metrics,
        now_ms: Callable[[], int],
        made: Callable[[str, list[str]], Awaitable[None]],
    ) -> None:
        self._made = made
        self._log = log
        self._committer = committer
        self._metrics = metrics
        self._now_ms = now_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send, identity: Identity) -> None:
        identity.must("ingest")
        mode = content_mode(scope["headers"])
        body = await read_body(scope, receive, cap=cap_of(mode))
        now_ms = self._now_ms()
        incoming = await sort_events(events(mode, scope["headers"], body), identity.tenant, now_ms)
        answers = [] if _is_refused(mode, incoming) else await self._store(incoming, now_ms)
        made = [one.typed.permit for one in incoming.signals if isinstance(one.typed, ContactMade)]
        permits = [permit for permit in made if permit]
        if permits and answers:
            await self._made(identity.tenant, permits)
        self._count(incoming, answers)
        if _is_refused(mode, incoming):
            raise _refusal(incoming.rejected[0])
        fates = Fates.of(incoming, answers)
        answer = IngestAnswer(fates.accepted, fates.duplicates, fates.dead_lettered, incoming.rejected)
        await send_json(send, 202, _encoder.encode(answer))

    async def _store(self, incoming: Incoming, now_ms: int) -> list[Taken]:
        """What became of each signal. Returns once all is fsynced, dead letters included."""
        if not incoming.signals and not incoming.dead_letters:
            return []
        letters = [letter for letter, _ in incoming.dead_letters]
        span = CURRENT.get()
        batch = Batch(new_signals(incoming.signals, span.traceparent if span else ""), now_ms, letters)
        began_ns = time_ns()
        taken = await asyncio.wrap_future(self._committer.submit(batch))
        if span is not None:
            span.step("append", began_ns, time_ns())
            span.note("membrane.signals", len(batch.signals))
        return taken

    def _count(self, incoming: Incoming, answers: list[Taken]) -> None:
        stored = zip(incoming.signals, answers, strict=False)
        outcomes = [(signal.stored.type, _OUTCOMES[taken]) for signal, taken in stored]
        outcomes += [(type_, "dead_lettered") for _, type_ in incoming.dead_letters]
        outcomes += [("unknown", "rejected")] * len(incoming.rejected)
        self._metrics.signals(outcomes)
        for letter, _ in incoming.dead_letters:
            self._metrics.dead_letters.labels(letter.reason).inc()
        erased = answers.count(None)
        if erased:
            self._metrics.dead_letters.labels("erased").inc(erased)


def _is_refused(mode: str, incoming: Incoming) -> bool:
    """A single event that is the sender's fault is refused as a whole; in a batch it is reported beside the others."""
    return mode != BATCH and bool(incoming.rejected)


def _refusal(rejected: Rejected) -> Problem:
    pointer, detail = rejected.problem.pointer, rejected.problem.detail
    return Problem(422, "invalid-signal", f"{pointer or '/'}: {detail}", errors=[(pointer, detail)])
