"""POST /v1/decisions: whether each candidate may be carried out now, what to do instead, until when, and why.

A few local reads, compiled principles, one append to a queue: no fsync, no network, no model. What cannot be read or is
too old narrows the answer to the classes' safe defaults; only when nothing can be said at all is it a 503.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from hashlib import blake2b
from itertools import count
from time import perf_counter
from typing import Final

import msgspec
from msgspec.structs import replace

from membrane.decide import Decided, default_verdicts
from membrane.decisions import Answer, Candidate, CandidateVerdict, DecisionRequest, encode_answer, parse_request
from membrane.errors import InvalidRequest, MembraneError, StoreRefused, StoreUnavailable
from membrane.judging import OPTED_OUT
from membrane.settings import TenantSettings
from membrane.view import Progress
from membrane.vocabulary import SOURCE_SILENT, Verdict, class_of
from serving.answers import send_json
from serving.auth import Identity
from serving.claims import LiveClaims
from serving.config import ServeConfig
from serving.evidence import NO_PRINCIPLES, Case, Evidence, LoggedDecision, judged, reserved
from serving.freshness import StreamState
from serving.known import CLAIMS_UNREADABLE, Knowledge, Known
from serving.limits import MAX_DECISION_BYTES, Receive, Scope, Send, header, read_body
from serving.metrics import Metrics
from serving.problems import Problem, check_json, not_json, report, unavailable
from serving.reserving import Reservation, idempotency_key, new_permit, new_row, same_answer
from serving.slow import SlowDecisions, Steps
from storage.claims import Permit
from storage.decisions import DecisionLog
from storage.traces import CURRENT

_LOG_FULL: Final = "log_full"
_ROOM_SECONDS: Final = 0.01
_log_encoder: Final = msgspec.json.Encoder()
_candidate: Final = msgspec.json.Decoder(Candidate)
_EVERYBODY: Final = TenantSettings()
_HARMLESS: Final = frozenset({"model_missing", "model_invalid", _LOG_FULL})
"""What may be amiss while permits are judged again."""


class Again(Enum):
    """What comes of judging a permit again where it is no verdict: nothing can be told for now, or its contact was
    made."""

    LATER = "later"
    MADE = "made"


Revocable = CandidateVerdict | Again
"""What comes of judging a permit again."""


class Patience:
    """Whether the time for an answer is over: `end` on `perf_counter`. It knows how often it was asked, and whether it
    ever said so."""

    __slots__ = ("_end", "looks", "over")

    def __init__(self, end: float) -> None:
        self._end = end
        self.looks = 0
        self.over = False

    def __call__(self) -> bool:
        self.looks += 1
        self.over = perf_counter() > self._end
        return self.over


class Decisions:
    """The endpoint. Without a `log` nothing is written, and the answer says that it is not logged; without `claims`
    nothing can be reserved."""

    def __init__(
        self,
        knowledge: Knowledge,
        config: ServeConfig,
        metrics: Metrics,
        log: DecisionLog | None,
        claims: LiveClaims | None,
    ) -> None:
        self._knowledge = knowledge
        self._claims = claims
        self._log = log
        self._metrics = metrics
        self._process = secrets.token_hex(8)
        self._numbers = count(1)
        self._deadline_seconds = config.deadline_seconds
        self._slow = SlowDecisions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, identity: Identity) -> None:
        identity.must("decide")
        key = idempotency_key(header(scope["headers"], b"idempotency-key"))
        body = await read_body(scope, receive, cap=MAX_DECISION_BYTES)
        await send_json(send, 200, await self.asked(body, identity.tenant, key))

    async def room(self) -> None:
        """Waits until the decision log takes answers quickly: for who would rather wait than go unlogged."""
        while self._log is not None and self._log.crowded:  # noqa: ASYNC110 - its writer is a thread without a loop
            await asyncio.sleep(_ROOM_SECONDS)

    def answer(self, body: bytes, tenant: str) -> bytes:
        """The encoded answer to a request's body that reserves nothing. Problem 400, 422 or 503, InvalidRequest."""
        started = perf_counter()
        return self._plain(parse(body), tenant, started)

    async def asked(self, body: bytes, tenant: str, key: str | None = None, *, reserve_seconds: float = 0.0) -> bytes:
        """The same of any request; `key` is its idempotency key. What reserves waits for its turn, and its time runs
        from then on; when there are no turns to be had, for its deadline and at least `reserve_seconds`."""
        started = perf_counter()
        request = parse(body)
        if self._claims is None or not _reserves(request):
            return self._plain(request, tenant, started)
        with self._computing(request, started):
            wanted = Reservation(request, tenant, key, blake2b(body, digest_size=16).digest())
            return await self._reserve(self._claims, wanted, reserve_seconds)

    def _plain(self, request: DecisionRequest, tenant: str, started: float) -> bytes:
        if _reserves(request):
            raise InvalidRequest([("/reserve", "only a running server can reserve: leave it out, or ask one")])
        with self._computing(request, started):
            return self._judged(request, tenant, started)

    def _judged(self, request: DecisionRequest, tenant: str, started: float) -> bytes:
        now = self._knowledge.now()
        known = self._knowledge.of(tenant, request.customer, now)
        return self._answered(request, known, _case(tenant, known, now), started)

    @contextmanager
    def _computing(self, request: DecisionRequest, started: float) -> Iterator[None]:
        """Takes the time; whatever fails, the caller gets the classes' defaults."""
        try:
            yield
        except (Problem, InvalidRequest):
            raise
        except Exception as error:
            if not isinstance(error, MembraneError):
                report(error)
            raise _cannot_compute(request) from error
        self._metrics.decision_duration.observe(perf_counter() - started)

    def _answered(self, request: DecisionRequest, known: Known, case: Case, started: float) -> bytes:
        """The encoded answer without permits: complete, counted and logged."""
        steps, patience = self._slow.steps(started), self._patience(started)
        decided = judged(request, case, patience)
        steps.end("judge")
        if patience.over:
            case.evidence.looks = patience.looks
        self._complete(decided.answer, known)
        self._count(request, decided.answer)
        answer = self._logged(request, decided, case)
        self._told(decided, case, steps)
        return answer

    async def _reserve(self, claims: LiveClaims, wanted: Reservation, seconds: float) -> bytes:
        """The answer with permits. Without a store that can be written to in time nothing is granted, and the claims
        that may be there count as unreadable."""
        try:
            return await claims.turns.take(lambda: self._reserve_now(claims, wanted), seconds)
        except (StoreRefused, StoreUnavailable):
            request, tenant, now = wanted.request, wanted.tenant, self._knowledge.now()
            known = self._knowledge.of(tenant, request.customer, now, ())
            known.degraded.append(CLAIMS_UNREADABLE)
            return self._answered(request, known, _case(tenant, known, now), perf_counter())

    def _reserve_now(self, claims: LiveClaims, wanted: Reservation) -> bytes | None:
        """The answer with permits, while no other process can claim; None if another is at it. For somebody who is
        erased, perhaps while this waited for its turn, nothing is granted or kept. An answer that came too
        late to grant anything is not kept: who asks again with its key is to have a better one. What is kept is what is
        sent, byte for byte, so it is known by then whether the decision log took it."""
        request, tenant, now = wanted.request, wanted.tenant, self._knowledge.now()
        with claims.store.reserving(tenant, request.customer, now) as held:
            if held is None:
                return None
            if self._knowledge.is_erased(tenant, request.customer):  # whoever erases waits longer than this may be old
                return self._judged(request, tenant, perf_counter())
            earlier = held.answer(wanted.key) if wanted.key is not None else None
            if earlier is not None:
                return same_answer(earlier, wanted.digest)
            seen = self._knowledge.applied(tenant, request.customer)
            known = self._knowledge.of(tenant, request.customer, now, held.claims)
            started = perf_counter()
            case, patience, steps = _case(tenant, known, now), self._patience(started), self._slow.steps(started)
            decided, granted = reserved(request, case, patience, new_permit)
            steps.end("judge")
            if patience.over:
                case.evidence.looks = patience.looks
            self._complete(decided.answer, known)
            held.grant(decided.answer.decision, [new_row(one) for one in granted], seen)
            sent = self._logged(request, decided, case)
            if wanted.key is not None and (granted or not patience.over):
                held.remember(wanted.key, wanted.digest, sent)
        steps.end("claim")
        claims.made([one.claim for one in granted])
        self._count(request, decided.answer)
        self._told(decided, case, steps)
        return sent

    def _told(self, decided: Decided, case: Case, steps: Steps) -> None:
        """The decision is done: tells of a slow one, and of a traced one what it was about."""
        span = CURRENT.get()
        self._slow.tell(decided.answer.decision, steps, span)
        if span is not None and case.record is not None:
            span.link(self._knowledge.traceparent(case.record))

    def _patience(self, started: float) -> Patience:
        return Patience(started + self._deadline_seconds)

    def judged_again(self, permit: Permit) -> Revocable:
        """The verdict that a permit's candidate would get now, its own claim apart. What is only a moment's weakness
        (old or unreadable data, a silent source, a store that is being rebuilt) speaks against no permit; an opt-out
        and a pause do even then. For the event loop's thread."""
        request = DecisionRequest(permit.customer, [_candidate.decode(permit.body)], choose="none")
        try:
            now = self._knowledge.now()
            known = self._knowledge.of(permit.tenant, permit.customer, now)
        except MembraneError:
            return Again.LATER
        if known.record is not None and any(one.permit == permit.id for one in known.record.state.contacts):
            return Again.MADE
        known.degraded = [word for word in known.degraded if word != SOURCE_SILENT]
        known.service_silent = False
        behind = self._knowledge.applied(permit.tenant, permit.customer) < permit.seen_offset
        if behind or not _HARMLESS.issuperset(known.degraded):
            return self._by_somebodys_word(permit, request, known, now)
        others = [one for one in known.claims if one.permit != permit.id]
        return judged(request, _case(permit.tenant, known, now), _never, others).answer.verdicts[0]

    def _by_somebodys_word(self, permit: Permit, request: DecisionRequest, known: Known, now: int) -> Revocable:
        """What an opt-out or a pause says of a permit, whatever else is not known of the customer for now."""
        if "consents_unreadable" in known.degraded:
            return Again.LATER
        known.degraded = []
        found = judged(request, _case(permit.tenant, known, now), _never, ()).answer.verdicts[0]
        said = [one for one in found.reasons if one.source == "pause" or (one.source, one.id) == OPTED_OUT]
        if not said:
            return Again.LATER
        verdict = Verdict.DEFER if all(one.source == "pause" for one in said) else Verdict.FORBID
        return replace(found, verdict=verdict, reasons=said)

    def _complete(self, answer: Answer, known: Known) -> None:
        """Fills in what only the server knows."""
        answer.decision = f"{self._process}-{next(self._numbers):x}"
        answer.logged = self._log is not None and not known.erased
        answer.state.staleness_seconds = known.staleness_seconds
        answer.revisions.stage_model = _model(known.state, "stage_model")
        answer.revisions.churn_model = _model(known.state, "churn_model")

    def _logged(self, request: DecisionRequest, decided: Decided, case: Case) -> bytes:
        """The encoded answer, once it is on its way into the decision log; one that says so if there was no room."""
        answer, encoded = decided.answer, encode_answer(decided.answer)
        if self._log is None or not answer.logged:
            return encoded
        body = _log_encoder.encode(LoggedDecision(request, msgspec.Raw(encoded), case.evidence, decided.shadow))
        try:
            if self._log.put(answer.decision, case.tenant, request.customer, case.evidence.now, body):
                return encoded
        except StoreUnavailable:
            pass  # the policy `block` waited long enough
        self._metrics.decision_log_dropped.inc()
        answer.logged = False
        answer.state.degraded.append(_LOG_FULL)
        return encode_answer(answer)

    def _count(self, request: DecisionRequest, answer: Answer) -> None:
        count = self._metrics.count
        classes = {one.id: class_of(one.domain, one.kind) or "unknown" for one in request.candidates}
        for verdict in answer.verdicts:
            cls = classes[verdict.candidate]
            count(self._metrics.decisions, verdict.verdict, cls)
            for reason in verdict.reasons:
                if reason.source == "principle":
                    count(self._metrics.principle_matches, reason.id)
                elif reason.source in ("default", "degraded"):
                    count(self._metrics.default_verdicts, cls, reason.id)


def _never() -> bool:
    return False


def _reserves(request: DecisionRequest) -> bool:
    return request.reserve and request.at is None


def parse(body: bytes) -> DecisionRequest:
    """The request of a body. Problem 400 if it is no JSON; InvalidRequest names the fields at fault."""
    try:
        return parse_request(body)
    except InvalidRequest:
        check_json(body)  # a wrong type may stand before the place where the JSON breaks off
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise not_json() from None


def _case(tenant: str, known: Known, now: int) -> Case:
    state = known.state
    evidence = Evidence(
        now,
        known.record.version if known.record is not None else None,
        (known.in_force.principles or NO_PRINCIPLES).name,
        known.consents,
        known.degraded,
        Progress(state.fired_until, state.revised, known.due),
        state.churn_is_advisory,
        state.go_live,
        claims=list(known.claims),
        pauses=list(known.pauses),
        settings=None if known.settings == _EVERYBODY else known.settings,
        service_silent=known.service_silent,
    )
    return Case(tenant, known.record, evidence, known.in_force.principles)


def _model(state: StreamState, kind: str) -> str | None:
    found = state.revisions.get(kind)
    return f"{found.revision}+{found.digest[:8]}" if found is not None else None


def _cannot_compute(request: DecisionRequest) -> Problem:
    safe = default_verdicts(request, "record_unreadable")
    defaults = [{"candidate": candidate, "verdict": verdict} for candidate, verdict in safe]
    return unavailable("this cannot be decided now; `defaults` says what is safe", extra={"defaults": defaults})
