"""POST /v1/decisions: whether each candidate may be carried out now, what to do instead, until when, and why.

A few local reads, compiled principles, one append to a queue: no fsync, no network, no model. What cannot be read or is
too old narrows the answer to the classes' safe defaults; only when nothing can be said at all is it a 503.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from time import perf_counter
from typing import Final

import msgspec

from membrane.caps import Claim
from membrane.decide import Decided, decide_beside, default_verdicts
from membrane.decisions import Answer, Candidate, CandidateVerdict, DecisionRequest, encode_answer, parse_request
from membrane.engine import rules_for
from membrane.errors import InvalidRequest, MembraneError, StoreUnavailable
from membrane.pauses import Pause
from membrane.reserving import Granted, reserve
from membrane.shadow import Shadow
from membrane.view import Progress, View
from membrane.vocabulary import class_of
from serving.answers import send_json
from serving.auth import Identity
from serving.claims import LiveClaims
from serving.config import ServeConfig
from serving.freshness import StreamState
from serving.known import CLAIMS_UNREADABLE, Knowledge, Known
from serving.limits import MAX_DECISION_BYTES, Receive, Scope, Send, header, read_body
from serving.metrics import Metrics
from serving.principle_sets import NO_PRINCIPLES
from serving.problems import Problem, check_json, invalid_field, not_json, report, unavailable
from storage.claims import NewPermit, Permit
from storage.decisions import DecisionLog

_LOG_FULL: Final = "log_full"


class Evidence(msgspec.Struct, omit_defaults=True):
    """What a decision was made from, beside the record of that version: enough to make it again. `claims` were there
    before those it made itself."""

    now: int
    version: int | None
    principles: str
    consents: list[tuple[int, int, bool, int]]
    degraded: list[str]
    claims: list[Claim] = []
    pauses: list[Pause] = []


class LoggedDecision(msgspec.Struct, omit_defaults=True):
    """A line of the decision log. `shadow` is what principles on trial would have said."""

    request: DecisionRequest
    answer: msgspec.Raw
    evidence: Evidence
    shadow: list[Shadow] = []


_log_encoder: Final = msgspec.json.Encoder()
_candidate: Final = msgspec.json.Decoder(Candidate)
_MAX_KEY: Final = 256


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
        key = _idempotency_key(header(scope["headers"], b"idempotency-key"))
        body = await read_body(scope, receive, cap=MAX_DECISION_BYTES)
        await send_json(send, 200, self.answer(body, identity.tenant, key))

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
        decided = self._decided(request, tenant, known, now, started, known.claims)
        self._complete(decided.answer, known)
        self._count(request, decided.answer)
        return self._logged(request, decided, tenant, known, now)

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
                decided, granted = self._granted(request, tenant, known, now, started)
                held.grant(decided.answer.decision, [_permit(one) for one in granted], seen)
                encoded = self._logged(request, decided, tenant, known, now)
                if key is not None:
                    held.remember(key, digest, encoded)
        except StoreUnavailable:
            known = self._knowledge.of(tenant, request.customer, now, ())
            known.degraded.append(CLAIMS_UNREADABLE)
            decided = self._decided(request, tenant, known, now, started, ())
            self._complete(decided.answer, known)
            encoded = self._logged(request, decided, tenant, known, now)
        else:
            self._claims.made([one.claim for one in granted])
        self._count(request, decided.answer)
        return encoded

    def _granted(
        self, request: DecisionRequest, tenant: str, known: Known, now: int, started: float
    ) -> tuple[Decided, list[Granted]]:
        """The decision with its permits; what is tried beside it is that of the first look."""
        first: list[Decided] = []

        def deciding(asked: DecisionRequest, claims: Sequence[Claim]) -> Answer:
            first.append(self._decided(asked, tenant, known, now, started, claims))
            return first[-1].answer

        answer, granted = reserve(request, known.claims, deciding, _new_permit, now)
        self._complete(answer, known)
        return Decided(answer, first[0].shadow), granted

    def judged_again(self, permit: Permit) -> CandidateVerdict | None:
        """The verdict that a permit's candidate would get now, its own claim apart; None while that cannot be told. For
        the event loop's thread."""
        request = DecisionRequest(permit.customer, [_candidate.decode(permit.body)], choose="none")
        try:
            now = self._knowledge.now()
            known = self._knowledge.of(permit.tenant, permit.customer, now)
        except MembraneError:
            return None
        others = [one for one in known.claims if one.permit != permit.id]
        return self._decided(request, permit.tenant, known, now, perf_counter(), others).answer.verdicts[0]

    def _decided(
        self, request: DecisionRequest, tenant: str, known: Known, now: int, started: float, claims: Sequence[Claim]
    ) -> Decided:
        return decide_beside(
            request,
            self._view(request, tenant, known, now, claims),
            known.in_force.principles or NO_PRINCIPLES,
            known.settings,
            t=now,
            degraded=known.degraded,
            expired=lambda: perf_counter() - started > self._deadline_seconds,
        )

    def _view(self, request: DecisionRequest, tenant: str, known: Known, now: int, claims: Sequence[Claim]) -> View:
        """The customer now, or at its own clock when the request names the moment."""
        clock = known.record.clock if known.record is not None else 0
        t = max(now, clock) if request.at is None else clock
        state = known.state
        view = View(
            known.record,
            t,
            rules_for(  # what the stream of the customer's partition judges by
                known.in_force.principles,
                known.settings,
                known.pauses,
                churn_is_advisory=state.churn_is_advisory,
                go_live=state.go_live,
            ),
            known.consents,
            progress=Progress(state.fired_until, state.revised, known.due),
            who=(tenant, request.customer),
        )
        view.claims = claims
        return view

    def _complete(self, answer: Answer, known: Known) -> None:
        """Fills in what only the server knows."""
        answer.decision = f"{self._process}-{next(self._numbers):x}"
        answer.logged = self._log is not None
        answer.state.staleness_seconds = known.staleness_seconds
        answer.revisions.stage_model = _model(known.state, "stage_model")
        answer.revisions.churn_model = _model(known.state, "churn_model")

    def _logged(self, request: DecisionRequest, decided: Decided, tenant: str, known: Known, now: int) -> bytes:
        """The encoded answer, once it is on its way into the decision log; one that says so if there was no room."""
        answer = decided.answer
        if self._log is None:
            return encode_answer(answer)
        version = answer.state.version
        revision, consents = answer.revisions.principles, list(known.consents)
        evidence = Evidence(now, version, revision, consents, known.degraded, list(known.claims))
        evidence.pauses = list(known.pauses)
        encoded = encode_answer(answer)
        body = _log_encoder.encode(LoggedDecision(request, msgspec.Raw(encoded), evidence, decided.shadow))
        try:
            if self._log.put(answer.decision, tenant, request.customer, now, body):
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


def parse(body: bytes) -> DecisionRequest:
    """The request of a body. Problem 400 if it is no JSON; InvalidRequest names the fields at fault."""
    try:
        return parse_request(body)
    except InvalidRequest:
        check_json(body)  # a wrong type may stand before the place where the JSON breaks off
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise not_json() from None


def _model(state: StreamState, kind: str) -> str | None:
    found = state.revisions.get(kind)
    return f"{found.revision}+{found.digest[:8]}" if found is not None else None


def _idempotency_key(value: bytes | None) -> str | None:
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


def _new_permit() -> str:
    return "p" + secrets.token_hex(7)  # short enough for a record to keep it as it is


def _permit(granted: Granted) -> NewPermit:
    return NewPermit(granted.claim, granted.candidate.id, _log_encoder.encode(granted.candidate))


def _cannot_compute(request: DecisionRequest) -> Problem:
    safe = default_verdicts(request, "record_unreadable")
    defaults = [{"candidate": candidate, "verdict": verdict} for candidate, verdict in safe]
    return unavailable("this cannot be decided now; `defaults` says what is safe", extra={"defaults": defaults})
