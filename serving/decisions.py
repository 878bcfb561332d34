"""POST /v1/decisions: whether each candidate may be carried out now, what to do instead, until when, and why.

A few local reads, compiled principles, one append to a queue: no fsync, no network, no model. What cannot be read or is
too old narrows the answer to the classes' safe defaults; only when nothing can be said at all is it a 503.
"""

from __future__ import annotations

import asyncio
import secrets
from enum import Enum
from hashlib import blake2b
from itertools import count
from time import perf_counter
from typing import Final

import msgspec

from membrane.decide import Decided, default_verdicts
from membrane.decisions import Answer, Candidate, CandidateVerdict, DecisionRequest, encode_answer, parse_request
from membrane.errors import InvalidRequest, MembraneError, StoreUnavailable
from membrane.reserving import Granted
from membrane.settings import TenantSettings
from membrane.view import Progress
from membrane.vocabulary import SOURCE_SILENT, class_of
from serving.answers import send_json
from serving.auth import Identity
from serving.claims import LiveClaims
from serving.config import ServeConfig
from serving.evidence import NO_PRINCIPLES, Case, Evidence, LoggedDecision, judged, reserved
from serving.freshness import StreamState
from serving.known import CLAIMS_UNREADABLE, Knowledge, Known
from serving.limits import MAX_DECISION_BYTES, Receive, Scope, Send, header, read_body
from serving.metrics import Metrics
from serving.problems import Problem, check_json, invalid_field, not_json, report, unavailable
from storage.claims import NewPermit, Permit
from storage.decisions import DecisionLog

_LOG_FULL: Final = "log_full"
_ROOM_SECONDS: Final = 0.01
_MAX_KEY: Final = 256
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send, identity: Identity) -> None:
        identity.must("decide")
        key = idempotency_key(header(scope["headers"], b"idempotency-key"))
        body = await read_body(scope, receive, cap=MAX_DECISION_BYTES)
        await send_json(send, 200, self.answer(body, identity.tenant, key))

    async def room(self) -> None:
        """Waits until the decision log takes answers quickly: for who would rather wait than go unlogged."""
        while self._log is not None and self._log.crowded:  # noqa: ASYNC110 - its writer is a thread without a loop
            await asyncio.sleep(_ROOM_SECONDS)

    def answer(self, body: bytes, tenant: str, key: str | None = None) -> bytes:
        """The encoded answer to a request's body; `key` is its idempotency key. Problem 400, 422 or 503,
        InvalidRequest."""
        started = perf_counter()
        request = parse(body)
        try:
            if request.reserve and request.at is None:
                answer = self._reserve(request, tenant, started, body, key)
            else:
                answer = self._decide(request, tenant, started)
        except (Problem, InvalidRequest):
            raise
        except Exception as error:  # whatever it is, the caller gets the classes' defaults
            if not isinstance(error, MembraneError):
                report(error)
            raise _cannot_compute(request) from error
        self._metrics.decision_duration.observe(perf_counter() - started)
        return answer

    def _decide(self, request: DecisionRequest, tenant: str, started: float) -> bytes:
        now = self._knowledge.now()
        known = self._knowledge.of(tenant, request.customer, now)
        return self._answered(request, known, _case(tenant, known, now), started)

    def _answered(self, request: DecisionRequest, known: Known, case: Case, started: float) -> bytes:
        """The encoded answer without permits: complete, counted and logged."""
        patience = Patience(started + self._deadline_seconds)
        decided = judged(request, case, patience)
        if patience.over:
            case.evidence.looks = patience.looks
        self._complete(decided.answer, known)
        self._count(request, decided.answer)
        return self._logged(request, decided, case)

    def _reserve(self, request: DecisionRequest, tenant: str, started: float, body: bytes, key: str | None) -> bytes:
        """The same with permits, while no other process can claim. Without a store that can be written to nothing is
        granted, and the claims that may be there count as unreadable."""
        if self._claims is None:
            raise InvalidRequest([("/reserve", "only a running server can reserve: leave it out, or ask one")])
        now = self._knowledge.now()
        try:
            with self._claims.store.reserving(tenant, request.customer, now) as held:
                digest = blake2b(body, digest_size=16).digest()
                earlier = held.answer(key) if key is not None else None
                if earlier is not None:
                    return _same(earlier, digest)
                seen = self._knowledge.applied(tenant, request.customer)
                known = self._knowledge.of(tenant, request.customer, now, held.claims)
                case, patience = _case(tenant, known, now), Patience(started + self._deadline_seconds)
                decided, granted = reserved(request, case, patience, _new_permit)
                if patience.over:
                    case.evidence.looks = patience.looks
                self._complete(decided.answer, known)
                held.grant(decided.answer.decision, [_permit(one) for one in granted], seen)
                if key is not None:
                    held.remember(key, digest, encode_answer(decided.answer))
        except StoreUnavailable:
            known = self._knowledge.of(tenant, request.customer, now, ())
            known.degraded.append(CLAIMS_UNREADABLE)
            return self._answered(request, known, _case(tenant, known, now), started)
        self._claims.made([one.claim for one in granted])
        self._count(request, decided.answer)
        return self._logged(request, decided, case)

    def judged_again(self, permit: Permit) -> CandidateVerdict | Again:
        """The verdict that a permit's candidate would get now, its own claim apart. What is only a moment's weakness
        (old or unreadable data, a silent source, a store that is being rebuilt) speaks against no permit. For the event
        loop's thread."""
        request = DecisionRequest(permit.customer, [_candidate.decode(permit.body)], choose="none")
        try:
            now = self._knowledge.now()
            known = self._knowledge.of(permit.tenant, permit.customer, now)
        except MembraneError:
            return Again.LATER
        if known.record is not None and any(one.permit == permit.id for one in known.record.state.contacts):
            return Again.MADE
        known.degraded = [word for word in known.degraded if word != SOURCE_SILENT]
        behind = self._knowledge.applied(permit.tenant, permit.customer) < permit.seen_offset
        if behind or not _HARMLESS.issuperset(known.degraded):
            return Again.LATER
        others = [one for one in known.claims if one.permit != permit.id]
        return judged(request, _case(permit.tenant, known, now), _never, others).answer.verdicts[0]

    def _complete(self, answer: Answer, known: Known) -> None:
        """Fills in what only the server knows."""
        answer.decision = f"{self._process}-{next(self._numbers):x}"
        answer.logged = self._log is not None
        answer.state.staleness_seconds = known.staleness_seconds
        answer.revisions.stage_model = _model(known.state, "stage_model")
        answer.revisions.churn_model = _model(known.state, "churn_model")

    def _logged(self, request: DecisionRequest, decided: Decided, case: Case) -> bytes:
        """The encoded answer, once it is on its way into the decision log; one that says so if there was no room."""
        answer, encoded = decided.answer, encode_answer(decided.answer)
        if self._log is None:
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
    )
    return Case(tenant, known.record, evidence, known.in_force.principles)


def _model(state: StreamState, kind: str) -> str | None:
    found = state.revisions.get(kind)
    return f"{found.revision}+{found.digest[:8]}" if found is not None else None


def idempotency_key(value: bytes | None) -> str | None:
    """The key in a header; Problem 422 for one that is none."""
    if value is None:
        return None
    key = value.decode("latin-1").strip()
    if not 1 <= len(key) <= _MAX_KEY or not key.isprintable():
        raise invalid_field("Idempotency-Key", f"must have 1 to {_MAX_KEY} printable characters")
    return key


def _same(earlier: tuple[bytes, bytes], digest: bytes) -> bytes:
    """The answer that an idempotency key had before; Problem 422 where it came with another request."""
    if earlier[0] != digest:
        raise invalid_field("Idempotency-Key", "was sent with another request in the last 24 hours; take a new one")
    return earlier[1]


def _new_permit(_candidate: Candidate) -> str:
    return "p" + secrets.token_hex(7)  # short enough for a record to keep it as it is


def _permit(granted: Granted) -> NewPermit:
    return NewPermit(granted.claim, granted.candidate.id, _log_encoder.encode(granted.candidate))


def _cannot_compute(request: DecisionRequest) -> Problem:
    safe = default_verdicts(request, "record_unreadable")
    defaults = [{"candidate": candidate, "verdict": verdict} for candidate, verdict in safe]
    return unavailable("this cannot be decided now; `defaults` says what is safe", extra={"defaults": defaults})
