"""POST /v1/decisions: whether each candidate may be carried out now, what to do instead, until when, and why.

A few local reads, compiled principles, one append to a queue: no fsync, no network, no model. What cannot be read or is
too old narrows the answer to the classes' safe defaults; only when nothing can be said at all is it a 503.
"""

from __future__ import annotations

import asyncio
import secrets
from itertools import count
from time import perf_counter
from typing import Final

import msgspec

from membrane.decide import default_verdicts
from membrane.decisions import Answer, DecisionRequest, encode_answer, parse_request
from membrane.errors import InvalidRequest, MembraneError, StoreUnavailable
from membrane.view import Progress
from membrane.vocabulary import class_of
from serving.answers import send_json
from serving.auth import Identity
from serving.config import ServeConfig
from serving.evidence import NO_PRINCIPLES, Evidence, LoggedDecision, judged
from serving.freshness import StreamState
from serving.known import Knowledge, Known
from serving.limits import MAX_DECISION_BYTES, Receive, Scope, Send, read_body
from serving.metrics import Metrics
from serving.problems import Problem, check_json, not_json, report, unavailable
from storage.decisions import DecisionLog

_LOG_FULL: Final = "log_full"
_ROOM_SECONDS: Final = 0.01
_log_encoder: Final = msgspec.json.Encoder()


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
    """The endpoint. Without a `log` nothing is written, and the answer says that it is not logged."""

    def __init__(self, knowledge: Knowledge, config: ServeConfig, metrics: Metrics, log: DecisionLog | None) -> None:
        self._knowledge = knowledge
        self._log = log
        self._metrics = metrics
        self._settings = config.settings
        self._process = secrets.token_hex(8)
        self._numbers = count(1)
        self._deadline_seconds = config.deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send, identity: Identity) -> None:
        identity.must("decide")
        body = await read_body(scope, receive, cap=MAX_DECISION_BYTES)
        await send_json(send, 200, self.answer(body, identity.tenant))

    async def room(self) -> None:
        """Waits until the decision log takes answers quickly: for who would rather wait than go unlogged."""
        while self._log is not None and self._log.crowded:  # noqa: ASYNC110 - its writer is a thread without a loop
            await asyncio.sleep(_ROOM_SECONDS)

    def answer(self, body: bytes, tenant: str) -> bytes:
        """The encoded answer to a request's body. Problem 400 or 503, InvalidRequest."""
        started = perf_counter()
        request = parse(body)
        try:
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
        known = self._knowledge.of(tenant, request.customer)
        evidence = _evidence(known, self._knowledge.now())
        patience = Patience(started + self._deadline_seconds)
        answer = judged(request, known.record, evidence, known.in_force.principles, self._settings, patience)
        if patience.over:
            evidence.looks = patience.looks
        self._complete(answer, known)
        self._count(request, answer)
        return self._logged(request, answer, tenant, evidence)

    def _complete(self, answer: Answer, known: Known) -> None:
        """Fills in what only the server knows."""
        answer.decision = f"{self._process}-{next(self._numbers):x}"
        answer.logged = self._log is not None
        answer.state.staleness_seconds = known.staleness_seconds
        answer.revisions.stage_model = _model(known.state, "stage_model")
        answer.revisions.churn_model = _model(known.state, "churn_model")

    def _logged(self, request: DecisionRequest, answer: Answer, tenant: str, evidence: Evidence) -> bytes:
        """The encoded answer, once it is on its way into the decision log; one that says so if there was no room."""
        if self._log is None:
            return encode_answer(answer)
        encoded = encode_answer(answer)
        body = _log_encoder.encode(LoggedDecision(request, msgspec.Raw(encoded), evidence))
        try:
            if self._log.put(answer.decision, tenant, request.customer, evidence.now, body):
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


def _evidence(known: Known, now: int) -> Evidence:
    state = known.state
    return Evidence(
        now,
        known.record.version if known.record is not None else None,
        (known.in_force.principles or NO_PRINCIPLES).name,
        known.consents,
        known.degraded,
        Progress(state.fired_until, state.revised, known.due),
        state.churn_threshold,
        state.go_live,
    )


def _model(state: StreamState, kind: str) -> str | None:
    found = state.revisions.get(kind)
    return f"{found.revision}+{found.digest[:8]}" if found is not None else None


def _cannot_compute(request: DecisionRequest) -> Problem:
    safe = default_verdicts(request, "record_unreadable")
    defaults = [{"candidate": candidate, "verdict": verdict} for candidate, verdict in safe]
    return unavailable("this cannot be decided now; `defaults` says what is safe", extra={"defaults": defaults})
